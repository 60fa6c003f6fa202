//! Typing and presence: who receives them, and what is recorded.

use serde_json::json;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::raw::{Companion, attr};
use crate::sim::Sim;

const ADA: &str = "+491510000001";
const BOB: &str = "+491510000002";

fn number(phone: &str) -> Jid {
    Jid::pn(phone.trim_start_matches('+'))
}

/// Sends a typing notice, or its end.
fn typing(to: &str, state: &'static str) -> Node {
    NodeBuilder::new("chatstate")
        .attr("to", number(to))
        .children([NodeBuilder::new(state).build()])
        .build()
}

/// Sends a recording notice through the library.
fn recording(to: &str) -> Node {
    let shown = NodeBuilder::new("composing").attr("media", "audio");
    NodeBuilder::new("chatstate")
        .attr("to", number(to))
        .children([shown.build()])
        .build()
}

async fn appear(companion: &mut Companion, state: &'static str) {
    let presence = NodeBuilder::new("presence")
        .attr("type", state)
        .attr("name", "Ada");
    companion.send(presence.build()).await;
}

/// Waits until the server has handled everything that this device sent, and everything that it sent
/// the device has arrived.
async fn settled(companion: &mut Companion) -> Node {
    let ping = NodeBuilder::new("ping").build();
    companion.ask("w:p", "get", ping).await
}

#[tokio::test]
async fn typing_is_noted_and_shown_to_the_other_side() {
    let sim = Sim::start();
    let (mut ada, mut bob) = (sim.companion(ADA).await, sim.companion(BOB).await);
    for state in ["composing", "paused"] {
        ada.send(typing(BOB, state)).await;
        let shown = bob.expect("chatstate").await;
        assert!(shown.get_optional_child(state).is_some(), "{shown:?}");
        let from = shown.attrs.get("from").unwrap().to_jid().unwrap();
        assert_eq!(from.user_base(), number(ADA).user_base());
    }
    ada.send(recording(BOB)).await;
    bob.expect("chatstate").await;
    let noted = sim.ledger("chatstate", 3).await;
    let types: Vec<_> = noted.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(types, ["composing", "paused", "recording"]);
    for entry in &noted {
        assert_eq!((&entry["from"], &entry["to"]), (&json!(ADA), &json!(BOB)));
        assert_eq!((&entry["id"], &entry["device"]), (&json!(""), &json!(1)));
    }
}

#[tokio::test]
async fn presence_is_told_to_those_who_asked_for_it_alone() {
    let sim = Sim::start();
    let (mut ada, mut bob) = (sim.companion(ADA).await, sim.companion(BOB).await);
    let mut stranger = sim.companion("+491510000003").await;
    let subscribe = NodeBuilder::new("presence")
        .attr("type", "subscribe")
        .attr("to", number(ADA));
    bob.send(subscribe.build()).await;
    let first = bob.expect("presence").await;
    assert_eq!(attr(&first, "type"), "unavailable", "not known yet");
    for state in ["available", "unavailable"] {
        appear(&mut ada, state).await;
        let told = bob.expect("presence").await;
        assert_eq!(attr(&told, "type"), state);
        let lid = ada.device.lid.as_ref().unwrap().to_non_ad().to_string();
        assert_eq!(attr(&told, "from"), lid);
    }
    settled(&mut ada).await;
    settled(&mut stranger).await;
    let other = stranger.passed();
    assert!(other.iter().all(|node| node.tag != "presence"), "{other:?}");
    let noted = sim.ledger("presence", 2).await;
    let types: Vec<_> = noted.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(types, ["available", "unavailable"]);
    for entry in &noted {
        assert_eq!((&entry["from"], &entry["device"]), (&json!(ADA), &json!(1)));
    }
}

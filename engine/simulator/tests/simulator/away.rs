//! Phones and devices that are away for a while.

use std::time::Duration;

use serde_json::json;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::library;
use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";
const EVE: &str = "+491510000003";

async fn bob_is_online(sim: &Sim, online: bool) {
    sim.post("/phones", json!({"phone": BOB, "online": online}))
        .await;
}

/// Waits until the server has handled what this device sent.
async fn settled(companion: &mut Companion) {
    let ping = NodeBuilder::new("ping").build();
    companion.ask("w:p", "get", ping).await;
}

#[tokio::test]
async fn a_phone_that_is_away_sends_its_receipts_when_it_is_back() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    bob_is_online(&sim, false).await;
    own.send_message(BOB, "3EB0A").await;
    let read = json!({"from": OWN, "ids": ["3EB0B"]});
    sim.post(&format!("/phones/{BOB}/read"), read).await;
    // The reply comes from the phone, so it has read the order before.
    sim.get(&format!("/phones/{BOB}/chat?with={}", &OWN[1..]))
        .await;
    assert_eq!(sim.get("/ledger?kind=receipt").await["entries"], json!([]));
    bob_is_online(&sim, true).await;
    for (id, kind) in [("3EB0A", "retry"), ("3EB0B", "read")] {
        let receipts = sim.ledger_of("receipt", id, 1).await;
        assert_eq!(receipts[0]["type"], kind);
    }
    assert_eq!(sim.ledger("receipt", 2).await.len(), 2, "each once");
}

#[tokio::test]
async fn a_message_reaches_a_phone_once_however_often_it_comes_and_goes() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    bob_is_online(&sim, true).await;
    for round in 0..20 {
        own.send_message(BOB, &format!("3EB0{round}")).await;
        bob_is_online(&sim, false).await;
        bob_is_online(&sim, true).await;
    }
    for round in 0..20 {
        let id = format!("3EB0{round}");
        sim.ledger_of("receipt", &id, 1).await;
    }
    let all = sim.ledger("unreadable", 20).await;
    assert_eq!(all.len(), 20, "{all:?}");
}

fn typing(state: &'static str) -> Node {
    NodeBuilder::new("chatstate")
        .attr("to", library::jid(BOB))
        .children([NodeBuilder::new(state).build()])
        .build()
}

#[tokio::test]
async fn a_device_that_is_soon_back_is_shown_who_types() {
    let sim = Sim::start();
    let (mut own, mut bob) = (sim.companion(OWN).await, sim.companion(BOB).await);
    bob.drop_connection();
    own.send(typing("composing")).await;
    settled(&mut own).await;
    bob.connect().await;
    bob.expect("success").await;
    assert_eq!(bob.go_active().await.len(), 0, "nothing is queued");
    let shown = bob.expect("chatstate").await;
    assert!(shown.get_optional_child("composing").is_some(), "{shown:?}");
    bob.drop_connection();
    bob.connect().await;
    bob.expect("success").await;
    bob.go_active().await;
    assert!(
        bob.receives_nothing(Duration::from_millis(50)).await,
        "once"
    );
}

#[tokio::test]
async fn what_own_devices_send_each_other_comes_from_the_lid() {
    let sim = Sim::start();
    let mut first = sim.companion(OWN).await;
    first.upload_keys().await;
    let peer = first.expect("message").await;
    assert_eq!(attr(&peer, "category"), "peer");
    let lid = first.device.lid.clone().unwrap().to_non_ad().to_string();
    assert_eq!(attr(&peer, "from"), lid);
    let text = json!({"type": "text", "text": "from the phone"});
    sim.post("/phones", json!({"phone": BOB})).await;
    let said = sim.say(OWN, BOB, text).await;
    loop {
        let copy = first.expect("message").await;
        if attr(&copy, "id") == said["id"] {
            assert_eq!(attr(&copy, "from"), lid);
            break;
        }
    }
    let mut second = sim.companion(OWN).await;
    // The bare client names its recipients by number.
    second.send_message(OWN, "3EB0A").await;
    let phone = sim.ledger_of("unreadable", "3EB0A", 1).await;
    assert_eq!(phone[0]["from"], OWN);
    let retry = second.expect("receipt").await;
    assert_eq!(attr(&retry, "type"), "retry");
}

#[tokio::test]
async fn what_happened_in_a_group_while_a_device_was_away_keeps_its_order() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    own.upload_keys().await;
    let body = json!({"subject": "Team", "creator": BOB, "members": [OWN]});
    let made = sim.post("/groups", body).await;
    let group = made["id"].as_str().unwrap();
    let mut seen = own.expect("notification").await;
    while attr(&seen, "type") != "w:gp2" {
        own.acknowledge(&seen).await;
        seen = own.expect("notification").await;
    }
    own.acknowledge(&seen).await;
    settled(&mut own).await;
    own.drop_connection();
    let mut expected = Vec::new();
    for (change, text) in [("add", "one"), ("remove", "two"), ("add", "three")] {
        let said = sim
            .say(BOB, group, json!({"type": "text", "text": text}))
            .await;
        expected.push(said["id"].as_str().unwrap().to_owned());
        sim.post(&format!("/groups/{group}/members"), json!({change: [EVE]}))
            .await;
        expected.push(change.to_owned());
    }
    own.connect().await;
    own.expect("success").await;
    let waited = own.go_active().await;
    let of_group = waited.iter().filter(|node| attr(node, "from") == group);
    let order: Vec<String> = of_group
        .map(|node| match node.tag.as_ref() {
            "message" => attr(node, "id"),
            _ => node.children().unwrap()[0].tag.to_string(),
        })
        .collect();
    assert_eq!(order, expected);
}

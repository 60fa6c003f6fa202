//! Accounts that demand privacy tokens.

use serde_json::json;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};
use waproto::whatsapp::Message;

use crate::library::{self, Library};
use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

async fn bob_demands(sim: &Sim, contacts: &[&str]) {
    let body = json!({"phone": BOB, "demands_token": true, "contacts": contacts});
    sim.post("/phones", body).await;
}

fn token(tag: &'static str, bytes: &[u8]) -> Node {
    NodeBuilder::new(tag).bytes(bytes.to_vec()).build()
}

/// Sends a message with this token. Returns the error code, or an empty text.
async fn answered(companion: &mut Companion, id: &str, token: Option<Node>) -> String {
    companion.send_message_with(BOB, id, token).await;
    let ack = companion.expect("ack").await;
    assert_eq!(attr(&ack, "id"), id);
    attr(&ack, "error")
}

/// Subscribes to Bob's presence, and returns whether this device is told that Bob appears.
async fn sees_bob(own: &mut Companion, bob: &mut Companion, token: Option<Node>) -> bool {
    let subscribe = NodeBuilder::new("presence")
        .attr("type", "subscribe")
        .attr("to", library::jid(BOB))
        .children(token);
    own.send(subscribe.build()).await;
    let first = own.expect("presence").await;
    assert_eq!(attr(&first, "type"), "unavailable");
    let appears = NodeBuilder::new("presence").attr("type", "available");
    bob.send(appears.build()).await;
    for device in [bob, &mut *own] {
        let ping = NodeBuilder::new("ping").build();
        device.ask("w:p", "get", ping).await;
    }
    own.passed().iter().any(|node| node.tag == "presence")
}

/// Returns the token that Bob's phone gives this device when it writes to it.
async fn token_of_bob(sim: &Sim, own: &mut Companion) -> Vec<u8> {
    let hello = json!({"type": "text", "text": "hello"});
    sim.say(BOB, OWN, hello).await;
    loop {
        let node = own.expect("notification").await;
        if attr(&node, "type") == "privacy_token" {
            let tokens = node.get_optional_child("tokens").unwrap();
            let token = tokens.get_optional_child("token").unwrap();
            let Some(NodeContent::Bytes(bytes)) = &token.content else {
                panic!("no token in {token:?}");
            };
            return bytes.clone();
        }
    }
}

#[tokio::test]
async fn a_stranger_without_a_token_is_refused_and_sees_nothing() {
    let sim = Sim::start();
    bob_demands(&sim, &[]).await;
    let (mut own, mut bob) = (sim.companion(OWN).await, sim.companion(BOB).await);
    assert_eq!(answered(&mut own, "3EB0A", None).await, "463");
    let wrong = || Some(token("cstoken", &[7; 32]));
    assert_eq!(answered(&mut own, "3EB0B", wrong()).await, "463");
    assert!(!sees_bob(&mut own, &mut bob, wrong()).await);
    let reached = sim.get("/ledger?kind=unreadable").await;
    assert_eq!(reached["entries"], json!([]));
    sim.post("/phones", json!({"phone": BOB, "demands_token": false}))
        .await;
    assert_eq!(answered(&mut own, "3EB0C", None).await, "");
    assert!(sees_bob(&mut own, &mut bob, None).await);
}

#[tokio::test]
async fn the_token_of_somebody_who_wrote_first_is_accepted() {
    let sim = Sim::start();
    bob_demands(&sim, &[]).await;
    let (mut own, mut bob) = (sim.companion(OWN).await, sim.companion(BOB).await);
    let given = token_of_bob(&sim, &mut own).await;
    assert_eq!(answered(&mut own, "3EB0A", None).await, "463");
    let shown = || Some(token("tctoken", &given));
    assert_eq!(answered(&mut own, "3EB0B", shown()).await, "");
    assert!(sees_bob(&mut own, &mut bob, shown()).await);
}

fn text() -> Message {
    Message {
        conversation: Some("hello".to_owned()),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_library_shows_the_token_of_a_contact() {
    let sim = Sim::start();
    bob_demands(&sim, &[OWN]).await;
    let mut library = Library::link(&sim, OWN).await;
    let bob = sim.get(&format!("/phones/{BOB}")).await;
    library.has_token_of(bob["lid"].as_str().unwrap()).await;
    let sent = library.send(BOB, text()).await;
    assert_eq!(library.refusal(&sent).await, None);
    assert_eq!(sim.ledger_of("sent", &sent, 1).await[0]["token"], true);
    sim.ledger_of("shown", &sent, 1).await;
    library.stop().await;
}

#[tokio::test]
async fn the_library_shows_the_token_that_the_salt_gives() {
    let sim = Sim::start();
    bob_demands(&sim, &[]).await;
    let mut library = Library::link(&sim, OWN).await;
    library.has_salt().await;
    let sent = library.send(BOB, text()).await;
    assert_eq!(library.refusal(&sent).await, None);
    assert_eq!(sim.ledger_of("sent", &sent, 1).await[0]["token"], false);
    sim.ledger_of("shown", &sent, 1).await;
    library.stop().await;
}

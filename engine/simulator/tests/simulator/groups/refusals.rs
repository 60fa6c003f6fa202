//! A sender that is not a member of the group is refused.

use serde_json::json;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{BOB, EVE, OWN, group, members, phones_that_showed, say, send};
use crate::library::Library;
use crate::raw::{Companion, attr};
use crate::sim::Sim;

const NONE: &str = "120363000000000001@g.us";

/// Returns a message to a group with everything that the server checks.
async fn speak(companion: &mut Companion, group: &str, id: &str) -> String {
    let enc = NodeBuilder::new("enc")
        .attr("v", "2")
        .attr("type", "skmsg")
        .bytes([0x33; 40]);
    let message = NodeBuilder::new("message")
        .attr("to", group.parse::<Jid>().unwrap())
        .attr("id", id.to_owned())
        .attr("type", "text")
        .children([enc.build()]);
    companion.send(message.build()).await;
    let ack = companion.expect("ack").await;
    assert_eq!(
        (attr(&ack, "id"), attr(&ack, "from")),
        (id.to_owned(), group.to_owned())
    );
    attr(&ack, "error")
}

#[tokio::test]
async fn a_message_of_a_stranger_reaches_nobody() {
    let sim = Sim::start();
    let mut companion = sim.companion(OWN).await;
    let (id, _) = group(&sim, "lid").await;
    members(&sim, &id, json!({"remove": [OWN]})).await;
    assert_eq!(speak(&mut companion, &id, "3EB0A").await, "401");
    assert_eq!(speak(&mut companion, NONE, "3EB0B").await, "404");
    members(&sim, &id, json!({"add": [OWN]})).await;
    assert_eq!(speak(&mut companion, &id, "3EB0C").await, "");
    // All three phones, the sender's own included, get a message that they cannot decrypt.
    assert_eq!(sim.ledger_of("unreadable", "3EB0C", 3).await.len(), 3);
    assert_eq!(sim.ledger("unreadable", 3).await.len(), 3);
    assert_eq!(
        sim.ledger("sent", 3).await.len(),
        3,
        "all were read off the wire"
    );
}

/// Asks about a group. Returns the error code, or an empty text.
async fn asked(companion: &mut Companion, group: &str, kind: &str, child: &'static str) -> String {
    let child = NodeBuilder::new(child).build();
    let reply = companion.ask_to(group, "w:g2", kind, vec![child]).await;
    let error = reply.get_optional_child("error");
    error.map_or_else(String::new, |error: &Node| attr(error, "code"))
}

#[tokio::test]
async fn a_stranger_does_not_learn_who_is_in_a_group() {
    let sim = Sim::start();
    let mut companion = sim.companion(OWN).await;
    let (id, _) = group(&sim, "lid").await;
    assert_eq!(asked(&mut companion, &id, "get", "query").await, "");
    assert_eq!(asked(&mut companion, &id, "set", "subject").await, "403");
    assert_eq!(asked(&mut companion, NONE, "get", "query").await, "404");
    members(&sim, &id, json!({"remove": [OWN]})).await;
    assert_eq!(asked(&mut companion, &id, "get", "query").await, "403");
    let groups = NodeBuilder::new("participating").build();
    let reply = companion.ask_to("g.us", "w:g2", "get", vec![groups]).await;
    let groups = reply.get_optional_child("groups").unwrap();
    assert_eq!(groups.get_children_by_tag("group").count(), 0);
}

#[tokio::test]
async fn a_client_that_was_removed_is_told_by_the_acknowledgement() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "lid").await;
    library.group_changed(&jid).await;
    let sent = send(&library, &jid, "with you").await;
    assert_eq!(library.refusal(&sent).await, None);
    assert_eq!(phones_that_showed(&sim, &sent, 2).await, [BOB, EVE]);
    members(&sim, &id, json!({"remove": [OWN]})).await;
    library.group_changed(&jid).await;
    let sent = send(&library, &jid, "hello?").await;
    assert_eq!(library.refusal(&sent).await.as_deref(), Some("401"));
    library.stop().await;
}

#[tokio::test]
async fn a_client_that_was_never_in_a_group_cannot_send_to_it() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let body = json!({"subject": "Others", "creator": BOB});
    let others = sim.post("/groups", body).await;
    let jid: Jid = others["id"].as_str().unwrap().parse().unwrap();
    assert!(library.client.groups().get_metadata(&jid).await.is_err());
    let message = waproto::whatsapp::Message {
        conversation: Some("hello?".to_owned()),
        ..Default::default()
    };
    assert!(library.client.send_message(&jid, message).await.is_err());
    let nothing = sim.get("/ledger?kind=sent").await;
    assert_eq!(nothing["entries"], json!([]));
    library.stop().await;
}

#[tokio::test]
async fn a_phone_that_is_not_in_a_group_cannot_speak_there() {
    let sim = Sim::start();
    let (id, _) = group(&sim, "lid").await;
    members(&sim, &id, json!({"remove": [OWN]})).await;
    let path = format!("/phones/{OWN}/say");
    let body = json!({"to": id, "text": "me too"});
    assert_eq!(sim.call("POST", &path, Some(body)).await.0, 400);
    let none = json!({"to": NONE, "text": "?"});
    assert_eq!(sim.call("POST", &path, Some(none)).await.0, 404);
    let said = say(&sim, BOB, &id, "without you").await;
    assert_eq!(phones_that_showed(&sim, &said, 1).await, [EVE]);
}

//! Failures in a group that repair themselves, and what phones ignore there.

use serde_json::json;

use super::{BOB, EVE, OWN, group, phones_that_showed, say, send};
use crate::library::Library;
use crate::sim::Sim;

#[tokio::test]
async fn a_device_without_the_key_asks_and_gets_the_message() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, _) = group(&sim, "lid").await;
    let healing = json!({"type": "undecryptable", "text": "after all"});
    sim.say(BOB, &id, healing).await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("after all"));
    say(&sim, BOB, &id, "and on").await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("and on"));
    library.stop().await;
}

#[tokio::test]
async fn what_nobody_can_open_stays_unopened() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, _) = group(&sim, "lid").await;
    let said = sim.say(BOB, &id, json!({"type": "undecryptable"})).await;
    assert_eq!(library.unopened().await, said["id"].as_str().unwrap());
    library.stop().await;
}

#[tokio::test]
async fn a_phone_that_misses_the_key_asks_the_library_and_gets_the_message() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let (_, jid) = group(&sim, "lid").await;
    // The stanza with the key is lost, so that the next message cannot be decrypted.
    let fault = json!({"on": "message", "do": "drop", "times": 1});
    sim.post("/faults", fault).await;
    send(&library, &jid, "lost").await;
    let sent = send(&library, &jid, "hello all").await;
    assert_eq!(phones_that_showed(&sim, &sent, 2).await, [BOB, EVE]);
    let asked = sim.ledger_of("unreadable", &sent, 2).await;
    assert_eq!(asked.len(), 2);
    let frames = sim.ledger_of("sent", &sent, 3).await;
    let answers: Vec<_> = frames.iter().map(|frame| &frame["retry"]).collect();
    assert_eq!(answers, [false, true, true]);
    library.stop().await;
}

#[tokio::test]
async fn a_phone_that_echoes_says_nothing_back_in_a_group() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (_, jid) = group(&sim, "lid").await;
    sim.post("/phones", json!({"phone": BOB, "echo": true}))
        .await;
    let sent = send(&library, &jid, "hello all").await;
    phones_that_showed(&sim, &sent, 2).await;
    send(&library, &crate::library::jid(BOB), "hello Bob").await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("hello Bob"));
    assert_eq!(sim.ledger("said", 1).await.len(), 1);
    library.stop().await;
}

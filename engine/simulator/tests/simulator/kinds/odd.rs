//! Undecryptable messages, unsupported kinds, and receipts other than delivery.

use serde_json::json;
use wacore::download::MediaType;
use wacore::types::presence::ReceiptType;

use super::{BOB, OWN, pair, uploaded, with_file};

#[tokio::test]
async fn an_unreadable_message_is_asked_for_again_and_may_heal() {
    let (sim, mut library) = pair().await;
    // Start a session first, so that the message is not taken for a first one.
    sim.say(BOB, OWN, json!({"type": "text", "text": "before"}))
        .await;
    library.next().await;
    let said = sim.say(BOB, OWN, json!({"type": "undecryptable"})).await;
    assert_eq!(library.unopened().await, said["id"].as_str().unwrap());
    let healing = json!({"type": "undecryptable", "text": "after all"});
    let said = sim.say(BOB, OWN, healing).await;
    let got = library.next().await;
    assert_eq!(*got.info.id, *said["id"].as_str().unwrap());
    assert_eq!(got.message.conversation.as_deref(), Some("after all"));
    sim.say(BOB, OWN, json!({"type": "event", "name": "Party"}))
        .await;
    let mut got = library.next().await;
    // The phone may give the healed message, too: the device asked for it.
    while *got.info.id == *said["id"].as_str().unwrap() {
        got = library.next().await;
    }
    assert!(got.message.event_message.is_set());
    library.stop().await;
}

#[tokio::test]
async fn a_message_that_only_the_phone_can_read_comes_from_the_phone() {
    let (sim, mut library) = pair().await;
    let body = json!({"type": "undecryptable", "phone_text": "for your eyes"});
    let said = sim.say(BOB, OWN, body).await;
    assert_eq!(library.unopened().await, said["id"].as_str().unwrap());
    let got = library.next().await;
    assert_eq!(*got.info.id, *said["id"].as_str().unwrap());
    assert_eq!(got.message.conversation.as_deref(), Some("for your eyes"));
    library.stop().await;
}

#[tokio::test]
async fn a_voice_note_is_read_and_played() {
    let (sim, mut library) = pair().await;
    let up = uploaded(&library, MediaType::Audio, b"la la").await;
    let id = library.send(BOB, with_file("voice", up)).await;
    library
        .receipt(&id, |receipt| receipt.r#type == ReceiptType::Read)
        .await;
    let body = json!({"from": OWN, "ids": [id]});
    sim.post(&format!("/phones/{BOB}/played"), body).await;
    library
        .receipt(&id, |receipt| receipt.r#type == ReceiptType::Played)
        .await;
    library.stop().await;
}

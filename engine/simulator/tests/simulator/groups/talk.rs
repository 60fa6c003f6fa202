//! Messages in a group, in both directions.

use serde_json::json;
use wacore::types::presence::ReceiptType;
use whatsapp_rust::{Jid, RevokeType};

use super::{BOB, EVE, MODES, OWN, all_was_readable, group, phones_that_showed, say, send};
use crate::library::Library;
use crate::sim::Sim;

#[tokio::test]
async fn what_the_library_says_every_member_shows_once() {
    for mode in MODES {
        let sim = Sim::start();
        let library = Library::link(&sim, OWN).await;
        let (id, jid) = group(&sim, mode).await;
        // The first message distributes the key, the second uses it.
        for words in ["hello all", "again"] {
            let sent = send(&library, &jid, words).await;
            assert_eq!(phones_that_showed(&sim, &sent, 2).await, [BOB, EVE]);
            for entry in sim.ledger_of("shown", &sent, 2).await {
                assert_eq!(entry["text"], words);
                assert_eq!((&entry["group"], &entry["from"]), (&json!(id), &json!(OWN)));
            }
        }
        let sent = &sim.ledger("sent", 2).await[0];
        assert_eq!((&sent["to"], &sent["group"]), (&json!(id), &json!(id)));
        all_was_readable(&sim).await;
        library.stop().await;
    }
}

#[tokio::test]
async fn a_frame_that_comes_twice_is_shown_once() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let (_, jid) = group(&sim, "lid").await;
    let fault = json!({"on": "message", "do": "duplicate", "times": 1});
    sim.post("/faults", fault).await;
    let twice = send(&library, &jid, "hello all").await;
    // The sender's own phone gets it, too.
    assert_eq!(sim.ledger_of("repeat", &twice, 3).await.len(), 3);
    let once = send(&library, &jid, "and on").await;
    assert_eq!(phones_that_showed(&sim, &once, 2).await, [BOB, EVE]);
    assert_eq!(phones_that_showed(&sim, &twice, 2).await, [BOB, EVE]);
    assert_eq!(sim.ledger("repeat", 3).await.len(), 3);
    library.stop().await;
}

#[tokio::test]
async fn each_member_says_for_itself_that_it_has_a_message_and_read_it() {
    for mode in MODES {
        let sim = Sim::start();
        let mut library = Library::link(&sim, OWN).await;
        let (_, jid) = group(&sim, mode).await;
        let sent = send(&library, &jid, "hello all").await;
        let mut who = Vec::new();
        for _ in 0..4 {
            let receipt = library.receipt(&sent, |_| true).await;
            assert_eq!(receipt.source.chat, jid);
            assert_eq!(receipt.source.sender.is_lid(), mode == "lid");
            let sender = receipt.source.sender.to_non_ad();
            let sender = sim.number(&[BOB, EVE], &sender).await;
            who.push((sender.unwrap(), receipt.r#type == ReceiptType::Read));
        }
        who.sort_unstable();
        let all = [(BOB, false), (BOB, true), (EVE, false), (EVE, true)];
        assert_eq!(who, all.map(|(phone, read)| (phone.to_owned(), read)));
        library.stop().await;
    }
}

#[tokio::test]
async fn a_played_receipt_names_the_group_and_who_played_it() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "pn").await;
    let sent = send(&library, &jid, "la la").await;
    phones_that_showed(&sim, &sent, 2).await;
    let body = json!({"from": OWN, "ids": [sent], "group": id});
    sim.post(&format!("/phones/{BOB}/played"), body).await;
    let receipt = library
        .receipt(&sent, |receipt| receipt.r#type == ReceiptType::Played)
        .await;
    assert_eq!(receipt.source.chat, jid);
    assert_eq!(receipt.source.sender.to_non_ad(), crate::library::jid(BOB));
    library.stop().await;
}

/// Checks the library's next message.
async fn receives(library: &mut Library, group: &Jid, id: &str, words: &str, mode: &str) {
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some(words));
    assert_eq!(*got.info.id, *id);
    assert_eq!(got.info.source.chat, *group);
    assert_eq!(got.info.source.sender.is_lid(), mode == "lid");
    assert!(got.info.source.sender_alt.is_some());
}

#[tokio::test]
async fn what_a_phone_says_every_device_of_every_member_gets() {
    for mode in MODES {
        let sim = Sim::start();
        let mut first = Library::link(&sim, OWN).await;
        let mut second = Library::link(&sim, EVE).await;
        let (id, jid) = group(&sim, mode).await;
        for words in ["hello all", "again"] {
            let said = say(&sim, BOB, &id, words).await;
            receives(&mut first, &jid, &said, words, mode).await;
            receives(&mut second, &jid, &said, words, mode).await;
            assert_eq!(phones_that_showed(&sim, &said, 2).await, [OWN, EVE]);
        }
        all_was_readable(&sim).await;
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test]
async fn a_device_says_to_the_member_that_it_has_its_message() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let (id, _) = group(&sim, "lid").await;
    let said = say(&sim, BOB, &id, "hello all").await;
    // Both phones and the linked device.
    let mut entries = sim.ledger_of("receipt", &said, 5).await;
    entries.retain(|entry| entry["device"] == 1);
    let entry = &entries[0];
    assert_eq!((&entry["from"], &entry["to"]), (&json!(OWN), &json!(BOB)));
    assert_eq!(
        (&entry["type"], &entry["group"]),
        (&json!("delivery"), &json!(id))
    );
    library.stop().await;
}

#[tokio::test]
async fn an_answer_and_a_reaction_name_whose_message_they_are_for() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "lid").await;
    let own = library.client.lid().unwrap().to_non_ad().to_string();
    let sent = send(&library, &jid, "who comes?").await;
    phones_that_showed(&sim, &sent, 2).await;
    let answer = json!({"to": id, "text": "me", "quote": sent, "mentions": [OWN]});
    sim.post(&format!("/phones/{EVE}/say"), answer).await;
    let got = library.next().await;
    let context = got.message.extended_text_message.as_option().unwrap();
    let context = context.context_info.as_option().unwrap();
    assert_eq!(context.stanza_id.as_deref(), Some(&*sent));
    assert_eq!(context.participant.as_deref(), Some(&*own));
    let reaction = json!({"type": "reaction", "target": sent, "text": "👍"});
    sim.say(BOB, &id, reaction).await;
    let got = library.next().await;
    let reaction = got.message.reaction_message.as_option().unwrap();
    let key = reaction.key.as_option().unwrap();
    assert_eq!(key.participant.as_deref(), Some(&*own));
    // The sender's own phone has shown it, because it is a device like the library.
    let reaction = sim.shown_by(OWN, 2).await;
    assert_eq!(reaction[1]["type"], "reaction");
    let screen = sim.get(&format!("/phones/{OWN}/chat?with={id}")).await;
    assert_eq!(screen["messages"][0]["reactions"], json!({BOB: "👍"}));
    library.stop().await;
}

#[tokio::test]
async fn an_admin_deletes_what_others_said_and_nobody_else_does() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "lid").await;
    let sent = send(&library, &jid, "who comes?").await;
    phones_that_showed(&sim, &sent, 2).await;
    let eves = say(&sim, EVE, &id, "me").await;
    library.next().await;
    phones_that_showed(&sim, &eves, 2).await;
    sim.say(BOB, &id, json!({"type": "revoke", "target": eves}))
        .await;
    library.next().await;
    let bobs = say(&sim, BOB, &id, "no").await;
    phones_that_showed(&sim, &bobs, 2).await;
    let forbidden = json!({"to": id, "message": {"type": "revoke", "target": bobs}});
    let path = format!("/phones/{EVE}/say");
    assert_eq!(sim.call("POST", &path, Some(forbidden)).await.0, 400);
    let revoke = library
        .client
        .revoke_message(&jid, sent, RevokeType::Sender);
    let revoked = revoke.await;
    revoked.unwrap();
    let last = say(&sim, BOB, &id, "done").await;
    phones_that_showed(&sim, &last, 2).await;
    let screen = sim.get(&format!("/phones/{EVE}/chat?with={id}")).await;
    let deleted = screen["messages"].as_array().unwrap().iter();
    let deleted: Vec<bool> = deleted.map(|one| one["deleted"] == true).collect();
    assert_eq!(deleted, [true, true, false, false]);
    library.stop().await;
}

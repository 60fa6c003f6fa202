//! Groups, with the library as the other members' client.

use serde_json::{Value, json};
use wacore::types::presence::ReceiptType;
use waproto::whatsapp::Message;
use whatsapp_rust::{Jid, RevokeType};

use crate::library::{Library, jid};
use crate::raw::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";
const EVE: &str = "+491510000003";
const MODES: [&str; 2] = ["lid", "pn"];

async fn group(sim: &Sim, mode: &str) -> (String, Jid) {
    let body = json!({
        "subject": "Team", "creator": BOB, "members": [OWN, EVE], "addressing_mode": mode,
    });
    let made = sim.post("/groups", body).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let jid = id.parse().unwrap();
    (id, jid)
}

fn text(text: &str) -> Message {
    Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    }
}

async fn send(library: &Library, group: &Jid, words: &str) -> String {
    let sent = library.client.send_message(group, text(words)).await;
    sent.unwrap().message_id
}

/// The entries of a kind in a group, when there are `count`.
async fn shown(sim: &Sim, count: usize) -> Vec<Value> {
    sim.ledger("shown", count).await
}

#[tokio::test]
async fn a_client_learns_its_groups_and_who_is_in_them() {
    for mode in MODES {
        let sim = Sim::start();
        let library = Library::link(&sim, OWN).await;
        let (id, jid) = group(&sim, mode).await;
        let groups = library.client.groups();
        let found = groups.get_metadata(&jid).await.unwrap();
        assert_eq!(found.subject, "Team");
        assert_eq!(found.participants.len(), 3);
        let all = groups.get_participating().await.unwrap();
        assert_eq!(
            all.keys().map(ToString::to_string).collect::<Vec<_>>(),
            [id.clone()]
        );
        let stranger = sim
            .post("/groups", json!({"subject": "Others", "creator": BOB}))
            .await;
        let stranger: Jid = stranger["id"].as_str().unwrap().parse().unwrap();
        assert!(groups.get_metadata(&stranger).await.is_err());
        let told = sim.get(&format!("/groups/{id}")).await;
        assert_eq!(told["members"][BOB], "admin");
        assert_eq!(told["addressing_mode"], mode);
        library.stop().await;
    }
}

#[tokio::test]
async fn what_the_library_says_in_a_group_every_member_shows() {
    for mode in MODES {
        let sim = Sim::start();
        let mut library = Library::link(&sim, OWN).await;
        let (id, jid) = group(&sim, mode).await;
        // The first hands out the key, the second only uses it.
        for (count, words) in ["hello all", "again"].into_iter().enumerate() {
            let sent = send(&library, &jid, words).await;
            let entries = shown(&sim, (count + 1) * 2).await;
            let mine: Vec<&Value> = entries.iter().filter(|one| one["id"] == sent).collect();
            let mut who: Vec<&str> = mine.iter().map(|one| one["to"].as_str().unwrap()).collect();
            who.sort_unstable();
            assert_eq!(who, [BOB, EVE]);
            for one in mine {
                assert_eq!(
                    (&one["text"], &one["group"], &one["from"]),
                    (&json!(words), &json!(id), &json!(OWN))
                );
            }
            let read = library
                .receipt(&sent, |receipt| receipt.r#type == ReceiptType::Read)
                .await;
            assert_eq!(read.source.chat, jid);
        }
        let sent = &sim.ledger("sent", 2).await[0];
        assert_eq!((&sent["to"], &sent["group"]), (&json!(id), &json!(id)));
        let odd = sim.get("/ledger?kind=unreadable").await;
        assert_eq!(odd["entries"], json!([]));
        library.stop().await;
    }
}

#[tokio::test]
async fn what_a_phone_says_in_a_group_every_device_gets() {
    for mode in MODES {
        let sim = Sim::start();
        let mut first = Library::link(&sim, OWN).await;
        let mut second = Library::link(&sim, EVE).await;
        let (id, jid) = group(&sim, mode).await;
        for words in ["hello all", "again"] {
            let said = sim
                .say(BOB, &id, json!({"type": "text", "text": words}))
                .await;
            for library in [&mut first, &mut second] {
                let got = library.next().await;
                assert_eq!(got.message.conversation.as_deref(), Some(words));
                assert_eq!(*got.info.id, *said["id"].as_str().unwrap());
                assert_eq!(got.info.source.chat, jid);
                assert_eq!(got.info.source.sender.is_lid(), mode == "lid");
                assert!(got.info.source.sender_alt.is_some());
            }
        }
        // Each of the two says that it has it, and so do their phones.
        let path = format!("/ledger?kind=receipt&phone={BOB}");
        assert!(sim.get(&path).await["entries"].as_array().unwrap().len() >= 2);
        assert_eq!(
            sim.get("/ledger?kind=unreadable").await["entries"],
            json!([])
        );
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test]
async fn a_device_without_the_key_asks_and_gets_the_message() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, _) = group(&sim, "lid").await;
    let healing = json!({"type": "undecryptable", "text": "after all"});
    sim.say(BOB, &id, healing).await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("after all"));
    sim.say(BOB, &id, json!({"type": "text", "text": "and on"}))
        .await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("and on"));
    library.stop().await;
}

#[tokio::test]
async fn reactions_answers_and_deletions_work_in_a_group() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "lid").await;
    let sent = send(&library, &jid, "who comes?").await;
    shown(&sim, 2).await;
    let answer = json!({"to": id, "text": "me", "quote": sent, "mentions": [OWN]});
    let said = sim.post(&format!("/phones/{EVE}/say"), answer).await;
    let got = library.next().await;
    let context = got.message.extended_text_message.as_option().unwrap();
    let context = context.context_info.as_option().unwrap();
    assert_eq!(context.stanza_id.as_deref(), Some(&*sent));
    sim.say(
        BOB,
        &id,
        json!({"type": "reaction", "target": sent, "text": "👍"}),
    )
    .await;
    let got = library.next().await;
    let reaction = got.message.reaction_message.as_option().unwrap();
    let own = library.client.lid().unwrap().to_non_ad().to_string();
    assert_eq!(
        reaction.key.as_option().unwrap().participant.as_deref(),
        Some(&*own)
    );
    // Bob made the group: he may delete what Eve said. Eve may not delete what Bob says.
    let eves = said["id"].as_str().unwrap();
    sim.say(BOB, &id, json!({"type": "revoke", "target": eves}))
        .await;
    library.next().await;
    let bobs = sim
        .say(BOB, &id, json!({"type": "text", "text": "no"}))
        .await;
    let forbidden = json!({"to": id, "message": {"type": "revoke", "target": bobs["id"]}});
    let (status, _) = sim
        .call("POST", &format!("/phones/{EVE}/say"), Some(forbidden))
        .await;
    assert_eq!(status, 400);
    library
        .client
        .revoke_message(&jid, sent.clone(), RevokeType::Sender)
        .await
        .unwrap();
    let entries = sim.ledger("shown", 8).await;
    assert!(
        entries
            .iter()
            .any(|one| one["type"] == "revoke" && one["from"] == OWN)
    );
    let screen = sim.get(&format!("/phones/{EVE}/chat?with={id}")).await;
    let deleted: Vec<&Value> = screen["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["deleted"])
        .collect();
    assert_eq!(deleted, [&json!(true), &json!(true), &json!(false)]);
    assert_eq!(screen["messages"][0]["reactions"], json!({BOB: "👍"}));
    library.stop().await;
}

#[tokio::test]
async fn a_played_receipt_in_a_group_names_the_group() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, jid) = group(&sim, "pn").await;
    let sent = send(&library, &jid, "la la").await;
    shown(&sim, 2).await;
    let body = json!({"from": OWN, "ids": [sent], "group": id});
    sim.post(&format!("/phones/{BOB}/played"), body).await;
    let receipt = library
        .receipt(&sent, |receipt| receipt.r#type == ReceiptType::Played)
        .await;
    assert_eq!(receipt.source.chat, jid);
    assert_eq!(receipt.source.sender.to_non_ad(), crate::library::jid(BOB));
    library.stop().await;
}

#[tokio::test]
async fn who_is_not_in_a_group_neither_hears_nor_speaks() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, OWN).await;
    let (id, _) = group(&sim, "lid").await;
    sim.say(BOB, &id, json!({"type": "text", "text": "before"}))
        .await;
    library.next().await;
    let change = json!({"remove": [OWN]});
    sim.post(&format!("/groups/{id}/members"), change).await;
    sim.say(BOB, &id, json!({"type": "text", "text": "without you"}))
        .await;
    sim.say(BOB, OWN, json!({"type": "text", "text": "to you"}))
        .await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("to you"));
    let body = json!({"to": id, "text": "me too"});
    let (status, _) = sim
        .call("POST", &format!("/phones/{OWN}/say"), Some(body))
        .await;
    assert_eq!(status, 400);
    let none = json!({"to": "120363000000000001@g.us", "text": "?"});
    let (status, _) = sim
        .call("POST", &format!("/phones/{BOB}/say"), Some(none))
        .await;
    assert_eq!(status, 404);
    library.stop().await;
}

#[tokio::test]
async fn numbers_are_known_to_be_on_whatsapp_or_not() {
    let sim = Sim::start();
    sim.post("/phones", json!({"phone": BOB})).await;
    let library = Library::link(&sim, OWN).await;
    let asked = [jid(BOB), jid(EVE)];
    let found = library
        .client
        .contacts()
        .is_on_whatsapp(&asked)
        .await
        .unwrap();
    let known: Vec<bool> = found.iter().map(|one| one.is_registered).collect();
    assert_eq!(known, [true, false]);
    library.stop().await;
}

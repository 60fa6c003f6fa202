//! Edits, deletions and reactions.

use serde_json::{Value, json};
use waproto::whatsapp::MessageKey;
use whatsapp_rust::RevokeType;

use super::{BOB, OWN, chat, newest, pair, shown, text};
use crate::library::{Library, jid};
use crate::sim::Sim;

fn key(of: &str, id: &str, from_me: bool) -> MessageKey {
    MessageKey {
        remote_jid: Some(jid(of).to_string()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_the_library_changes_changes_on_the_phone_s_screen() {
    let (sim, library) = pair().await;
    let id = library.send(BOB, text("frist")).await;
    let client = &library.client;
    let edit = client.edit_message(jid(BOB), id.clone(), text("first"));
    edit.await.unwrap();
    let reaction = client.send_reaction(jid(BOB), key(BOB, &id, true), "🎉");
    reaction.await.unwrap();
    let shown = shown(&sim, 3).await;
    let edit = json!({"type": "edit", "target": id, "text": "first", "applied": true});
    assert_eq!(shown[1]["message"], edit);
    let reaction = json!({"type": "reaction", "target": id, "text": "🎉", "applied": true});
    assert_eq!(shown[2]["message"], reaction);
    let screen = chat(&sim, BOB, OWN).await;
    assert_eq!(screen.len(), 1, "a change is no message of its own");
    assert_eq!(screen[0]["message"]["text"], "first");
    assert_eq!(screen[0]["edited"], true);
    assert_eq!(screen[0]["reactions"], json!({OWN: "🎉"}));
    library.stop().await;
}

#[tokio::test]
async fn what_the_library_deletes_is_gone_from_the_phone_s_screen() {
    let (sim, library) = pair().await;
    let id = library.send(BOB, text("not for you")).await;
    let client = &library.client;
    let revoke = client.revoke_message(jid(BOB), id.clone(), RevokeType::Sender);
    revoke.await.unwrap();
    let shown = newest(&sim, 2).await;
    let revoke = json!({"type": "revoke", "target": id, "applied": true});
    assert_eq!(shown["message"], revoke);
    let screen = chat(&sim, BOB, OWN).await;
    assert_eq!(screen[0]["deleted"], true);
    assert_eq!(screen[0]["message"], json!({"type": "text"}));
    let unknown = client.edit_message(jid(BOB), "3EB0NOTHING", text("?"));
    unknown.await.unwrap();
    assert_eq!(newest(&sim, 3).await["message"]["applied"], false);
    library.stop().await;
}

/// The library sends "hello" and Bob sends "helo". Returns both ids.
async fn greeted(sim: &Sim, library: &mut Library) -> (String, String) {
    let theirs = library.send(BOB, text("hello")).await;
    shown(sim, 1).await;
    let said = json!({"type": "text", "text": "helo"});
    let said = sim.say(BOB, OWN, said).await;
    library.next().await;
    (theirs, said["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_a_phone_edits_and_deletes_reaches_the_library() {
    let (sim, mut library) = pair().await;
    let (_, id) = greeted(&sim, &mut library).await;
    let edit = json!({"type": "edit", "target": id, "text": "hello"});
    sim.say(BOB, OWN, edit).await;
    let got = library.next().await;
    let edit = got.message.protocol_message.as_option().unwrap();
    assert_eq!(edit.key.as_option().unwrap().id.as_deref(), Some(&*id));
    let edited = edit.edited_message.as_option().unwrap();
    assert_eq!(edited.conversation.as_deref(), Some("hello"));
    let revoke = json!({"type": "revoke", "target": id});
    sim.say(BOB, OWN, revoke).await;
    let got = library.next().await;
    let revoke = got.message.protocol_message.as_option().unwrap();
    assert_eq!(revoke.key.as_option().unwrap().id.as_deref(), Some(&*id));
    let own = chat(&sim, OWN, BOB).await;
    assert_eq!(own[1]["deleted"], true, "the number's own phone, too");
    library.stop().await;
}

#[tokio::test]
async fn a_phone_s_reaction_reaches_the_library_and_the_own_phone() {
    let (sim, mut library) = pair().await;
    let (theirs, _) = greeted(&sim, &mut library).await;
    let reaction = json!({"type": "reaction", "target": theirs, "text": "👍"});
    sim.say(BOB, OWN, reaction).await;
    let got = library.next().await;
    let reaction = got.message.reaction_message.as_option().unwrap();
    assert_eq!(reaction.text.as_deref(), Some("👍"));
    let target = reaction.key.as_option().unwrap();
    assert_eq!(target.id.as_deref(), Some(&*theirs));
    assert_eq!(target.from_me, Some(false));
    let own = chat(&sim, OWN, BOB).await;
    assert_eq!(own[0]["from"], OWN);
    assert_eq!(own[0]["reactions"], json!({BOB: "👍"}));
    library.stop().await;
}

#[tokio::test]
async fn a_phone_changes_only_what_it_may() {
    let (sim, mut library) = pair().await;
    let (theirs, _) = greeted(&sim, &mut library).await;
    let refused = async |message: Value| {
        let body = json!({"to": OWN, "message": message});
        let path = format!("/phones/{BOB}/say");
        sim.call("POST", &path, Some(body)).await.0 == 400
    };
    assert!(refused(json!({"type": "edit", "target": theirs, "text": "mine now"})).await);
    assert!(refused(json!({"type": "revoke", "target": theirs})).await);
    assert!(refused(json!({"type": "reaction", "target": "3ANOTHING", "text": "?"})).await);
    library.stop().await;
}

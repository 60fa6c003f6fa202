//! A linked device makes a group and changes it. A second device of another member is told of each
//! change, and by whom.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore::iq::groups::{
    GroupCreateOptions, GroupParticipantOptions, GroupSubject,
};
use whatsapp_rust::{Client, Jid};

use super::{ADA, BOB, EVE, OWN, phones_that_showed, send};
use crate::library::{self, Library};
use crate::raw::{Companion, attr};
use crate::sim::Sim;

/// Makes a group with the library, with Bob and Eve in it.
async fn made_by(client: &Client) -> Jid {
    let member = |phone: &str| GroupParticipantOptions::new(library::jid(phone));
    let options = GroupCreateOptions::new("Team").with_participants(vec![member(BOB), member(EVE)]);
    let made = client.groups().create_group(options).await.unwrap();
    made.metadata.id.clone()
}

/// Returns the next change that a device is told of: its kind, the members it names, and who made
/// it.
async fn next_change(sim: &Sim, companion: &mut Companion) -> (String, Vec<String>, String, Node) {
    let all = [OWN, BOB, EVE, ADA];
    loop {
        let node = companion.expect("notification").await;
        if attr(&node, "type") != "w:gp2" {
            continue;
        }
        let by = node.attrs.get("participant").unwrap().to_jid().unwrap();
        let by = sim.number(&all, &by).await.unwrap();
        let action = node.children().unwrap()[0].clone();
        let mut who = Vec::new();
        for member in action.get_children_by_tag("participant") {
            let jid = member.attrs.get("jid").unwrap().to_jid().unwrap();
            who.push(sim.number(&all, &jid).await.unwrap());
        }
        return (action.tag.to_string(), who, by, action);
    }
}

#[tokio::test]
async fn a_device_makes_a_group_changes_it_and_leaves_it() {
    let sim = Sim::start();
    for phone in [BOB, EVE, ADA] {
        sim.post("/phones", serde_json::json!({"phone": phone}))
            .await;
    }
    let library = Library::link(&sim, OWN).await;
    let mut bob = sim.companion(BOB).await;
    let jid = made_by(&library.client).await;
    let (tag, _, by, made) = next_change(&sim, &mut bob).await;
    assert_eq!((tag.as_str(), by.as_str()), ("create", OWN));
    let group = made.get_optional_child("group").unwrap();
    assert_eq!(attr(group, "subject"), "Team");
    assert_eq!(group.get_children_by_tag("participant").count(), 3);

    let groups = library.client.groups();
    let (ada, eve) = ([library::jid(ADA)], [library::jid(EVE)]);
    let added = groups.add_participants(&jid, &ada).await.unwrap();
    assert!(added[0].is_ok());
    let again = groups.add_participants(&jid, &ada).await.unwrap();
    assert_eq!(again[0].error.as_deref(), Some("409"));
    groups.promote_participants(&jid, &ada).await.unwrap();
    groups.demote_participants(&jid, &ada).await.unwrap();
    groups.remove_participants(&jid, &eve).await.unwrap();
    let gone = groups.remove_participants(&jid, &eve).await.unwrap();
    assert_eq!(gone[0].error.as_deref(), Some("404"));
    let subject = GroupSubject::new("Friends").unwrap();
    groups.set_subject(&jid, subject).await.unwrap();
    for (tag, who) in [
        ("add", ADA),
        ("promote", ADA),
        ("demote", ADA),
        ("remove", EVE),
    ] {
        let told = next_change(&sim, &mut bob).await;
        let expected = (tag.to_owned(), vec![who.to_owned()], OWN.to_owned());
        assert_eq!((told.0, told.1, told.2), expected);
    }
    let (tag, _, by, action) = next_change(&sim, &mut bob).await;
    assert_eq!((tag.as_str(), by.as_str()), ("subject", OWN));
    assert_eq!(attr(&action, "subject"), "Friends");
    let sent = send(&library, &jid, "hello all").await;
    assert_eq!(phones_that_showed(&sim, &sent, 2).await, [BOB, ADA]);

    groups.leave(&jid).await.unwrap();
    let (tag, who, by, _) = next_change(&sim, &mut bob).await;
    assert_eq!((tag.as_str(), by.as_str()), ("remove", OWN));
    assert_eq!(who, [OWN]);
    let shown = sim.get(&format!("/groups/{jid}")).await;
    assert_eq!(shown["subject"], "Friends");
    let members = serde_json::json!({(BOB): "member", (ADA): "member"});
    assert_eq!(shown["members"], members);
    library.stop().await;
}

/// Asks to change a group. Returns the error code, or an empty text.
async fn changed(companion: &mut Companion, group: &str, change: Node) -> String {
    let reply = companion.ask_to(group, "w:g2", "set", vec![change]).await;
    let error = reply.get_optional_child("error");
    error.map_or_else(String::new, |error| attr(error, "code"))
}

fn naming(tag: &'static str, phone: &str) -> Node {
    let member = NodeBuilder::new("participant").attr("jid", library::jid(phone));
    NodeBuilder::new(tag).children([member.build()]).build()
}

fn subject(text: &str) -> Node {
    NodeBuilder::new("subject").bytes(text.as_bytes()).build()
}

#[tokio::test]
async fn only_an_admin_changes_a_group() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    let (id, _) = super::group(&sim, "lid").await;
    for tag in ["add", "remove", "promote", "demote"] {
        assert_eq!(
            changed(&mut own, &id, naming(tag, EVE)).await,
            "403",
            "{tag}"
        );
    }
    assert_eq!(changed(&mut own, &id, subject("Mine")).await, "403");
    let mut bob = sim.companion(BOB).await;
    assert_eq!(changed(&mut bob, &id, naming("promote", OWN)).await, "");
    assert_eq!(changed(&mut own, &id, subject("Mine")).await, "");
    assert_eq!(changed(&mut own, &id, subject("")).await, "406");
    let odd = NodeBuilder::new("growth_locked").build();
    assert_eq!(changed(&mut own, &id, odd).await, "403", "not supported");
    assert_eq!(sim.get(&format!("/groups/{id}")).await["subject"], "Mine");
}

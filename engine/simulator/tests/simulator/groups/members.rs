//! The members of a group, and what happens when they change.

use serde_json::json;
use whatsapp_rust::Jid;

use super::{
    ADA, BOB, EVE, MODES, OWN, all_was_readable, group, members, phones_that_showed, say, send,
};
use crate::library::Library;
use crate::sim::Sim;

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
        assert!(
            found
                .participants
                .iter()
                .all(|one| one.jid.is_lid() == (mode == "lid"))
        );
        let bob = found.participants.iter().filter(|one| one.is_super_admin());
        assert_eq!(bob.count(), 1, "who made it");
        let all = groups.get_participating().await.unwrap();
        let ids: Vec<String> = all.keys().map(ToString::to_string).collect();
        assert_eq!(ids, [id]);
        library.stop().await;
    }
}

#[tokio::test]
async fn a_client_learns_who_the_admins_are() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let body = json!({"subject": "Team", "creator": BOB, "members": [OWN], "admins": [EVE]});
    let made = sim.post("/groups", body).await;
    let jid: Jid = made["id"].as_str().unwrap().parse().unwrap();
    let found = library.client.groups().get_metadata(&jid).await.unwrap();
    let admins = found.participants.iter().filter(|one| one.is_admin());
    let mut who = Vec::new();
    for admin in admins {
        who.extend(sim.number(&[OWN, BOB, EVE], &admin.jid).await);
    }
    who.sort_unstable();
    assert_eq!(who, [BOB, EVE]);
    library.stop().await;
}

#[tokio::test]
async fn the_control_api_tells_who_is_in_a_group() {
    let sim = Sim::start();
    let body = json!({"subject": "Team", "creator": BOB, "members": [OWN, EVE], "admins": [EVE]});
    let made = sim.post("/groups", body).await;
    let id = made["id"].as_str().unwrap();
    let told = json!({
        "id": id, "subject": "Team", "creator": BOB, "addressing_mode": "lid",
        "members": {BOB: "admin", EVE: "admin", OWN: "member"},
        "settings": {"description": null, "admins_only": false, "locked": false, "join_approval": false,
            "expires_seconds": 0},
    });
    assert_eq!(sim.get(&format!("/groups/{id}")).await, told);
    members(&sim, id, json!({"add": [ADA], "remove": [EVE]})).await;
    let told = json!({BOB: "admin", OWN: "member", ADA: "member"});
    assert_eq!(sim.get(&format!("/groups/{id}")).await["members"], told);
    let none = sim
        .call("GET", "/groups/120363000000000001@g.us", None)
        .await;
    assert_eq!(none.0, 404);
}

#[tokio::test]
async fn who_joins_gets_the_key_and_who_leaves_gets_nothing_more() {
    for mode in MODES {
        let sim = Sim::start();
        let mut library = Library::link(&sim, OWN).await;
        let (id, jid) = group(&sim, mode).await;
        let changed = async |library: &mut Library| library.group_changed(&jid).await;
        changed(&mut library).await;
        let first = send(&library, &jid, "we three").await;
        assert_eq!(phones_that_showed(&sim, &first, 2).await, [BOB, EVE]);
        members(&sim, &id, json!({"add": [ADA]})).await;
        changed(&mut library).await;
        let second = send(&library, &jid, "we four").await;
        assert_eq!(phones_that_showed(&sim, &second, 3).await, [BOB, EVE, ADA]);
        members(&sim, &id, json!({"remove": [EVE]})).await;
        changed(&mut library).await;
        let third = send(&library, &jid, "without Eve").await;
        assert_eq!(phones_that_showed(&sim, &third, 2).await, [BOB, ADA]);
        all_was_readable(&sim).await;
        library.stop().await;
    }
}

#[tokio::test]
async fn a_phone_s_key_goes_to_who_joins_and_not_to_who_left() {
    let sim = Sim::start();
    let mut library = Library::link(&sim, ADA).await;
    let (id, _) = group(&sim, "lid").await;
    let before = say(&sim, BOB, &id, "before").await;
    assert_eq!(phones_that_showed(&sim, &before, 2).await, [OWN, EVE]);
    members(&sim, &id, json!({"add": [ADA]})).await;
    let with = say(&sim, BOB, &id, "with you").await;
    let got = library.next().await;
    assert_eq!(*got.info.id, *with);
    assert_eq!(got.message.conversation.as_deref(), Some("with you"));
    members(&sim, &id, json!({"remove": [ADA]})).await;
    say(&sim, BOB, &id, "without you").await;
    say(&sim, BOB, ADA, "to you").await;
    let got = library.next().await;
    assert_eq!(got.message.conversation.as_deref(), Some("to you"));
    all_was_readable(&sim).await;
    library.stop().await;
}

#[tokio::test]
async fn numbers_are_known_to_be_on_whatsapp_or_not() {
    let sim = Sim::start();
    sim.post("/phones", json!({"phone": BOB})).await;
    let library = Library::link(&sim, OWN).await;
    let asked: [Jid; 2] = [BOB, EVE].map(crate::library::jid);
    let contacts = library.client.contacts();
    let found = contacts.is_on_whatsapp(&asked).await.unwrap();
    let known: Vec<bool> = found.iter().map(|one| one.is_registered).collect();
    assert_eq!(known, [true, false]);
    library.stop().await;
}

//! Settings of a group: a linked device and a phone change them, and a device of another member is told of each change,
//! and by whom.

use serde_json::json;
use wacore_binary::{Jid, Node};
use whatsapp_rust::wacore::iq::groups::{GroupDescription, GroupSubject, MembershipApprovalMode};
use whatsapp_rust::{Client, PreviousDescription};

use super::{ADA, BOB, EVE, MODES, OWN, members};
use crate::library::Library;
use crate::raw::{Companion, attr};
use crate::sim::Sim;

/// Returns the next notification of a group, and what it says.
async fn next_change(companion: &mut Companion) -> (Node, Node) {
    loop {
        let node = companion.expect("notification").await;
        if attr(&node, "type") == "w:gp2" {
            let action = node.children().unwrap()[0].clone();
            return (node, action);
        }
    }
}

fn names(node: &Node, name: &str) -> Jid {
    node.attrs.get(name).unwrap().to_jid().unwrap()
}

async fn change_all(client: &Client, jid: &Jid) {
    let groups = client.groups();
    let text = GroupDescription::new("About us").unwrap();
    let subject = GroupSubject::new("Friends").unwrap();
    groups.set_subject(jid, subject).await.unwrap();
    let before = PreviousDescription::default();
    groups
        .set_description(jid, Some(text), before)
        .await
        .unwrap();
    groups.set_announce(jid, true).await.unwrap();
    groups.set_locked(jid, true).await.unwrap();
    groups.set_ephemeral(jid, 86_400).await.unwrap();
    let approval = MembershipApprovalMode::On;
    groups.set_membership_approval(jid, approval).await.unwrap();
}

#[tokio::test]
async fn settings_are_told_with_both_names_of_who_changed_them_and_a_client_reads_them() {
    for mode in MODES {
        let sim = Sim::start();
        let library = Library::link(&sim, OWN).await;
        let mut bob = sim.companion(BOB).await;
        let body =
            json!({"subject": "Team", "creator": BOB, "admins": [OWN], "addressing_mode": mode});
        let made = sim.post("/groups", body).await;
        let id = made["id"].as_str().unwrap();
        let jid: Jid = id.parse().unwrap();
        next_change(&mut bob).await;
        change_all(&library.client, &jid).await;
        let (pn, lid) = (library.client.pn().unwrap(), library.client.lid().unwrap());
        let (own, name, other) = match mode {
            "lid" => (lid, "participant_pn", pn),
            _ => (pn, "participant_lid", lid),
        };
        for tag in [
            "subject",
            "description",
            "announcement",
            "locked",
            "ephemeral",
            "membership_approval_mode",
        ] {
            let (notice, action) = next_change(&mut bob).await;
            assert_eq!(action.tag, tag);
            assert_eq!(names(&notice, "participant"), own.to_non_ad());
            assert_eq!(names(&notice, name), other.to_non_ad());
        }
        let found = library.client.groups().get_metadata(&jid).await.unwrap();
        assert_eq!(found.description.as_deref(), Some("About us"));
        assert!(found.is_announcement && found.is_locked && found.membership_approval);
        let timer = found.ephemeral.and_then(|timer| timer.expiration);
        assert_eq!((found.subject.as_str(), timer), ("Friends", Some(86_400)));
        let off = json!({"by": OWN, "description": "", "admins_only": false, "locked": false,
            "join_approval": false, "expires_seconds": 0});
        sim.post(&format!("/groups/{id}/settings"), off).await;
        for tag in [
            "description",
            "not_announcement",
            "unlocked",
            "membership_approval_mode",
            "not_ephemeral",
        ] {
            let (notice, action) = next_change(&mut bob).await;
            assert_eq!(action.tag, tag);
            assert_eq!(names(&notice, "participant"), own.to_non_ad());
        }
        library.stop().await;
    }
}

#[tokio::test]
async fn who_comes_in_is_told_the_group_and_who_joins_by_link_is_added_by_nobody() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    let mut bob = sim.companion(BOB).await;
    let body = json!({"subject": "Team", "creator": BOB, "members": [EVE]});
    let made = sim.post("/groups", body).await;
    let id = made["id"].as_str().unwrap();
    next_change(&mut bob).await;
    members(&sim, id, json!({"join": [OWN], "add": [ADA], "by": EVE})).await;
    let (added, action) = next_change(&mut bob).await;
    assert_eq!(
        (action.tag.as_ref(), added.attrs.get("notify")),
        ("add", None)
    );
    let (joined, action) = next_change(&mut bob).await;
    assert_eq!(
        (action.tag.as_ref(), attr(&action, "reason")),
        ("add", "invite".to_owned())
    );
    assert!(joined.attrs.get("participant").is_none());
    let (_, action) = next_change(&mut own).await;
    assert_eq!(
        (action.tag.as_ref(), attr(&action, "reason")),
        ("create", "invite".to_owned())
    );
    let group = action.get_optional_child("group").unwrap();
    assert_eq!(group.get_children_by_tag("participant").count(), 4);
}

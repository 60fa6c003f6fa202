//! A group's stanzas, as a bare client receives them.

use serde_json::json;
use wacore_binary::Node;

use super::{BOB, EVE, MODES, OWN, group, members, say, send};
use crate::library::Library;
use crate::raw::{Companion, attr};
use crate::sim::Sim;

/// Returns the encryption types of a message's ciphertexts, in order.
fn sealed(message: &Node) -> Vec<String> {
    let all = message.get_children_by_tag("enc");
    all.map(|enc| attr(enc, "type")).collect()
}

/// Returns the next message of a group, and whether it carries the sender's identity proof.
async fn message_of(companion: &mut Companion, group: &str) -> (Node, bool) {
    loop {
        let message = companion.expect("message").await;
        // The own phone sends messages, too.
        if attr(&message, "from") == group {
            let proof = message.get_optional_child("device-identity").is_some();
            return (message, proof);
        }
    }
}

#[tokio::test]
async fn a_device_gets_the_library_s_key_once_and_then_the_one_ciphertext() {
    for mode in MODES {
        let sim = Sim::start();
        let library = Library::link(&sim, OWN).await;
        let mut eve = sim.companion(EVE).await;
        eve.upload_keys().await;
        let (id, jid) = group(&sim, mode).await;
        send(&library, &jid, "hello all").await;
        let (first, proof) = message_of(&mut eve, &id).await;
        assert_eq!(sealed(&first), ["pkmsg", "skmsg"]);
        assert!(proof, "a session begins");
        send(&library, &jid, "again").await;
        let (second, proof) = message_of(&mut eve, &id).await;
        assert_eq!((sealed(&second), proof), (vec!["skmsg".to_owned()], false));
        let (pn, lid) = (library.client.pn().unwrap(), library.client.lid().unwrap());
        let (own, other, name) = match mode {
            "lid" => (lid, pn, "participant_pn"),
            _ => (pn, lid, "participant_lid"),
        };
        assert_eq!(
            (attr(&second, "from"), attr(&second, "addressing_mode")),
            (id, mode.to_owned())
        );
        assert_eq!(attr(&second, "participant"), own.to_string());
        assert_eq!(attr(&second, name), other.to_non_ad().to_string());
        library.stop().await;
    }
}

#[tokio::test]
async fn a_device_gets_a_phone_s_key_once_and_then_the_one_ciphertext() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    own.upload_keys().await;
    let (id, _) = group(&sim, "lid").await;
    say(&sim, BOB, &id, "hello all").await;
    let (first, _) = message_of(&mut own, &id).await;
    assert_eq!(sealed(&first), ["pkmsg", "skmsg"]);
    say(&sim, BOB, &id, "again").await;
    let (second, _) = message_of(&mut own, &id).await;
    assert_eq!(sealed(&second), ["skmsg"]);
}

#[tokio::test]
async fn a_receipt_comes_from_the_group_and_names_the_member() {
    for mode in MODES {
        let sim = Sim::start();
        let mut bob = sim.companion(BOB).await;
        let (id, _) = group(&sim, mode).await;
        members(&sim, &id, json!({"remove": [OWN]})).await;
        let said = say(&sim, BOB, &id, "hello Eve").await;
        let receipt = bob.expect("receipt").await;
        assert_eq!((attr(&receipt, "id"), attr(&receipt, "from")), (said, id));
        let eve = match mode {
            "lid" => sim.get(&format!("/phones/{EVE}")).await["lid"].clone(),
            _ => json!(crate::library::jid(EVE).to_string()),
        };
        assert_eq!(json!(attr(&receipt, "participant")), eve);
    }
}

/// Returns the next group notification of a device.
async fn next_group_change(companion: &mut Companion, group: &str) -> (String, usize) {
    loop {
        let node = companion.expect("notification").await;
        if attr(&node, "type") == "w:gp2" {
            assert_eq!(attr(&node, "from"), group);
            let action = &node.children().unwrap()[0];
            let who = action.get_children_by_tag("participant").count();
            return (action.tag.to_string(), who);
        }
    }
}

#[tokio::test]
async fn a_member_s_devices_are_told_what_changes() {
    let sim = Sim::start();
    let mut own = sim.companion(OWN).await;
    let (id, _) = group(&sim, "lid").await;
    let (made, _) = next_group_change(&mut own, &id).await;
    assert_eq!(made, "create");
    members(&sim, &id, json!({"add": [super::ADA]})).await;
    assert_eq!(
        next_group_change(&mut own, &id).await,
        ("add".to_owned(), 1)
    );
    members(&sim, &id, json!({"remove": [OWN, EVE]})).await;
    assert_eq!(
        next_group_change(&mut own, &id).await,
        ("remove".to_owned(), 2)
    );
}

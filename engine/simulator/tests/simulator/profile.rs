//! What accounts show of themselves: profile pictures and the text about them.

use serde_json::json;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};

use crate::library::{self, Library};
use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";
const EVE: &str = "+491510000003";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture \xff\xd9";

/// Returns the next notification of this type.
async fn told(companion: &mut Companion, kind: &str) -> Node {
    loop {
        let node = companion.expect("notification").await;
        if attr(&node, "type") == kind {
            companion.acknowledge(&node).await;
            return node;
        }
    }
}

async fn lid(sim: &Sim, phone: &str) -> String {
    let phone = sim.get(&format!("/phones/{phone}")).await;
    phone["lid"].as_str().unwrap().to_owned()
}

/// Downloads the picture that a client was given the address of.
async fn downloaded(sim: &Sim, library: &Library, of: &Jid) -> Option<Vec<u8>> {
    let contacts = library.client.contacts();
    let found = contacts.get_profile_picture(of, false).await.unwrap()?;
    let reply = sim.https().await.get(&found.url).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    Some(reply.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn an_account_s_picture_is_set_read_and_removed() {
    let sim = Sim::start();
    sim.post("/phones", json!({"phone": OWN, "contacts": [BOB]}))
        .await;
    let library = Library::link(&sim, OWN).await;
    let mut bob = sim.companion(BOB).await;
    let own = library::jid(OWN);
    assert_eq!(downloaded(&sim, &library, &own).await, None);
    let profile = library.client.profile();
    let set = profile.set_profile_picture(JPEG.to_vec()).await.unwrap();
    let change = told(&mut bob, "picture").await;
    assert_eq!(attr(&change, "from"), lid(&sim, OWN).await);
    let change = change.get_optional_child("set").expect("a new picture");
    assert_eq!(attr(change, "id"), set.id);
    for name in [own.clone(), library.client.lid().unwrap()] {
        let shown = downloaded(&sim, &library, &name.to_non_ad()).await;
        assert_eq!(shown.as_deref(), Some(JPEG), "{name}");
    }
    profile.remove_profile_picture().await.unwrap();
    let change = told(&mut bob, "picture").await;
    assert!(change.get_optional_child("delete").is_some(), "{change:?}");
    assert_eq!(downloaded(&sim, &library, &own).await, None);
    library.stop().await;
}

/// Sets the picture of an address. Returns the error code, or an empty text.
async fn set(companion: &mut Companion, target: &str, bytes: &[u8]) -> String {
    let picture = NodeBuilder::new("picture").attr("type", "image");
    let iq = NodeBuilder::new("iq")
        .attr("to", Jid::pn(""))
        .attr("target", target.parse::<Jid>().unwrap())
        .attr("type", "set")
        .attr("xmlns", "w:profile:picture")
        .attr("id", "picture")
        .children([picture.bytes(bytes).build()]);
    companion.send(iq.build()).await;
    let reply = companion.expect("iq").await;
    let error = reply.get_optional_child("error");
    error.map_or_else(String::new, |error| attr(error, "code"))
}

#[tokio::test]
async fn a_group_s_picture_is_for_its_admins_to_set() {
    let sim = Sim::start();
    let library = Library::link(&sim, OWN).await;
    let (mut bob, mut eve) = (sim.companion(BOB).await, sim.companion(EVE).await);
    let body = json!({"subject": "Team", "creator": BOB, "members": [OWN, EVE]});
    let made = sim.post("/groups", body).await;
    let group = made["id"].as_str().unwrap();
    let bobs = library::jid(BOB).to_string();
    assert_eq!(set(&mut eve, group, JPEG).await, "403");
    assert_eq!(set(&mut eve, &bobs, JPEG).await, "403", "somebody else's");
    assert_eq!(set(&mut bob, group, b"GIF89a").await, "406");
    assert_eq!(set(&mut bob, group, JPEG).await, "");
    let change = told(&mut eve, "picture").await;
    assert_eq!(attr(&change, "from"), group);
    let change = change.get_optional_child("set").unwrap();
    assert_eq!(attr(change, "author"), lid(&sim, BOB).await);
    let jid: Jid = group.parse().unwrap();
    let shown = downloaded(&sim, &library, &jid).await;
    assert_eq!(shown.as_deref(), Some(JPEG));
    library.stop().await;
}

fn text(change: &Node) -> String {
    let set = change.get_optional_child("set").unwrap();
    match &set.content {
        Some(NodeContent::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
        Some(NodeContent::String(text)) => text.to_string(),
        other => panic!("no text in {other:?}"),
    }
}

#[tokio::test]
async fn contacts_are_told_a_changed_text_about_somebody() {
    let sim = Sim::start();
    sim.post("/phones", json!({"phone": OWN, "contacts": [BOB]}))
        .await;
    let library = Library::link(&sim, OWN).await;
    let mut bob = sim.companion(BOB).await;
    let mut stranger = sim.companion(EVE).await;
    library
        .client
        .profile()
        .set_status_text("at sea")
        .await
        .unwrap();
    let change = told(&mut bob, "status").await;
    assert_eq!(attr(&change, "from"), lid(&sim, OWN).await);
    assert_eq!(text(&change), "at sea");
    assert_eq!(sim.get(&format!("/phones/{OWN}")).await["about"], "at sea");
    sim.post("/phones", json!({"phone": OWN, "about": "ashore"}))
        .await;
    assert_eq!(text(&told(&mut bob, "status").await), "ashore");
    let ping = NodeBuilder::new("ping").build();
    stranger.ask("w:p", "get", ping).await;
    let other = stranger.passed();
    assert!(
        other.iter().all(|node| attr(node, "type") != "status"),
        "{other:?}"
    );
    library.stop().await;
}

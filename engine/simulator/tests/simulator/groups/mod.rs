//! Groups, with the library as one of the members, and their stanzas.

mod changes;
mod members;
mod odd;
mod refusals;
mod settings;
mod talk;
mod wire;

use serde_json::{Value, json};
use whatsapp_rust::Jid;

use crate::library::Library;
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";
const EVE: &str = "+491510000003";
const ADA: &str = "+491510000004";
const MODES: [&str; 2] = ["lid", "pn"];

/// Makes a group as Bob, with Eve and the tests' number in it.
async fn group(sim: &Sim, mode: &str) -> (String, Jid) {
    let body = json!({
        "subject": "Team", "creator": BOB, "members": [OWN, EVE], "addressing_mode": mode,
    });
    let made = sim.post("/groups", body).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let jid = id.parse().unwrap();
    (id, jid)
}

async fn members(sim: &Sim, group: &str, change: Value) {
    sim.post(&format!("/groups/{group}/members"), change).await;
}

async fn say(sim: &Sim, from: &str, to: &str, text: &str) -> String {
    let said = sim
        .say(from, to, json!({"type": "text", "text": text}))
        .await;
    said["id"].as_str().unwrap().to_owned()
}

async fn send(library: &Library, group: &Jid, words: &str) -> String {
    let message = waproto::whatsapp::Message {
        conversation: Some(words.to_owned()),
        ..Default::default()
    };
    let sent = library.client.send_message(group, message).await;
    sent.unwrap().message_id
}

/// Returns who has shown a message, when `count` of them have.
async fn phones_that_showed(sim: &Sim, id: &str, count: usize) -> Vec<String> {
    let entries = sim.ledger_of("shown", id, count).await;
    let mut who: Vec<String> = entries
        .iter()
        .map(|entry| entry["to"].as_str().unwrap().to_owned())
        .collect();
    who.sort_unstable();
    who
}

/// Checks that every phone and every linked device could decrypt every message.
async fn all_was_readable(sim: &Sim) {
    let odd = sim.get("/ledger?kind=unreadable").await;
    assert_eq!(odd["entries"], json!([]));
    let receipts = sim.ledger("receipt", 1).await;
    assert!(receipts.iter().all(|one| one["type"] != "retry"));
}

//! Acknowledgements, faults and the queue of a device.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wacore_binary::{NodeContent, builder::NodeBuilder};

use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

async fn pair_of(sim: &Sim) -> Companion {
    sim.post("/phones", json!({"phone": BOB})).await;
    sim.companion(OWN).await
}

/// Makes Bob's phone send a text to the linked device. Returns the reply.
async fn say(sim: &Sim, text: &str) -> Value {
    let path = format!("/phones/{BOB}/say");
    sim.post(&path, json!({"to": OWN, "text": text})).await
}

#[tokio::test]
async fn a_message_is_noted_when_read_and_acknowledged() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    companion.send_message(BOB, "3EB0A").await;
    let ack = companion.expect("ack").await;
    assert_eq!(attr(&ack, "id"), "3EB0A");
    assert_eq!(attr(&ack, "error"), "");
    let sent = &sim.ledger("sent", 1).await[0];
    assert_eq!((&sent["from"], &sent["to"]), (&json!(OWN), &json!(BOB)));
    let unreadable = &sim.ledger("unreadable", 1).await[0];
    assert_eq!(unreadable["id"], "3EB0A");
    let retry = companion.expect("receipt").await;
    assert_eq!(attr(&retry, "type"), "retry");
}

#[tokio::test]
async fn nobody_there_is_a_404() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    companion.send_message("+499999999999", "3EB0A").await;
    assert_eq!(attr(&companion.expect("ack").await, "error"), "404");
}

#[tokio::test]
async fn a_refused_message_reaches_nobody() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    for code in [400, 404, 463, 479, 503] {
        let fault = json!({"phone": OWN, "on": "ack", "do": "nack", "code": code, "times": 1});
        sim.post("/faults", fault).await;
        companion.send_message(BOB, &format!("3EB0{code}")).await;
        assert_eq!(
            attr(&companion.expect("ack").await, "error"),
            code.to_string()
        );
    }
    companion.send_message(BOB, "3EB0OK").await;
    assert_eq!(attr(&companion.expect("ack").await, "error"), "");
    let reached = sim.ledger("unreadable", 1).await;
    assert_eq!(reached.len(), 1);
    assert_eq!(reached[0]["id"], "3EB0OK");
}

#[tokio::test]
async fn a_dropped_acknowledgement_does_not_stop_the_message() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    sim.post("/faults", json!({"on": "ack", "do": "drop", "times": 1}))
        .await;
    companion.send_message(BOB, "3EB0A").await;
    companion.send_message(BOB, "3EB0B").await;
    assert_eq!(attr(&companion.expect("ack").await, "id"), "3EB0B");
    assert_eq!(sim.ledger("unreadable", 2).await.len(), 2);
}

#[tokio::test]
async fn an_acknowledgement_is_late_by_what_was_asked() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    let fault = json!({"on": "ack", "do": "delay", "delay_ms": 300, "times": 1});
    sim.post("/faults", fault).await;
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let start = Instant::now();
    companion.send_message(BOB, "3EB0A").await;
    companion.expect("ack").await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_cut_comes_after_the_frame_was_read() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    sim.post("/faults", json!({"on": "message", "do": "cut", "times": 1}))
        .await;
    companion.send_message(BOB, "3EB0A").await;
    assert!(companion.rest().await.iter().all(|node| node.tag != "ack"));
    assert_eq!(sim.ledger("sent", 1).await[0]["id"], "3EB0A");
    assert_eq!(
        sim.get("/ledger?kind=unreadable").await["entries"],
        json!([])
    );
}

#[tokio::test]
async fn a_message_may_be_refused_doubled_or_late() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    let fault = |how: &str, code: u16| json!({"on": "message", "do": how, "code": code, "delay_ms": 300, "times": 1});
    sim.post("/faults", fault("nack", 479)).await;
    companion.send_message(BOB, "3EB0N").await;
    assert_eq!(attr(&companion.expect("ack").await, "error"), "479");
    sim.post("/faults", fault("duplicate", 0)).await;
    companion.send_message(BOB, "3EB0D").await;
    companion.expect("ack").await;
    let twice = sim.ledger("unreadable", 2).await;
    assert!(twice.iter().all(|one| one["id"] == "3EB0D"), "{twice:?}");
    sim.post("/faults", fault("delay", 0)).await;
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let start = Instant::now();
    companion.send_message(BOB, "3EB0L").await;
    assert_eq!(attr(&companion.expect("ack").await, "id"), "3EB0L");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(sim.ledger("unreadable", 3).await[2]["id"], "3EB0L");
}

#[tokio::test]
async fn a_connection_may_be_cut_in_place_of_an_acknowledgement() {
    for late in [false, true] {
        let sim = Sim::start();
        let mut companion = pair_of(&sim).await;
        if late {
            let delay = json!({"on": "message", "do": "delay", "delay_ms": 10, "times": 1});
            sim.post("/faults", delay).await;
        }
        let cut = json!({"on": "ack", "do": "cut", "times": 1});
        sim.post("/faults", cut).await;
        companion.send_message(BOB, "3EB0A").await;
        assert!(companion.rest().await.iter().all(|node| node.tag != "ack"));
        assert_eq!(sim.ledger("unreadable", 1).await[0]["id"], "3EB0A");
    }
}

/// Asks for something by the `query_id` of WhatsApp Web (wacore 0.7.0, `mex_operations`).
async fn mex(companion: &mut Companion, query_id: &'static str) -> Value {
    let query = NodeBuilder::new("query")
        .attr("query_id", query_id)
        .bytes(b"{}".to_vec())
        .build();
    let answer = companion.ask("w:mex", "get", query).await;
    let result = answer.get_optional_child("result").expect("a result");
    json_in(result)["data"].clone()
}

fn json_in(node: &wacore_binary::Node) -> Value {
    let Some(NodeContent::Bytes(text)) = &node.content else {
        panic!("no JSON in {node:?}");
    };
    serde_json::from_slice(text).unwrap()
}

/// Returns the name and the data of the next push.
async fn pushed(companion: &mut Companion) -> (String, Value) {
    let push = companion.expect("notification").await;
    assert_eq!(attr(&push, "type"), "mex");
    let update = push.get_optional_child("update").expect("an update");
    (attr(update, "op_name"), json_in(update)["data"].clone())
}

#[tokio::test]
async fn safety_an_account_is_told_of_its_reach_out_time_lock_and_gets_it_pushed() {
    let sim = Sim::start();
    let mut companion = sim.companion(OWN).await;
    let path = format!("/timelock/{OWN}");
    for (active, until_ms, ends) in [(true, 1_800_000_000_000_u64, "1800000000"), (false, 0, "0")] {
        let lock = json!({"active": active, "until_ms": until_ms, "kind": "BIZ_QUALITY"});
        let (status, _) = sim.call("PUT", &path, Some(lock)).await;
        assert_eq!(status, 200);
        let expected = json!({"is_active": active, "time_enforcement_ends": ends, "enforcement_type": "BIZ_QUALITY"});
        let (name, data) = pushed(&mut companion).await;
        assert_eq!(name, "NotificationUserReachoutTimelockUpdate");
        assert_eq!(data["xwa2_notify_account_reachout_timelock"], expected);
        let told = mex(&mut companion, "23983697327930364").await;
        assert_eq!(told["xwa2_fetch_account_reachout_timelock"], expected);
    }
}

#[tokio::test]
async fn safety_an_account_is_told_of_its_quota_of_new_chats_and_gets_it_pushed() {
    const QUERY: &str = "24503548349331633";
    let sim = Sim::start();
    let mut companion = sim.companion(OWN).await;
    let none = mex(&mut companion, QUERY).await;
    assert_eq!(none["xwa2_message_capping_info"], Value::Null);
    let path = format!("/capping/{OWN}");
    let quiet = json!({"status": "NONE", "total": 300, "used": 1, "push": false});
    let (status, _) = sim.call("PUT", &path, Some(quiet)).await;
    assert_eq!(status, 200);
    let quota = json!({"status": "FIRST_WARNING", "total": 300, "used": 240, "cycle_end_ms": 1_800_000_000_000_u64});
    let (status, _) = sim.call("PUT", &path, Some(quota)).await;
    assert_eq!(status, 200);
    let (name, pushed) = pushed(&mut companion).await;
    assert_eq!(name, "MessageCappingInfoNotification");
    let pushed = &pushed["xwa2_notify_new_chat_messages_capping_info_update"];
    let told = mex(&mut companion, QUERY).await;
    let told = &told["xwa2_message_capping_info"];
    assert_eq!(pushed, told);
    assert_eq!(told["capping_status"], "FIRST_WARNING");
    assert_eq!(
        (&told["total_quota"], &told["used_quota"]),
        (&json!("300"), &json!("240"))
    );
    assert_eq!(told["cycle_end_timestamp"], 1_800_000_000);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    let (one, two) = (say(&sim, "one").await, say(&sim, "two").await);
    let first = companion.expect("message").await;
    assert_eq!(attr(&first, "id"), one["id"]);
    assert_eq!(attr(&first, "offline"), "");
    companion.acknowledge(&first).await;
    companion.expect("message").await;
    // The answer to the ping proves that the acknowledgement was read.
    let ping = wacore_binary::builder::NodeBuilder::new("ping").build();
    companion.ask("w:p", "get", ping).await;
    companion.drop_connection();
    let three = say(&sim, "three").await;
    companion.connect().await;
    companion.expect("success").await;
    let waited = companion.go_active().await;
    let ids: Vec<String> = waited.iter().map(|node| attr(node, "id")).collect();
    assert_eq!(
        ids,
        [two["id"].as_str().unwrap(), three["id"].as_str().unwrap()]
    );
    assert!(waited.iter().all(|node| !attr(node, "offline").is_empty()));
}

#[tokio::test]
async fn a_phone_that_is_offline_takes_nothing_until_it_is_back() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    sim.post("/phones", json!({"phone": BOB, "online": false}))
        .await;
    companion.send_message(BOB, "3EB0A").await;
    companion.expect("ack").await;
    assert_eq!(sim.get("/phones/491510000002").await["queued"], 1);
    assert_eq!(
        sim.get("/ledger?kind=unreadable").await["entries"],
        json!([])
    );
    sim.post("/phones", json!({"phone": BOB, "online": true}))
        .await;
    assert_eq!(sim.ledger("unreadable", 1).await[0]["id"], "3EB0A");
}

#[tokio::test]
async fn copies_share_an_id_and_differ_in_their_seal() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    let path = format!("/phones/{BOB}/say");
    let body = json!({"to": OWN, "text": "again", "id": "3ATWICE", "copies": 2});
    sim.post(&path, body).await;
    let (one, two) = (
        companion.expect("message").await,
        companion.expect("message").await,
    );
    assert_eq!(
        (attr(&one, "id"), attr(&two, "id")),
        ("3ATWICE".into(), "3ATWICE".into())
    );
    assert_ne!(one.get_optional_child("enc"), two.get_optional_child("enc"));
}

#[tokio::test]
async fn frames_are_noted_in_the_order_and_at_the_times_they_were_read() {
    let sim = Sim::start();
    let mut companion = pair_of(&sim).await;
    for n in 0..5 {
        companion.send_message(BOB, &format!("3EB0{n}")).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let sent = sim.ledger("sent", 5).await;
    let times: Vec<u64> = sent
        .iter()
        .map(|entry| entry["wire_us"].as_u64().unwrap())
        .collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= 25_000, "{times:?}");
    }
}

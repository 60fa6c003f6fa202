//! Linking and logging in.

use std::time::{Duration, Instant};

use serde_json::json;
use wacore_binary::{Node, builder::NodeBuilder};
use wacore_libsignal::protocol::KeyPair;

use crate::raw::{Companion, attr};
use crate::sim::Sim;

#[tokio::test]
async fn a_scanned_device_logs_in_and_the_phone_lists_it() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    companion.connect().await;
    let success = companion.expect("success").await;
    let lid = companion.device.lid.as_ref().unwrap().to_string();
    assert_eq!(attr(&success, "lid"), lid);
    let phone = sim.get("/phones/+491510000001").await;
    assert_eq!(phone["devices"][0]["device"], 1);
    assert_eq!(phone["devices"][0]["online"], true);
}

#[tokio::test]
async fn a_qr_is_good_for_its_own_device_alone() {
    let sim = Sim::start();
    let (mut shown, mut other) = (Companion::new(&sim), Companion::new(&sim));
    shown.connect().await;
    other.connect().await;
    let (mine, theirs) = (shown.qr().await, other.qr().await);
    let text_ref = mine.split(',').next().unwrap();
    let keys = theirs.split_once(',').unwrap().1;
    let qr = format!("{text_ref},{keys}");
    let path = "/phones/+491510000001/scan";
    let (status, _) = sim.call("POST", path, Some(json!({ "qr": qr }))).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn a_login_with_another_noise_key_is_refused() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    companion.device.noise_key = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
    companion.connect().await;
    let failure = companion.expect("failure").await;
    assert_eq!(attr(&failure, "reason"), "401");
    assert!(companion.next().await.is_none());
}

#[tokio::test]
async fn a_second_login_replaces_the_first() {
    let sim = Sim::start();
    let mut first = sim.companion("+491510000001").await;
    let mut second = Companion::new(&sim);
    second.device = first.device.clone();
    second.connect().await;
    second.expect("success").await;
    let last = first.rest().await.pop().unwrap();
    let conflict = last.get_optional_child("conflict").expect("a conflict");
    assert_eq!(attr(conflict, "type"), "replaced");
    second.go_active().await;
    let phone = sim.get("/phones/491510000001").await;
    assert_eq!(phone["devices"][0]["online"], true, "the newer one stays");
}

#[tokio::test]
async fn an_unlinked_device_is_told_so_and_cannot_come_back() {
    let sim = Sim::start();
    let mut companion = sim.companion("+491510000001").await;
    sim.post("/phones/+491510000001/unlink", json!({ "device": 1 }))
        .await;
    let last = companion.rest().await.pop().unwrap();
    let conflict = last.get_optional_child("conflict").expect("a conflict");
    assert_eq!(attr(conflict, "type"), "device_removed");
    companion.connect().await;
    assert_eq!(attr(&companion.expect("failure").await, "reason"), "401");
}

#[tokio::test]
async fn a_refused_login_carries_what_it_was_told_to() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    let fault = json!({"on": "login", "do": "refuse", "reason": 402, "code": 101, "expire": 3600, "times": 1});
    sim.post("/faults", fault).await;
    companion.connect().await;
    let failure = companion.expect("failure").await;
    let told = ["reason", "code", "expire"].map(|key| attr(&failure, key));
    assert_eq!(told, ["402", "101", "3600"]);
    companion.connect().await;
    companion.expect("success").await;
}

#[tokio::test]
async fn a_login_may_be_cut_or_late() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    let cut = json!({"on": "login", "do": "cut", "times": 1});
    sim.post("/faults", cut).await;
    companion.connect().await;
    assert_eq!(companion.rest().await, []);
    let late = json!({"on": "login", "do": "delay", "delay_ms": 300, "times": 1});
    sim.post("/faults", late).await;
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let start = Instant::now();
    companion.connect().await;
    companion.expect("success").await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_login_that_is_dropped_gets_no_word_and_the_next_one_works() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    let drop = json!({"on": "login", "do": "drop", "times": 1});
    sim.post("/faults", drop).await;
    companion.connect().await;
    assert!(companion.receives_nothing(Duration::from_millis(300)).await);
    assert_eq!(sim.get("/stats").await["logins"], 1, "the server read it");
    let phone = sim.get("/phones/491510000001").await;
    assert_eq!(phone["devices"][0]["online"], false);
    companion.drop_connection();
    companion.connect().await;
    companion.expect("success").await;
    companion.go_active().await;
    assert_eq!(sim.get("/stats").await["logins"], 2);
    let phone = sim.get("/phones/491510000001").await;
    assert_eq!(phone["devices"][0]["online"], true);
}

#[tokio::test]
async fn a_new_device_is_sent_keys_and_history_once() {
    let sim = Sim::start();
    let contacts = json!(["+491510000002"]);
    sim.post(
        "/phones",
        json!({"phone": "+491510000001", "contacts": contacts}),
    )
    .await;
    let mut companion = sim.companion("+491510000001").await;
    for _ in 0..2 {
        let upload = NodeBuilder::new("list").children([]);
        companion.ask("encrypt", "set", upload.build()).await;
    }
    // The key, the salt that it encrypts in the app state, and the history.
    for tag in ["message", "notification", "message"] {
        let stanza = companion.expect(tag).await;
        let (key, value) = match tag {
            "message" => ("category", "peer"),
            _ => ("type", "server_sync"),
        };
        assert_eq!(attr(&stanza, key), value);
        companion.acknowledge(&stanza).await;
    }
    // Another message would wait for an acknowledgement.
    let wait = async {
        while sim.get("/phones/491510000001").await["devices"][0]["queued"] != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, wait)
        .await
        .expect("an empty queue");
}

#[tokio::test]
async fn every_way_to_end_a_connection_says_so_on_the_wire() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    for code in ["503", "429", "500", "515", "516", "401", "409"] {
        let last = stream_error_after_kick(&sim, &mut companion, code)
            .await
            .expect("a stream error");
        assert_eq!(attr(&last, "code"), code);
    }
    for conflict in ["replaced", "device_removed"] {
        let last = stream_error_after_kick(&sim, &mut companion, conflict)
            .await
            .expect("a conflict");
        let child = last.get_optional_child("conflict").expect("what it is");
        assert_eq!(attr(child, "type"), conflict);
    }
    assert_eq!(
        stream_error_after_kick(&sim, &mut companion, "close").await,
        None
    );
}

/// Logs the device in, closes its connection and returns the stream error.
async fn stream_error_after_kick(sim: &Sim, companion: &mut Companion, how: &str) -> Option<Node> {
    companion.connect().await;
    companion.expect("success").await;
    companion.go_active().await;
    let kicked = sim.post("/kick", json!({ "how": how })).await;
    assert_eq!(kicked, json!({ "devices": 1 }));
    companion
        .rest()
        .await
        .pop()
        .filter(|node| node.tag == "stream:error")
}

#[tokio::test]
async fn a_login_is_refused_for_every_reason_there_is() {
    let sim = Sim::start();
    let mut companion = sim.link("+491510000001").await;
    for reason in ["401", "402", "403", "405", "406", "500", "503"] {
        let wanted: u16 = reason.parse().unwrap();
        let fault = json!({"on": "login", "do": "refuse", "reason": wanted, "times": 1});
        sim.post("/faults", fault).await;
        companion.connect().await;
        let failure = companion.expect("failure").await;
        assert_eq!(attr(&failure, "reason"), reason);
    }
}

//! Faults of a transfer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{BOB, Client, OWN, body, token};
use crate::sim::Sim;

#[tokio::test]
async fn transfers_can_be_refused() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let bytes = body(500_000);
    let path = client.upload(&bytes).await;
    for code in [401, 403, 404, 410, 500, 503] {
        let fault = |on: &str| json!({"on": on, "do": "nack", "code": code, "times": 1});
        sim.post("/faults", fault("download")).await;
        assert_eq!(client.status(&path).await, code);
        sim.post("/faults", fault("upload")).await;
        let (status, _) = client.post(client.url(&token(b"x")), "x").await;
        assert_eq!(status, code);
    }
}

#[tokio::test]
async fn a_download_can_break_off_half_way() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(&body(500_000)).await;
    let fault = json!({"on": "download", "do": "cut", "times": 1});
    sim.post("/faults", fault).await;
    let mut broken = client.get(&path).await.unwrap();
    assert_eq!(broken.content_length(), Some(500_000), "all is promised");
    let mut came = 0;
    let end = loop {
        match broken.chunk().await {
            Ok(Some(part)) => came += part.len(),
            end => break end,
        }
    };
    assert!(end.is_err());
    assert_eq!(came, 250_000);
    assert_eq!(client.status(&path).await, 200);
}

#[tokio::test]
async fn a_download_can_be_spoiled() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let bytes = body(500_000);
    let path = client.upload(&bytes).await;
    let fault = json!({"on": "download", "do": "corrupt", "times": 1});
    sim.post("/faults", fault).await;
    let spoiled = client.get(&path).await.unwrap().bytes().await.unwrap();
    let wrong = spoiled.iter().zip(&bytes).filter(|(a, b)| a != b).count();
    assert_eq!((spoiled.len(), wrong), (bytes.len(), 1));
    let again = client.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(again, bytes);
}

#[tokio::test]
async fn transfers_can_hang() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"x").await;
    for (on, url) in [
        ("download", format!("{}{path}", client.base)),
        ("upload", client.url(&token(b"x"))),
    ] {
        let fault = sim.post("/faults", json!({"on": on, "do": "drop"})).await;
        let request = match on {
            "upload" => client.http.post(&url).body("x"),
            _ => client.http.get(&url),
        };
        let short = Duration::from_millis(300);
        let hung = request.timeout(short).send().await;
        assert!(hung.is_err_and(|error| error.is_timeout()), "{on}");
        let id = &fault["id"];
        sim.call("DELETE", &format!("/faults/{id}"), None).await;
    }
    assert_eq!(client.status(&path).await, 200);
}

#[tokio::test]
async fn a_fault_of_one_account_spares_the_others() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let fault = json!({"phone": BOB, "on": "upload", "do": "nack", "code": 403});
    sim.post("/faults", fault).await;
    client.upload(b"mine").await;
    let fault = json!({"phone": OWN, "on": "upload", "do": "nack", "code": 403});
    sim.post("/faults", fault).await;
    let (status, _) = client.post(client.url(&token(b"y")), "y").await;
    assert_eq!(status, 403);
}

/// Returns how long something takes.
async fn taken(doing: impl Future) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let begun = Instant::now();
    doing.await;
    begun.elapsed()
}

#[tokio::test]
async fn transfers_can_be_slow() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"x").await;
    let slow = |on: &str| json!({"on": on, "do": "delay", "delay_ms": 300, "times": 1});
    sim.post("/faults", slow("download")).await;
    let long = Duration::from_millis(300);
    assert!(taken(client.status(&path)).await >= long);
    sim.post("/faults", slow("upload")).await;
    assert!(taken(client.upload(b"x")).await >= long);
}

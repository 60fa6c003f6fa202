//! Uploads: what they need, and how an interrupted upload resumes.

use serde_json::json;

use super::{Client, OWN, body, token};
use crate::sim::Sim;

#[tokio::test]
async fn what_is_uploaded_comes_down_again() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    for size in [0, 1, 100_000, 6_000_000] {
        let path = client.upload(&body(size)).await;
        let reply = client.get(&path).await.unwrap();
        assert_eq!(reply.bytes().await.unwrap(), body(size), "{size} bytes");
    }
    let stats = sim.get("/stats").await;
    assert_eq!(
        (&stats["uploads"], &stats["downloads"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(stats["media_bytes"], 6_100_001);
}

#[tokio::test]
async fn a_body_may_come_in_chunks_or_wait_to_be_asked_for() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let bytes = body(300_000);
    let parts: Vec<std::io::Result<Vec<u8>>> =
        bytes.chunks(7777).map(|part| Ok(part.to_vec())).collect();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let (status, _) = client.post(client.url(&token(&bytes)), chunked).await;
    assert_eq!(status, 200);
    let asked = client.http.post(client.url(&token(&bytes)));
    let asked = asked.header("expect", "100-continue").body(bytes);
    assert_eq!(asked.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_upload_needs_a_pass_a_folder_and_the_hash_of_its_body() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let good = client.url(&token(b"one"));
    for (url, expected) in [
        (good.replace(&client.pass, "stranger"), 401),
        (good.replace("/document/", "/attic/"), 404),
        (client.url("short"), 404),
        (client.url(&token(b"other")), 400),
        (format!("{good}&file_offset=9"), 416),
    ] {
        let (status, reply) = client.post(url.clone(), "one").await;
        assert_eq!(status, expected, "{url} {reply}");
    }
    let (status, _) = client.post(good.clone(), "one").await;
    assert_eq!(status, 200);
    sim.post(&format!("/phones/{OWN}/unlink"), json!({"device": 1}))
        .await;
    let (status, _) = client.post(good, "one").await;
    assert_eq!(status, 401, "the device is not linked any more");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_resumed() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let bytes = body(2_000_000);
    let url = client.url(&token(&bytes));
    let resume = format!("{url}&resume=1");
    assert_eq!(client.post(resume.clone(), "").await.1["resume"], "0");
    sim.post("/faults", json!({"on": "upload", "do": "cut", "times": 1}))
        .await;
    let broken = client.http.post(&url).body(bytes.clone()).send().await;
    assert!(broken.is_err(), "the connection breaks: {broken:?}");
    let told = client.post(resume.clone(), "").await.1["resume"].clone();
    assert_eq!(told, "1000000", "half of it was taken");
    let rest = bytes[1_000_000..].to_vec();
    let (status, reply) = client
        .post(format!("{url}&file_offset=1000000"), rest)
        .await;
    assert_eq!(status, 200, "{reply}");
    let path = reply["direct_path"].as_str().unwrap();
    let got = client.get(path).await.unwrap().bytes().await.unwrap();
    assert_eq!(token(&got), token(&bytes));
    let done = client.post(resume, "").await.1;
    assert_eq!(done["resume"], "complete");
    assert!(done["direct_path"].is_string() && done["url"].is_string());
}

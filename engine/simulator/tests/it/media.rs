//! The media server: passes, tokens, resumed uploads, ranges, and everything that can go wrong.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;

use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

/// What a client of the media server has.
struct Client {
    http: reqwest::Client,
    base: String,
    pass: String,
    _companion: Companion,
}

async fn pass(companion: &mut Companion) -> (String, String) {
    let ask = NodeBuilder::new("media_conn").build();
    let reply = companion.ask("w:m", "set", ask).await;
    let told = reply.get_optional_child("media_conn").unwrap();
    let host = told.get_optional_child("host").unwrap();
    (attr(told, "auth"), attr(host, "hostname"))
}

fn token(body: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(body))
}

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|n| n.to_le_bytes()[0]).collect()
}

impl Client {
    async fn new(sim: &Sim) -> Self {
        let mut companion = sim.companion(OWN).await;
        let (pass, host) = pass(&mut companion).await;
        Self {
            http: sim.https().await,
            base: format!("https://{host}"),
            pass,
            _companion: companion,
        }
    }

    fn url(&self, token: &str) -> String {
        let Self { base, pass, .. } = self;
        format!("{base}/mms/document/{token}?auth={pass}&token={token}")
    }

    async fn post(&self, url: String, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let reply = self.http.post(url).body(body).send().await.unwrap();
        let status = reply.status();
        (status, reply.json().await.unwrap())
    }

    /// Upload, and return the address.
    async fn upload(&self, bytes: &[u8]) -> String {
        let (status, reply) = self.post(self.url(&token(bytes)), bytes.to_vec()).await;
        assert_eq!(status, 200, "{reply}");
        let path = reply["direct_path"].as_str().unwrap().to_owned();
        assert_eq!(reply["url"], format!("{}{path}", self.base));
        path
    }

    async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.http.get(format!("{}{path}", self.base)).send().await
    }

    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.unwrap().status().as_u16()
    }
}

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
async fn a_part_can_be_asked_for() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(&body(1000)).await;
    let url = format!("{}{path}", client.base);
    let get = |range: &'static str| client.http.get(&url).header("range", range).send();
    let part = get("bytes=10-19").await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000");
    assert_eq!(part.bytes().await.unwrap(), body(1000)[10..20]);
    let rest = get("bytes=990-").await.unwrap();
    assert_eq!(rest.bytes().await.unwrap(), body(1000)[990..]);
    assert_eq!(get("bytes=1000-").await.unwrap().status(), 416);
}

#[tokio::test]
async fn a_download_needs_no_pass_but_no_wrong_one_either() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"sealed").await;
    let (token, pass) = (token(b"sealed"), &client.pass);
    // As clients write it: with a second question mark.
    assert_eq!(
        client
            .status(&format!("{path}?auth={pass}&token={token}"))
            .await,
        200
    );
    assert_eq!(client.status(&format!("{path}&hash=x")).await, 200);
    assert_eq!(
        client
            .status(&format!("{path}?auth=stale&token={token}"))
            .await,
        401
    );
    let other = self::token(b"other");
    assert_eq!(client.status(&format!("{path}?token={other}")).await, 403);
    assert_eq!(client.status("/v/t62.7118-24/none.enc").await, 404);
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

#[tokio::test]
async fn transfers_can_be_refused_broken_and_spoiled() {
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
    let fault = |act: &str| json!({"on": "download", "do": act, "times": 1});
    sim.post("/faults", fault("cut")).await;
    let broken = client.get(&path).await.unwrap();
    assert_eq!(broken.content_length(), Some(500_000), "all is promised");
    assert!(broken.bytes().await.is_err());
    sim.post("/faults", fault("corrupt")).await;
    let spoiled = client.get(&path).await.unwrap().bytes().await.unwrap();
    let wrong = spoiled.iter().zip(&bytes).filter(|(a, b)| a != b).count();
    assert_eq!((spoiled.len(), wrong), (bytes.len(), 1));
    assert_eq!(
        client.get(&path).await.unwrap().bytes().await.unwrap(),
        bytes
    );
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
        let short = std::time::Duration::from_millis(300);
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

#[tokio::test]
async fn an_object_can_expire_and_be_spoiled() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"sealed").await;
    sim.post("/media", json!({"direct_path": path, "corrupt": true}))
        .await;
    let spoiled = client.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(&*spoiled, b"seamed", "a bit of the middle byte");
    for status in [404, 410] {
        sim.post("/media", json!({"direct_path": path, "expire": status}))
            .await;
        assert_eq!(client.status(&path).await, status);
    }
    let missing = json!({"direct_path": "/v/none", "expire": 404});
    assert_eq!(sim.call("POST", "/media", Some(missing)).await.0, 404);
    let odd = json!({"direct_path": path, "expire": 200});
    assert_eq!(sim.call("POST", "/media", Some(odd)).await.0, 400);
}

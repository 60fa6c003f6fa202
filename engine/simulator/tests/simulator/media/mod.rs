//! The media server: passes, tokens, resumed uploads, ranges and faults.

mod faults;
mod objects;
mod uploads;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;

use crate::raw::{Companion, attr};
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

/// A client of the media server.
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

    /// Uploads a file and returns its address.
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

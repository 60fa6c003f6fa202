//! A simulator under test, and its control API.

use std::time::Duration;

use passerelle_simulator::{Options, Simulator};
use serde_json::{Value, json};
use wacore_binary::Jid;

use crate::raw::{Companion, DEADLINE};

/// A simulator and an HTTP client for its control API.
pub(crate) struct Sim {
    pub(crate) server: Simulator,
    http: reqwest::Client,
}

impl Sim {
    pub(crate) fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            seed: Some(1),
            ..Options::default()
        };
        Self {
            server: Simulator::start(options).unwrap(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Posts a call that must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self.call("POST", path, Some(body)).await;
        assert!(status < 300, "{path}: {status} {reply}");
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, reply) = self.call("GET", path, None).await;
        assert!(status < 300, "{path}: {status} {reply}");
        reply
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.server.control_url());
        let request = self.http.request(method.parse().unwrap(), url);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Returns a client of the media server that trusts only the simulator's certificate.
    pub(crate) async fn https(&self) -> reqwest::Client {
        let pem = self.get("/cert").await;
        let certificate = reqwest::Certificate::from_pem(pem.as_str().unwrap().as_bytes()).unwrap();
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([certificate])
            .build()
            .unwrap()
    }

    /// Makes a phone send a message. Returns the reply.
    pub(crate) async fn say(&self, from: &str, to: &str, message: Value) -> Value {
        let path = format!("/phones/{from}/say");
        self.post(&path, json!({ "to": to, "message": message }))
            .await
    }

    /// Returns the ledger's entries of a kind, when there are `count` of them.
    pub(crate) async fn ledger(&self, kind: &str, count: usize) -> Vec<Value> {
        self.ledger_where(kind, count, |_| true).await
    }

    /// Returns the ledger's entries of a kind about one message, when there are `count` of them.
    pub(crate) async fn ledger_of(&self, kind: &str, id: &str, count: usize) -> Vec<Value> {
        self.ledger_where(kind, count, |entry| entry["id"] == id)
            .await
    }

    /// Returns what one phone has shown, when it is `count` messages.
    pub(crate) async fn shown_by(&self, phone: &str, count: usize) -> Vec<Value> {
        self.ledger_where("shown", count, |entry| entry["to"] == phone)
            .await
    }

    async fn ledger_where(
        &self,
        kind: &str,
        count: usize,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let wait = async {
            loop {
                let reply = self.get(&format!("/ledger?kind={kind}")).await;
                let mut entries = reply["entries"].as_array().unwrap().clone();
                entries.retain(&wanted);
                if entries.len() >= count {
                    return entries;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        waited.expect("the ledger's entries in time")
    }

    /// Returns the number of the phone with this address, among these phones.
    pub(crate) async fn number(&self, phones: &[&str], jid: &Jid) -> Option<String> {
        for phone in phones {
            let told = self.get(&format!("/phones/{phone}")).await;
            if told["lid"] == jid.to_string() || *jid == crate::library::jid(phone) {
                return Some((*phone).to_owned());
            }
        }
        None
    }

    /// Links a device to a phone by QR code.
    pub(crate) async fn link(&self, phone: &str) -> Companion {
        let mut companion = Companion::new(self);
        companion.connect().await;
        let qr = companion.qr().await;
        let path = format!("/phones/{phone}/scan");
        let (linked, ()) = tokio::join!(self.post(&path, json!({ "qr": qr })), companion.sign());
        assert_eq!(
            linked["jid"],
            companion.device.pn.as_ref().unwrap().to_string()
        );
        companion
    }

    /// Links a device, logs it in and activates it.
    pub(crate) async fn companion(&self, phone: &str) -> Companion {
        let mut companion = self.link(phone).await;
        companion.connect().await;
        companion.expect("success").await;
        companion.go_active().await;
        companion
    }
}

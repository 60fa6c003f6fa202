//! The simulated WhatsApp server as a process, and its phones. `engine/simulator/CONTROL.md` describes the
//! calls.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

use crate::process::{Process, command, sandbox_binary};

/// A running simulated server.
#[derive(Debug)]
pub struct Simulator {
    http: reqwest::Client,
    control: String,
    process: Process,
}

/// A row of the ledger: a frame, or an action of a phone.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// Its number, which only grows.
    pub n: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// When the server read it from the socket, in microseconds of a monotonic clock.
    #[serde(default)]
    pub wire_us: u64,
    /// `sent shown repeat said receipt chatstate`
    pub kind: String,
    /// The sender's number, E.164.
    #[serde(default)]
    pub from: String,
    /// The recipient.
    #[serde(default)]
    pub to: String,
    /// WhatsApp's message id.
    #[serde(default)]
    pub id: String,
    /// The text a phone decrypted.
    #[serde(default)]
    pub text: Option<String>,
    /// The type within the kind: `read`, `delivered`, `composing` …
    #[serde(default, rename = "type")]
    pub detail: Option<String>,
    /// Whether a frame had the privacy token that the recipient gave to the sender's account.
    #[serde(default)]
    pub token: bool,
    /// Whether the frame answers a phone that could not decrypt the message and asked for it again.
    #[serde(default)]
    pub retry: bool,
}

/// How a simulated phone behaves.
#[derive(Debug, Clone, Copy)]
pub struct Phone {
    /// It answers each text with the same text.
    pub echo: bool,
    /// It sends read receipts.
    pub reads: bool,
    /// It is online and accepts deliveries.
    pub online: bool,
}

impl Default for Phone {
    fn default() -> Self {
        Self {
            echo: false,
            reads: true,
            online: true,
        }
    }
}

impl Simulator {
    /// Starts one on a free port. Its files are written to `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::with(folder, &[]).await
    }

    /// Starts one whose ledger keeps several hours of entries.
    pub async fn of_long_memory(folder: &Path) -> Result<Self> {
        Self::with(folder, &["--ledger-entries", "2000000"]).await
    }

    async fn with(folder: &Path, flags: &[&str]) -> Result<Self> {
        let announce = folder.join("simulator.json");
        let mut command = command(&sandbox_binary()?);
        command
            .args(["simulator", "--port", "0", "--announce"])
            .arg(&announce)
            .args(flags);
        let mut process = Process::start(command, &folder.join("simulator.log"))?;
        let told = process.announced(&announce).await?;
        let control = told["control"]
            .as_str()
            .context("it announces the address of its control API")?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            control: control.trim_end_matches('/').to_owned(),
            process,
        })
    }

    /// `http://127.0.0.1:P/control`
    pub fn control_url(&self) -> &str {
        &self.control
    }

    /// `ws://127.0.0.1:P/ws/chat`
    pub fn ws_url(&self) -> String {
        let host = self.control.trim_start_matches("http://");
        let host = host.split('/').next().unwrap_or_default();
        format!("ws://{host}/ws/chat")
    }

    /// `wss://127.0.0.1:P/ws/chat`, on the same port.
    pub fn wss_url(&self) -> String {
        self.ws_url().replacen("ws:", "wss:", 1)
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Makes a control call. Returns an error if the status is not 2xx.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.control));
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = request.send().await?;
        let status: StatusCode = reply.status();
        let text = reply.text().await?;
        ensure!(
            status.is_success(),
            "the simulator answered {method} {path} with {status} {text}"
        );
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Creates or changes a phone.
    pub async fn phone(&self, number: &str, phone: Phone) -> Result<()> {
        let body = json!({
            "phone": number, "echo": phone.echo, "reads": phone.reads, "online": phone.online,
        });
        self.call(Method::POST, "/phones", Some(&body)).await?;
        Ok(())
    }

    /// Creates a contact that answers each text with the same text.
    pub async fn echo(&self, number: &str) -> Result<()> {
        self.phone(
            number,
            Phone {
                echo: true,
                ..Phone::default()
            },
        )
        .await
    }

    /// Lets the phone scan a QR code. Returns when the device is linked.
    pub async fn scan(&self, number: &str, qr: &str) -> Result<Value> {
        self.on_phone(number, "scan", &json!({ "qr": qr })).await
    }

    /// Enters a pairing code on the phone.
    pub async fn enter_code(&self, number: &str, code: &str) -> Result<Value> {
        self.on_phone(number, "enter-code", &json!({ "code": code }))
            .await
    }

    /// Sends a text from the phone itself and returns the message's id.
    pub async fn say(&self, number: &str, to: &str, text: &str) -> Result<String> {
        self.say_copies(number, to, text, 1).await
    }

    /// Like `say`, but the frame is delivered `copies` times with the same id.
    pub async fn say_copies(
        &self,
        number: &str,
        to: &str,
        text: &str,
        copies: u32,
    ) -> Result<String> {
        let body = json!({ "to": to, "text": text, "copies": copies });
        let said = self.on_phone(number, "say", &body).await?;
        Ok(said["id"]
            .as_str()
            .context("a sent message has an id")?
            .to_owned())
    }

    /// Sends a message of any kind from the phone itself and returns its id. `said` is the body of a `say`
    /// without `to`.
    pub async fn tell(&self, number: &str, to: &str, mut said: Value) -> Result<String> {
        said["to"] = json!(to);
        let said = self.on_phone(number, "say", &said).await?;
        let id = said["id"].as_str().context("a sent message has an id")?;
        Ok(id.to_owned())
    }

    /// Returns what a phone shows of its chat with another number, oldest first.
    pub async fn chat(&self, number: &str, with: &str) -> Result<Vec<Value>> {
        let plain = |number: &str| number.replace('+', "%2B");
        let path = format!("/phones/{}/chat?with={}", plain(number), plain(with));
        let shown = self.call(Method::GET, &path, None).await?;
        Ok(shown["messages"].as_array().cloned().unwrap_or_default())
    }

    /// Has a phone call a number or a group. `call` is the body without `to`. Returns the call's id.
    pub async fn ring(&self, number: &str, to: &str, mut call: Value) -> Result<String> {
        call["to"] = json!(to);
        let call = self.on_phone(number, "call", &call).await?;
        Ok(call["id"].as_str().context("a call has an id")?.to_owned())
    }

    /// Has a phone end or answer a call: `hang_up time_out accept reject`. `device` answers.
    pub async fn on_call(&self, number: &str, id: &str, what: &str, device: u64) -> Result<()> {
        let body = json!({ "do": what, "device": device });
        self.on_phone(number, &format!("calls/{id}"), &body).await?;
        Ok(())
    }

    /// Logs the linked device out, from the phone.
    pub async fn unlink(&self, number: &str, device: u64) -> Result<()> {
        self.on_phone(number, "unlink", &json!({ "device": device }))
            .await?;
        Ok(())
    }

    /// Returns a phone and its linked devices.
    pub async fn phone_state(&self, number: &str) -> Result<Value> {
        self.call(
            Method::GET,
            &format!("/phones/{}", number.replace('+', "%2B")),
            None,
        )
        .await
    }

    async fn on_phone(&self, number: &str, call: &str, body: &Value) -> Result<Value> {
        let path = format!("/phones/{}/{call}", number.replace('+', "%2B"));
        self.call(Method::POST, &path, Some(body)).await
    }

    /// Adds a fault to the server, see CONTROL.md.
    pub async fn fault(&self, fault: &Value) -> Result<()> {
        self.call(Method::POST, "/faults", Some(fault)).await?;
        Ok(())
    }

    /// Removes every fault.
    pub async fn no_faults(&self) -> Result<()> {
        self.call(Method::DELETE, "/faults", None).await?;
        Ok(())
    }

    /// Closes a number's connections in one of the ways of CONTROL.md.
    pub async fn kick(&self, number: &str, how: &str) -> Result<()> {
        self.call(
            Method::POST,
            "/kick",
            Some(&json!({ "phone": number, "how": how })),
        )
        .await?;
        Ok(())
    }

    /// Returns the counters since its start.
    pub async fn stats(&self) -> Result<Value> {
        self.call(Method::GET, "/stats", None).await
    }

    /// Returns every ledger entry of a kind, in order.
    pub async fn ledger(&self, kind: &str) -> Result<Vec<Entry>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/ledger?after={after}&limit=1000&kind={kind}");
            let page = self.call(Method::GET, &path, None).await?;
            let forgotten = page["forgotten"]
                .as_u64()
                .context("the count of dropped entries")?;
            ensure!(
                forgotten <= after,
                "the ledger has dropped {forgotten} entries"
            );
            let entries: Vec<Entry> = serde_json::from_value(page["entries"].clone())?;
            let full = entries.len() == 1000;
            after = entries.last().map_or(after, |entry| entry.n);
            all.extend(entries);
            if !full {
                return Ok(all);
            }
        }
    }

    /// Returns the texts a phone showed, in order.
    pub async fn shown(&self, number: &str) -> Result<Vec<String>> {
        let shown = self.ledger("shown").await?;
        Ok(shown
            .into_iter()
            .filter(|entry| entry.to.contains(number.trim_start_matches('+')))
            .filter_map(|entry| entry.text)
            .collect())
    }
}

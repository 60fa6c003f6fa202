//! A small client of the gateway's API, as a tenant would write one.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crate::wait::{soon, within};

/// The gateway's address. It changes when the gateway is started again.
#[derive(Debug, Clone, Default)]
pub struct Base(Arc<RwLock<String>>);

impl Base {
    /// Returns the current address, without a trailing slash.
    pub fn get(&self) -> String {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Points every client at another address.
    pub fn set(&self, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = url;
    }
}

/// A client that uses one key.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: Base,
    /// The API key.
    pub key: String,
}

/// A reply with its whole body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON. `null` when it is empty or not JSON.
    pub body: Value,
}

impl Reply {
    /// Returns the problem's stable code, or "" if the body is not a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Returns the body as `T` if the status is `expected`.
    pub fn into<T: DeserializeOwned>(self, expected: u16) -> Result<T> {
        ensure!(
            self.status.as_u16() == expected,
            "the API answered {} {} instead of {expected}",
            self.status,
            self.body
        );
        serde_json::from_value(self.body.clone())
            .with_context(|| format!("the body has an unexpected shape: {}", self.body))
    }
}

/// What `…/sessions` returns.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// `ses_…`
    pub id: String,
    /// `running` or `stopped`: what the tenant wants.
    pub desired: String,
    /// Its current state.
    pub state: String,
    /// The linked number, E.164.
    pub phone: Option<String>,
    /// What happens to messages that may already have been sent: `resend` or `hold`.
    pub uncertain_sends: String,
    /// Its lane.
    pub queue: Option<SessionQueue>,
}

/// A session's lane.
#[derive(Debug, Clone, Deserialize)]
pub struct SessionQueue {
    /// Messages that are not being sent yet.
    pub pending: u64,
}

/// What `…/messages` returns.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// `msg_…`
    pub id: String,
    /// The session that sends or received it.
    pub session_id: String,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// `queued sending unknown sent delivered read played failed expired canceled`, or `received`.
    pub status: String,
    /// The recipient, E.164.
    pub to: Option<Value>,
    /// The sender.
    pub from: Option<Value>,
    /// Why sending failed.
    pub error: Option<Value>,
    /// `{body}`
    pub text: Option<Value>,
    /// Its place in the queue and the estimates while it waits.
    pub queue: Option<Value>,
    /// WhatsApp's message id.
    pub wa_message_id: Option<String>,
    /// When WhatsApp's server acknowledged it, RFC 3339.
    pub sent_at: Option<String>,
    /// When a phone received it, RFC 3339.
    pub delivered_at: Option<String>,
    /// When it was read, RFC 3339.
    pub read_at: Option<String>,
}

impl Message {
    /// Returns the text.
    pub fn body(&self) -> &str {
        self.text
            .as_ref()
            .and_then(|text| text["body"].as_str())
            .unwrap_or_default()
    }

    /// Returns the stable code of the failure, or "".
    pub fn error_code(&self) -> &str {
        self.error
            .as_ref()
            .and_then(|error| error["code"].as_str())
            .unwrap_or_default()
    }
}

/// A page of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
    /// The `cursor` of the next page.
    pub next_cursor: Option<String>,
}

/// Returns how far a status is. A status never goes back, so a wait for one also accepts a later one.
fn rank(status: &str) -> u8 {
    match status {
        "queued" => 0,
        "sending" => 1,
        "unknown" => 2,
        "sent" => 3,
        "delivered" => 4,
        "read" => 5,
        "played" => 6,
        _ => 9,
    }
}

impl Api {
    /// Makes a client of the gateway at `base`.
    pub fn new(base: Base, key: impl Into<String>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(100))
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base,
            key: key.into(),
        })
    }

    /// Returns a client of the same gateway with another key.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..self.clone()
        }
    }

    /// Returns the gateway's address.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Builds a request with the key. The caller adds the rest.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base.get()))
            .bearer_auth(&self.key)
    }

    /// Sends a request and reads its reply.
    pub async fn reply(request: RequestBuilder) -> Result<Reply> {
        let reply = request.send().await?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let bytes = reply.bytes().await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        Self::reply(self.request(Method::GET, path)).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        Self::reply(self.request(Method::DELETE, path)).await
    }

    /// Posts a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        Self::reply(self.request(Method::POST, path).json(body)).await
    }

    /// Changes a resource with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Reply> {
        Self::reply(self.request(Method::PATCH, path).json(body)).await
    }

    /// Posts without a body.
    pub async fn act(&self, path: &str) -> Result<Reply> {
        Self::reply(self.request(Method::POST, path)).await
    }

    /// Sends a request and returns the status, headers and bytes of the reply.
    pub async fn bytes(request: RequestBuilder) -> Result<(StatusCode, HeaderMap, Vec<u8>)> {
        let reply = request.send().await?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        Ok((status, headers, reply.bytes().await?.to_vec()))
    }

    /// Builds a request without a key for a link that the API returned. Without `--public-url` a cluster
    /// returns paths instead of full links.
    pub fn open(&self, url: &str) -> RequestBuilder {
        if url.starts_with('/') {
            return self.http.get(format!("{}{url}", self.base.get()));
        }
        self.http.get(url)
    }

    // files

    /// Uploads a file and returns the reply.
    pub async fn upload(&self, kind: &str, bytes: impl Into<reqwest::Body>) -> Result<Reply> {
        let path = format!("/v1/media/stream?kind={kind}");
        Self::reply(self.request(Method::POST, &path).body(bytes)).await
    }

    /// Waits until a file has this status.
    pub async fn media_at(&self, id: &str, status: &str) -> Result<Value> {
        within(
            Duration::from_secs(40),
            &format!("a file is {status}"),
            async || {
                let file: Value = self.get(&format!("/v1/media/{id}")).await?.into(200)?;
                Ok((file["status"] == status).then_some(file))
            },
        )
        .await
    }

    // organisations and keys

    /// Creates an organisation and returns its id (needs the admin key).
    pub async fn create_organisation(&self, name: &str) -> Result<String> {
        let made: Value = self
            .post("/v1/organisations", &json!({ "name": name }))
            .await?
            .into(201)?;
        id_of(&made)
    }

    /// Creates a key of an organisation and returns its id and the key (needs the admin key).
    pub async fn create_key(&self, org: &str, name: &str) -> Result<(String, String)> {
        let path = format!("/v1/organisations/{org}/api-keys");
        let made: Value = self
            .post(&path, &json!({ "name": name }))
            .await?
            .into(201)?;
        let key = made["key"].as_str().context("a new key is shown once")?;
        Ok((id_of(&made)?, key.to_owned()))
    }

    /// Creates an organisation and returns a client for it (needs the admin key).
    pub async fn tenant(&self, name: &str) -> Result<Self> {
        let org = self.create_organisation(name).await?;
        let (_, key) = self.create_key(&org, "tests").await?;
        Ok(self.with_key(key))
    }

    // sessions

    /// Creates a session that is not yet connected.
    pub async fn create_session(&self, name: &str) -> Result<Session> {
        self.post("/v1/sessions", &json!({ "name": name }))
            .await?
            .into(201)
    }

    /// Returns a session.
    pub async fn session(&self, id: &str) -> Result<Session> {
        self.get(&format!("/v1/sessions/{id}")).await?.into(200)
    }

    /// Returns all sessions of the organisation.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        self.all("/v1/sessions?limit=100").await
    }

    /// Asks for the session to be connected.
    pub async fn connect(&self, id: &str) -> Result<Session> {
        self.act(&format!("/v1/sessions/{id}/connect"))
            .await?
            .into(202)
    }

    /// Asks for the session to be disconnected.
    pub async fn disconnect(&self, id: &str) -> Result<Session> {
        self.act(&format!("/v1/sessions/{id}/disconnect"))
            .await?
            .into(202)
    }

    /// Waits for the QR string and returns it.
    ///
    /// # Panics
    /// If the API reports a missing QR with another code than `qr_not_available`.
    pub async fn qr(&self, id: &str) -> Result<String> {
        soon("there is a QR code", async || {
            let reply = self.get(&format!("/v1/sessions/{id}/qr")).await?;
            if reply.status == StatusCode::CONFLICT {
                assert_eq!(reply.code(), "qr_not_available");
                return Ok(None);
            }
            let qr: Value = reply.into(200)?;
            Ok(qr["qr"].as_str().map(ToOwned::to_owned))
        })
        .await
    }

    /// Waits until the session is in this state.
    pub async fn session_in(&self, id: &str, state: &str) -> Result<Session> {
        within(
            Duration::from_secs(45),
            &format!("the session is {state}"),
            async || {
                let session = self.session(id).await?;
                Ok((session.state == state).then_some(session))
            },
        )
        .await
    }

    // messages

    /// Builds the body of a text message.
    pub fn text(session: &str, to: &str, body: &str) -> Value {
        json!({ "session_id": session, "type": "text", "to": to, "text": { "body": body } })
    }

    /// Sends a text. It is accepted when this returns.
    pub async fn send(&self, session: &str, to: &str, body: &str) -> Result<Message> {
        self.post("/v1/messages", &Self::text(session, to, body))
            .await?
            .into(202)
    }

    /// Sends a message of any kind. `kind` has its `type`, its content and any further fields.
    pub async fn send_kind(&self, session: &str, to: &str, kind: Value) -> Result<Message> {
        self.post("/v1/messages", &Self::of_kind(session, to, kind))
            .await?
            .into(202)
    }

    /// Builds the body of a message of any kind.
    pub fn of_kind(session: &str, to: &str, mut kind: Value) -> Value {
        kind["session_id"] = json!(session);
        kind["to"] = json!(to);
        kind
    }

    /// Returns a message with every field.
    pub async fn whole_message(&self, id: &str) -> Result<Value> {
        self.get(&format!("/v1/messages/{id}")).await?.into(200)
    }

    /// Sends with an idempotency key and returns the reply.
    pub async fn send_once(&self, key: &str, body: &Value) -> Result<Reply> {
        let request = self
            .request(Method::POST, "/v1/messages")
            .header("Idempotency-Key", key);
        Self::reply(request.json(body)).await
    }

    /// Returns a message.
    pub async fn message(&self, id: &str) -> Result<Message> {
        self.get(&format!("/v1/messages/{id}")).await?.into(200)
    }

    /// Returns every message that matches a query (`session_id=…&status=…`), from all pages.
    pub async fn messages(&self, query: &str) -> Result<Vec<Message>> {
        self.all(&format!("/v1/messages?limit=100&{query}")).await
    }

    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<T> = self.get(&format!("{path}{cursor}")).await?.into(200)?;
            all.extend(page.data);
            match page.next_cursor.filter(|_| page.has_more) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Waits until a message has reached `status` or a later one.
    pub async fn message_at(&self, id: &str, status: &str) -> Result<Message> {
        let mut last = String::new();
        let found = within(
            Duration::from_secs(40),
            &format!("a message is {status}"),
            async || {
                let message = self.message(id).await?;
                last.clone_from(&message.status);
                let there = message.status == status
                    || (rank(status) < 7
                        && (3..7).contains(&rank(&message.status))
                        && rank(&message.status) >= rank(status));
                Ok(there.then_some(message))
            },
        )
        .await;
        found.with_context(|| format!("its last status was {last}"))
    }

    /// Returns an RFC 3339 time this many seconds ahead of the gateway's clock.
    pub async fn in_seconds(&self, seconds: i64) -> Result<String> {
        let session = self.create_session("clock").await?;
        let path = format!("/v1/sessions/{}", session.id);
        let told: Value = self.get(&path).await?.into(200)?;
        let now = told["created_at"]
            .as_str()
            .context("a session has a time")?;
        let now = chrono::DateTime::parse_from_rfc3339(now)?;
        Ok((now + chrono::TimeDelta::seconds(seconds)).to_rfc3339())
    }

    // webhooks

    /// Creates an endpoint and returns its id and secret. An empty list of events means all.
    pub async fn create_endpoint(&self, url: &str, events: &[&str]) -> Result<(String, String)> {
        let body = json!({ "url": url, "events": events });
        let made: Value = self.post("/v1/webhook-endpoints", &body).await?.into(201)?;
        let secret = made["secret"]
            .as_str()
            .context("the secret is shown when the endpoint is made")?;
        Ok((id_of(&made)?, secret.to_owned()))
    }
}

/// Returns the `id` of an object.
pub fn id_of(made: &Value) -> Result<String> {
    Ok(made["id"].as_str().context("it has an id")?.to_owned())
}

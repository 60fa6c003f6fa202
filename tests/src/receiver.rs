//! A webhook endpoint on loopback. It verifies every signature with an independent library.

use anyhow::{Context as _, Result};
use poem::{
    Endpoint, IntoResponse as _, Request, Response, Server,
    http::{HeaderMap, StatusCode},
    listener::{Listener as _, TcpListener},
};
use serde_json::Value;
use standardwebhooks::Webhook;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{port, wait::within};

/// A webhook as it arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// `webhook-id`
    pub id: String,
    /// `webhook-timestamp`
    pub timestamp: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub raw: Vec<u8>,
    /// The envelope: `{type, timestamp, id, org_id, session_id, sequence, data}`.
    pub body: Value,
    /// The status of our answer.
    pub answered: u16,
    /// When it arrived.
    pub at: Instant,
}

impl Arrival {
    /// Returns the event type, such as `message.received`.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    /// Returns the text of the message in the event, or "".
    pub fn text(&self) -> &str {
        self.body["data"]["message"]["text"]["body"]
            .as_str()
            .unwrap_or_default()
    }
}

/// An answer other than 200.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// This status, at once.
    Status(u16),
    /// 503 with this `Retry-After`, in seconds.
    RetryAfter(u64),
    /// 200 after this long.
    After(Duration),
    /// This status after this long.
    Late(u16, Duration),
    /// 302 to an internal address.
    Redirect,
    /// 200 with a body of this many bytes.
    Huge(usize),
}

#[derive(Default)]
struct State {
    begun: usize,
    arrivals: Vec<Arrival>,
    forged: Vec<String>,
    next: VecDeque<Answer>,
}

/// The endpoint. It can go down and come back on the same port.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    secrets: watch::Sender<Vec<String>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

struct Hook {
    state: Arc<Mutex<State>>,
    secrets: watch::Receiver<Vec<String>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        let mut receiver = Self {
            address: SocketAddr::from(([127, 0, 0, 1], port::free()?)),
            state: Arc::default(),
            secrets: watch::Sender::default(),
            running: None,
        };
        receiver.up().await?;
        Ok(receiver)
    }

    /// Comes back on the same port.
    pub async fn up(&mut self) -> Result<()> {
        let acceptor = TcpListener::bind(self.address).into_acceptor().await?;
        let hook = Hook {
            state: self.state.clone(),
            secrets: self.secrets.subscribe(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = async move {
            let server = Server::new_with_acceptor(acceptor);
            let grace = Some(Duration::from_millis(50));
            server
                .run_with_graceful_shutdown(hook, stopped, grace)
                .await
                .ok();
        };
        #[expect(clippy::disallowed_methods, reason = "stopped and awaited in down()")]
        let task = tokio::spawn(serving);
        self.running = Some((stop, task));
        Ok(())
    }

    /// Goes down. Connections are refused until `up`.
    pub async fn down(&mut self) -> Result<()> {
        if let Some((stop, task)) = self.running.take() {
            stop.cancel();
            task.await?;
        }
        Ok(())
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Adds a secret whose signatures are accepted. Arrivals wait for the first secret.
    pub fn trust(&self, secret: &str) {
        self.secrets
            .send_modify(|secrets| secrets.push(secret.to_owned()));
    }

    /// Removes a secret.
    pub fn distrust(&self, secret: &str) {
        self.secrets
            .send_modify(|secrets| secrets.retain(|known| known != secret));
    }

    /// Answers the next arrivals with these, one each.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).next.extend(answers);
    }

    /// Returns everything that arrived with a valid signature.
    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.state).arrivals.clone()
    }

    /// Returns the arrivals of one type.
    pub fn of(&self, kind: &str) -> Vec<Arrival> {
        self.arrivals()
            .into_iter()
            .filter(|arrival| arrival.kind() == kind)
            .collect()
    }

    /// Waits until `count` arrivals of a type have come, whatever they were answered.
    pub async fn posted(&self, kind: &str, count: usize) -> Result<Vec<Arrival>> {
        let what = format!("{count} webhooks {kind} were posted");
        within(Duration::from_secs(30), &what, async || {
            let posted = self.of(kind);
            Ok((posted.len() >= count).then_some(posted))
        })
        .await
    }

    /// Waits until `count` webhooks with a valid signature have come, answered or not.
    pub async fn begun(&self, count: usize) -> Result<()> {
        let what = format!("{count} webhooks are being answered");
        within(Duration::from_secs(30), &what, async || {
            Ok((lock(&self.state).begun >= count).then_some(()))
        })
        .await
    }

    /// Returns the results of the signature checks, which can be read after the receiver has gone.
    pub fn signatures(&self) -> Signatures {
        Signatures(self.state.clone())
    }

    /// Waits until `count` arrivals of a type were answered with 2xx. Each id counts once.
    pub async fn wait_for(&self, kind: &str, count: usize) -> Result<Vec<Arrival>> {
        self.wait_for_within(Duration::from_secs(30), kind, count)
            .await
    }

    /// Like `wait_for`, with another deadline.
    pub async fn wait_for_within(
        &self,
        deadline: Duration,
        kind: &str,
        count: usize,
    ) -> Result<Vec<Arrival>> {
        let what = format!("{count} webhooks {kind} have come");
        within(deadline, &what, async || {
            let mut seen = std::collections::HashSet::new();
            let mut taken = self.of(kind);
            taken.retain(|one| (200..300).contains(&one.answered) && seen.insert(one.id.clone()));
            Ok((taken.len() >= count).then_some(taken))
        })
        .await
        .with_context(|| format!("{} had arrived", self.of(kind).len()))
    }
}

/// The results of a receiver's signature checks.
#[derive(Clone)]
pub struct Signatures(Arc<Mutex<State>>);

impl Signatures {
    /// Returns the bodies that arrived without a valid signature.
    pub fn forged(&self) -> Vec<String> {
        lock(&self.0).forged.clone()
    }
}

impl Hook {
    /// Returns whether one of the secrets signed it. Waits briefly until the first secret is known.
    async fn signed(&self, headers: &HeaderMap, raw: &[u8]) -> bool {
        let mut secrets = self.secrets.clone();
        let known = secrets.wait_for(|secrets| !secrets.is_empty());
        let Ok(Ok(secrets)) = tokio::time::timeout(Duration::from_secs(5), known).await else {
            return false;
        };
        secrets.iter().any(|secret| {
            Webhook::new(secret).is_ok_and(|webhook| webhook.verify(raw, headers).is_ok())
        })
    }
}

impl Endpoint for Hook {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let at = Instant::now();
        let headers = request.headers().clone();
        let raw = request.take_body().into_vec().await?;
        if !self.signed(&headers, &raw).await {
            lock(&self.state)
                .forged
                .push(String::from_utf8_lossy(&raw).into_owned());
            return Ok(StatusCode::UNAUTHORIZED.into_response());
        }
        let answer = {
            let mut state = lock(&self.state);
            state.begun += 1;
            state.next.pop_front().unwrap_or(Answer::Status(204))
        };
        let field = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
        let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        if let Answer::After(pause) | Answer::Late(_, pause) = answer {
            tokio::time::sleep(pause).await;
        }
        let response = answer.into_response();
        let answered = response.status().as_u16();
        lock(&self.state).arrivals.push(Arrival {
            id,
            timestamp,
            headers,
            raw,
            body,
            answered,
            at,
        });
        Ok(response)
    }
}

impl Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Status(code) | Self::Late(code, _) => StatusCode::from_u16(code)
                .unwrap_or_default()
                .into_response(),
            Self::After(_) => StatusCode::OK.into_response(),
            Self::RetryAfter(seconds) => StatusCode::SERVICE_UNAVAILABLE
                .with_header("Retry-After", seconds)
                .into_response(),
            Self::Huge(bytes) => endless(bytes).into_response(),
            Self::Redirect => StatusCode::FOUND
                .with_header("Location", "http://127.0.0.1:1/")
                .into_response(),
        }
    }
}

/// Returns a body that is generated while it is read.
fn endless(bytes: usize) -> poem::Body {
    let chunk = vec![b'x'; 64 << 10];
    let chunks = (0..bytes / chunk.len()).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    poem::Body::from_bytes_stream(futures_util::stream::iter(chunks))
}

//! A webhook receiver, as a customer would write it: verify, store, answer immediately.

use std::sync::Arc;

use anyhow::Context as _;
use poem::{
    Body, EndpointExt as _, IntoEndpoint as _,
    endpoint::make,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::{
    net::TcpListener,
    sync::{OnceCell, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::client::{self, Client};
use crate::{addresses::Addresses, limits::CONNECTIONS_PER_ADDRESS, server};

/// The maximum number of events that wait to be read.
const WAITING: usize = 64;

/// The running receiver.
pub(super) struct Receiver {
    url: String,
    events: mpsc::Receiver<anyhow::Result<Value>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Receiver {
    /// Listens on a free port and creates a webhook endpoint for it.
    pub(super) async fn start(tenant: &Client) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("listening")?;
        let url = format!(
            "http://{}/hooks",
            listener.local_addr().context("reading the own address")?
        );
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (told, events) = mpsc::channel(WAITING);
        let secret = Arc::new(OnceCell::new());
        let known = Arc::clone(&secret);
        let surface = make(move |request| {
            let (told, known) = (told.clone(), Arc::clone(&known));
            async move {
                let (parts, body) = request.into_parts();
                let event = receive(&parts.headers, body, known.get()).await;
                let status = if event.is_ok() {
                    StatusCode::NO_CONTENT
                } else {
                    StatusCode::UNAUTHORIZED
                };
                // This fails only when the demo is over.
                let _ = told.send(event).await;
                status
            }
        });
        let surface = Arc::new(surface.into_endpoint().map_to_response().boxed());
        tasks.spawn(server::serve(
            listener,
            surface,
            Addresses::new(CONNECTIONS_PER_ADDRESS, Vec::new()),
            stop.clone(),
            std::time::Duration::from_secs(1),
        ));
        let wanted = json!({ "url": url, "events": ["message.received"] });
        let endpoint = tenant.post("/v1/webhook-endpoints", &wanted).await?;
        let verifier =
            Webhook::new(client::text(&endpoint, "secret")?).context("reading the secret")?;
        secret
            .set(verifier)
            .ok()
            .context("the secret is set once")?;
        Ok(Self {
            url,
            events,
            stop,
            tasks,
        })
    }

    /// Returns its URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the next event. A wrong signature is an error.
    pub(super) async fn next(&mut self) -> anyhow::Result<Value> {
        self.events.recv().await.context("the receiver ended")?
    }

    /// Stops listening.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        drop(self.events);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn receive(
    headers: &HeaderMap,
    body: Body,
    verifier: Option<&Webhook>,
) -> anyhow::Result<Value> {
    let body = body
        .into_bytes_limit(1 << 20)
        .await
        .context("reading the webhook")?;
    let verifier = verifier.context("the secret is not known yet")?;
    verifier
        .verify(&body, headers)
        .context("verifying the signature")?;
    serde_json::from_slice(&body).context("reading the event")
}

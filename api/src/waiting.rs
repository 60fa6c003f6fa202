//! A process that cannot reach its database yet: it reports this, and starts to work once it can.

use std::{os::fd::AsFd as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use passerelle_jobs::{KekRing, Store};
use poem::{Endpoint, EndpointExt as _, IntoResponse as _, Request, Response};
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    addresses::Addresses,
    body::{Body, Success},
    config::StoreSettings,
    problem::{Code, Problem},
    routes::health::{Health, Readiness, Ready},
    server, store,
};

/// Time between two attempts.
const AGAIN: Duration = Duration::from_millis(500);
/// Time for requests in flight when the wait is over.
const GRACE: Duration = Duration::from_secs(1);

/// Opens the store, and waits while its server cannot be reached. Until then `port` answers `/healthz` with 200
/// and everything else with 503. Any other failure is an error.
pub(crate) async fn open(
    settings: &StoreSettings,
    kek: &KekRing,
    port: &TcpListener,
    addresses: &Arc<Addresses>,
) -> anyhow::Result<Store> {
    settings.address.warn();
    let mut room = None;
    loop {
        match store::open(settings, kek).await {
            Err(error) if Store::is_away(&error) => {
                if room.is_none() {
                    let address = port.local_addr().context("reading the own address")?;
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "waiting for the store, which cannot be reached; serving on http://{address}"
                    );
                    room = Some(Room::open(port, addresses)?);
                }
                tokio::time::sleep(AGAIN).await;
            }
            opened => {
                if let Some(room) = room {
                    room.close().await;
                }
                return opened;
            }
        }
    }
}

/// The HTTP server during the wait.
struct Room {
    serving: TaskTracker,
    open: DropGuard,
}

impl Room {
    fn open(port: &TcpListener, addresses: &Arc<Addresses>) -> anyhow::Result<Self> {
        let port = port.as_fd().try_clone_to_owned();
        let port = std::net::TcpListener::from(port.context("sharing the port")?);
        let port = TcpListener::from_std(port).context("sharing the port")?;
        let (serving, stop) = (TaskTracker::new(), CancellationToken::new());
        serving.spawn(server::serve(
            port,
            Arc::new(Answers.boxed()),
            Arc::clone(addresses),
            stop.clone(),
            GRACE,
        ));
        serving.close();
        Ok(Self {
            serving,
            open: stop.drop_guard(),
        })
    }

    async fn close(self) {
        drop(self.open);
        self.serving.wait().await;
    }
}

struct Answers;

impl Endpoint for Answers {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(match request.uri().path() {
            "/healthz" => Success::of(Health::now()).into_response(),
            "/readyz" => Ready::No(Body(Readiness::default())).into_response(),
            path => Problem::new(Code::DependencyDown).response(path, ""),
        })
    }
}

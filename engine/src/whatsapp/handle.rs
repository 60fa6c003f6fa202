//! The process's handle to WhatsApp: what all its connections share.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use tokio_util::task::TaskTracker;

use super::{
    address::ServerAddress,
    connect_bucket::Connects,
    connect_limiter::{ConnectLimiter, Urgency},
    http::Http,
    tls,
    version::WebVersion,
};
use crate::{clock::Clock, ids::SessionId};

/// The handle to WhatsApp, one for each process. Cheap to clone.
#[derive(Clone)]
pub struct WhatsApp(Arc<Shared>);

struct Shared {
    address: ServerAddress,
    clock: Clock,
    tasks: TaskTracker,
    http: Http,
    limiter: ConnectLimiter,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    version: WebVersion,
}

impl WhatsApp {
    /// Makes the handle for the server at `address`. `connects` limits the new connections per
    /// second. Connections run as tasks on `tasks`.
    pub fn new(
        address: ServerAddress,
        connects: Connects,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Shared {
            http: Http::new(&address, tasks.clone()),
            limiter: ConnectLimiter::new(connects, clock.clone(), tasks.clone()),
            version: WebVersion::new(clock.clone()),
            tls: OnceLock::new(),
            address,
            clock,
            tasks,
        }))
    }

    /// Returns the server's address.
    pub fn address(&self) -> &ServerAddress {
        &self.0.address
    }

    /// Returns the sessions that wait until they may connect.
    pub fn waiting(&self) -> Vec<SessionId> {
        self.0.limiter.waiting()
    }

    /// Updates the urgency of waiting sessions.
    pub fn order(&self, urgencies: &[(SessionId, Urgency)]) {
        self.0.limiter.order(urgencies);
    }

    /// Sets how many processes connect from this machine's address, including this one. They share
    /// the limit.
    pub fn share_address(&self, processes: u32) {
        self.0.limiter.share(processes);
    }

    pub(super) fn limiter(&self) -> &ConnectLimiter {
        &self.0.limiter
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.http
    }

    pub(super) fn version(&self) -> &WebVersion {
        &self.0.version
    }

    /// Returns the TLS configuration of all sockets. It is shared, so that the root certificates
    /// are in memory only once.
    pub(super) fn tls(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        if let Some(tls) = self.0.tls.get() {
            return Ok(tls.clone());
        }
        let tls = tls::client_config(&self.0.address).context("reading the root certificates")?;
        Ok(self.0.tls.get_or_init(|| tls.into()).clone())
    }
}

impl std::fmt::Debug for WhatsApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WhatsApp")
            .field("address", &self.0.address)
            .finish_non_exhaustive()
    }
}

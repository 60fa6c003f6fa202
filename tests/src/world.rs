//! A simulated WhatsApp server, a gateway and an organisation: what a test starts with.

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{path::Path, sync::Mutex, time::Duration};
use tempfile::TempDir;

use crate::{
    api::{Api, Session},
    backing::Backing,
    gateway::{Gateway, Setup},
    receiver::{Receiver, Signatures},
    simulator::{Phone, Simulator},
    wait::within,
};

/// Everything a test starts with. It must [`finish`](World::finish).
pub struct World {
    /// The simulated WhatsApp server.
    pub simulator: Simulator,
    /// The gateway.
    pub gateway: Gateway,
    /// A client with the admin key.
    pub admin: Api,
    /// A client of an organisation.
    pub api: Api,
    /// The API key of that client.
    pub key: String,
    /// That organisation's id.
    pub org: String,
    signatures: Mutex<Vec<Signatures>>,
    finished: bool,
    folder: TempDir,
}

/// Proof that a test checked what it left behind. Every test returns it; only [`World::finish`] and
/// [`World::finish_with_work_undone`] make it.
#[derive(Debug)]
pub struct Finished(());

impl World {
    /// Starts one with gaps of 200–600 ms.
    pub async fn start(backing: Backing) -> Result<Self> {
        Self::with(backing, Setup::default()).await
    }

    /// Starts one with this setup.
    pub async fn with(backing: Backing, setup: Setup) -> Result<Self> {
        install_tls();
        let folder = TempDir::with_prefix("passerelle-test-")?;
        let simulator = Simulator::start(folder.path()).await?;
        let gateway = Gateway::new(backing, folder.path(), &simulator.ws_url(), setup).await?;
        Self::on(gateway, simulator, folder).await
    }

    /// Starts one on a gateway that is prepared but not started.
    pub async fn on(mut gateway: Gateway, simulator: Simulator, folder: TempDir) -> Result<Self> {
        gateway.start().await?;
        let admin = gateway.admin()?;
        let org = admin.create_organisation("Acme").await?;
        let (_, key) = admin.create_key(&org, "tests").await?;
        let api = admin.with_key(key.clone());
        let signatures = Mutex::default();
        Ok(Self {
            simulator,
            gateway,
            admin,
            api,
            key,
            org,
            signatures,
            finished: false,
            folder,
        })
    }

    /// Returns the folder with the store and the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the test. Checks that all accepted work was done, that every webhook was signed correctly, and
    /// that the gateway ends when asked.
    pub async fn finish(self) -> Result<Finished> {
        self.lanes_empty(Duration::from_mins(1)).await?;
        deliveries_done(&self.api, Duration::from_mins(1)).await?;
        self.finish_with_work_undone().await
    }

    /// Like `finish`, for a test that leaves work undone on purpose.
    ///
    /// # Panics
    /// If a webhook had no valid signature or the gateway ended with an error.
    pub async fn finish_with_work_undone(mut self) -> Result<Finished> {
        let receivers = self
            .signatures
            .lock()
            .map_or_else(|_| Vec::new(), |known| known.clone());
        for signatures in receivers {
            assert_eq!(
                signatures.forged(),
                Vec::<String>::new(),
                "a webhook had no valid signature"
            );
        }
        let status = self.gateway.stop().await?;
        assert!(
            status.success(),
            "asked to end, the gateway ended with {status}"
        );
        self.finished = true;
        Ok(Finished(()))
    }

    /// Kills everything immediately, for benchmarks, which leave much work behind.
    pub async fn end(mut self) -> Result<()> {
        self.gateway.kill().await?;
        self.finished = true;
        Ok(())
    }

    /// Creates a session, links it by QR to a simulated phone of this number, and connects it.
    pub async fn linked(&self, number: &str) -> Result<Session> {
        self.linked_for(&self.api, number).await
    }

    /// Like `linked`, for another organisation.
    pub async fn linked_for(&self, api: &Api, number: &str) -> Result<Session> {
        // The name must not be the number, because names are stored unencrypted.
        let session = api.create_session("front desk").await?;
        self.simulator.phone(number, Phone::default()).await?;
        api.connect(&session.id).await?;
        let qr = api.qr(&session.id).await?;
        self.simulator.scan(number, &qr).await?;
        api.session_in(&session.id, "connected").await
    }

    /// Links many sessions, a few at a time.
    pub async fn linked_many(
        &self,
        numbers: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Session>> {
        stream::iter(numbers)
            .map(async |number| self.linked(&number).await)
            .buffered(8)
            .try_collect()
            .await
    }

    /// Creates a webhook endpoint of the organisation for these events. An empty list means all.
    pub async fn endpoint(&self, events: &[&str]) -> Result<Receiver> {
        self.endpoint_for(&self.api, events).await
    }

    /// Like `endpoint`, for another organisation.
    pub async fn endpoint_for(&self, api: &Api, events: &[&str]) -> Result<Receiver> {
        let receiver = Receiver::start().await?;
        let (_, secret) = api.create_endpoint(&receiver.url(), events).await?;
        receiver.trust(&secret);
        if let Ok(mut known) = self.signatures.lock() {
            known.push(receiver.signatures());
        }
        Ok(receiver)
    }

    /// Waits until every lane of the organisation is empty.
    pub async fn lanes_empty(&self, deadline: Duration) -> Result<()> {
        lanes_empty(&self.api, deadline).await
    }
}

async fn lanes_empty(api: &Api, deadline: Duration) -> Result<()> {
    within(deadline, "every lane is empty", async || {
        let sessions = api.sessions().await?;
        let pending: u64 = sessions
            .iter()
            .filter_map(|one| Some(one.queue.as_ref()?.pending))
            .sum();
        Ok((pending == 0).then_some(()))
    })
    .await
}

async fn deliveries_done(api: &Api, deadline: Duration) -> Result<()> {
    within(
        deadline,
        "every webhook has been delivered or abandoned",
        async || {
            for status in ["due", "running"] {
                let path = format!("/v1/webhook-deliveries?limit=1&status={status}");
                let page = api.get(&path).await?;
                anyhow::ensure!(
                    page.status.is_success(),
                    "the deliveries cannot be read: {}",
                    page.body
                );
                if page.body["data"]
                    .as_array()
                    .is_some_and(|rows| !rows.is_empty())
                {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        },
    )
    .await
}

/// Returns the numbers `+4915170000000`, `+4915170000001`, …
pub fn numbers(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("+491517{n:07}"))
}

/// Installs ring as this process's one TLS provider.
pub fn install_tls() {
    // Another test of the same process may have installed it.
    let _already = rustls::crypto::ring::default_provider().install_default();
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.finished {
            eprintln!(
                "--- the gateway's log ends with\n{}",
                self.gateway.log_end()
            );
        }
    }
}

impl Finished {
    /// Returns the proof for a test that starts no world.
    pub fn without_a_world() -> Self {
        Self(())
    }
}

//! Opening a connection, running it until it is over, and stopping it.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use url::Url;
use wacore::{
    iq::devices::RemoveCompanionDeviceSpec, pair_code::PairCodeRejection as Rejection,
    store::traits::Backend,
};
use whatsapp_rust::{
    CacheConfig, CacheEntryConfig, IqError, TokioRuntime,
    bot::Bot,
    pair_code::{PairCodeError, PairCodeOptions, PairError},
};

use super::{
    connect_limiter::Urgency,
    connect_slot::ConnectSlot,
    connection::Connection,
    event::{ConnectionEvents, Ended, Outbox, PairingCode},
    handle::WhatsApp,
    inbound::InboundSink,
    listen::Hook,
    tell::Listener,
    transport::Dial,
    version::WebVersion,
};
use crate::{content::Phone, ids::SessionId};

/// How long going down may take before what is left is abandoned.
const STOP: Duration = Duration::from_secs(15);
/// How long WhatsApp may take to end the connection of a device it removed.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long to wait for the socket before a pairing code is asked for.
const SOCKET: Duration = Duration::from_secs(30);

/// How to open a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Names the session in the logs.
    pub label: SessionId,
    /// Cancelled when the session's lease is lost; the same token that the key store has. The
    /// connection then ends at once with [`Ended::LeaseLost`] and writes nothing more.
    pub lost: CancellationToken,
    /// How soon it needs its connection.
    pub urgency: Urgency,
}

/// Why no pairing code could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The session is linked already.
    #[error("already linked")]
    AlreadyLinked,
    /// No connection to WhatsApp in time.
    #[error("not connected to WhatsApp")]
    NotConnected,
    /// A code for this session is out and still valid.
    #[error("a pairing code is already out")]
    AlreadyOut,
    /// Asked too often. WhatsApp also answers this to some invalid numbers.
    #[error("WhatsApp wants fewer requests for pairing codes")]
    TooMany,
    /// WhatsApp does not link this number by code; the QR works.
    #[error("WhatsApp does not link this number by code")]
    NotAvailable,
    /// Refused, or not answered.
    #[error("WhatsApp gave no pairing code")]
    Refused,
}

impl WhatsApp {
    /// Opens a connection with the keys in `backend` and runs it until it is over: an unlinked
    /// session is shown QR codes first, a linked one logs in. Dropped connections are made anew.
    ///
    /// The run is a task on the tracker given to [`WhatsApp::new`]. Dropping the [`Connection`] does not
    /// stop it; [`Connection::disconnect`] does. Fails when the key store does.
    pub async fn open(
        &self,
        backend: Arc<dyn Backend>,
        inbound: Arc<dyn InboundSink>,
        options: ConnectionOptions,
    ) -> anyhow::Result<(Connection, ConnectionEvents)> {
        let (outbox, events) = Outbox::new();
        let outbox = Arc::new(outbox);
        let listener = Listener {
            outbox: outbox.clone(),
            clock: self.clock().clone(),
            limiter: self.limiter().clone(),
        };
        let ending = CancellationToken::new();
        let slot = ConnectSlot::new(
            self.limiter().clone(),
            options.label,
            options.urgency,
            ending.clone(),
            options.lost.clone(),
        );
        let bot = Bot::builder()
            .with_backend_arc(backend)
            .with_transport_factory(self.dial(&options, slot.clone())?)
            .with_http_client(self.http().clone())
            .with_runtime(TokioRuntime)
            .with_version(self.web_version().await)
            .with_inbound_durability_hook(Hook {
                sink: inbound,
                clock: self.clock().clone(),
            })
            .with_event_handler(listener)
            .with_cache_config(caches())
            .build()
            .await
            .context("opening the session's keys")?;
        let connection = Connection::new(bot.client(), ending, self.clock().clone());
        slot.belongs_to(connection.client());
        let run = Run {
            whatsapp: self.clone(),
            connection: connection.clone(),
            outbox,
            slot,
            lost: options.lost,
        };
        let span = tracing::info_span!("connection", session.id = %options.label);
        let work = run.until_over(bot);
        self.tasks().spawn(work.instrument(span));
        Ok((connection, events))
    }

    fn dial(&self, options: &ConnectionOptions, slot: ConnectSlot) -> anyhow::Result<Dial> {
        Ok(Dial {
            url: Url::parse(self.address().as_str())?.into(),
            tls: self.tls()?,
            slot,
            lost: options.lost.clone(),
        })
    }

    async fn web_version(&self) -> (u32, u32, u32) {
        if self.address().is_sandbox() {
            // The sandbox takes any version, and a sandbox asks nobody outside.
            return WebVersion::built_in();
        }
        self.version().newest(self.http()).await
    }
}

/// Smaller where the default is made for big groups; the rest as WhatsApp's web client.
fn caches() -> CacheConfig {
    CacheConfig {
        // A device list is one row in the key store: the memory of a few hundred recipients is
        // enough, and an hour later a list is read from there again, not asked for.
        device_registry_cache: CacheEntryConfig::new(Some(Duration::from_hours(1)), 512),
        // Secrets of old messages serve edits and poll votes on them, which are not read yet.
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}

/// A connection's life. Its end is told even when the run panics.
struct Run {
    whatsapp: WhatsApp,
    connection: Connection,
    outbox: Arc<Outbox>,
    slot: ConnectSlot,
    lost: CancellationToken,
}

impl Run {
    async fn until_over(self, bot: Bot) {
        if self.slot.come().await.is_ok() {
            self.run(bot).await;
        } else if self.lost.is_cancelled() {
            self.outbox.ending(Ended::LeaseLost);
        }
        self.settle().await;
    }

    async fn run(&self, bot: Bot) {
        let mut run = pin!(bot.run());
        let lost = tokio::select! {
            () = run.as_mut() => false,
            () = self.lost.cancelled() => true,
        };
        if lost {
            self.outbox.ending(Ended::LeaseLost);
            self.connection.client().signal_shutdown_sync();
            let _ = tokio::time::timeout(STOP, run).await;
        }
    }

    /// Stops what the library still runs and flushes; after a logout or a ban its loop has ended
    /// but its other tasks have not.
    async fn settle(&self) {
        if self.outbox.why() == Some(Ended::Outdated) {
            self.whatsapp.version().forget().await;
        }
        let down = self.connection.client().disconnect();
        if tokio::time::timeout(STOP, down).await.is_err() {
            tracing::warn!("the connection did not go down in time");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.slot.end();
        self.outbox.close();
        self.connection.over().cancel();
    }
}

impl Connection {
    /// A code to enter on `phone` to link this session to it, valid about 180 s; it is also told
    /// as [`ConnectionEvent::PairingCode`]. Only one is out at a time. QR codes go on beside it.
    ///
    /// [`ConnectionEvent::PairingCode`]: super::event::ConnectionEvent::PairingCode
    pub async fn pairing_code(&self, phone: &Phone) -> Result<PairingCode, PairingError> {
        let client = self.client();
        if self.me().is_some() {
            return Err(PairingError::AlreadyLinked);
        }
        let socket = client.wait_for_socket(SOCKET).await;
        socket.map_err(|_| PairingError::NotConnected)?;
        let options = PairCodeOptions {
            phone_number: phone.digits().to_owned(),
            ..PairCodeOptions::default()
        };
        let code = client.pair_with_code(options).await;
        code.map(PairingCode::new)
            .map_err(|error| pairing_error(&error))
    }

    /// Stops the connection: what is in memory is flushed to the key store, the socket closed, and
    /// the run waited for. The number stays linked.
    pub async fn disconnect(self) {
        self.ending().cancel();
        self.client().disconnect().await;
        self.over().cancelled().await;
    }

    /// Unlinks the number: WhatsApp removes this device from the phone's list, and the connection
    /// ends with [`Ended::LoggedOut`]. Fails, with nothing changed, when not connected or when
    /// WhatsApp does not answer; only then is the number still linked.
    pub async fn logout(self) -> anyhow::Result<()> {
        let client = self.client();
        let me = client.pn().context("not linked")?;
        let unlink = RemoveCompanionDeviceSpec::new(&me);
        if let Err(error) = client.execute(unlink).await {
            // WhatsApp may end a removed device's connection before its answer is read; a run that
            // is over is not made anew.
            let over = tokio::time::timeout(GOODBYE, self.over().cancelled()).await;
            return over.map_err(|_| error).context("unlinking");
        }
        // WhatsApp ends the connection of a removed device. If it does not, we do.
        if tokio::time::timeout(GOODBYE, self.over().cancelled())
            .await
            .is_err()
        {
            client.logout().await;
        }
        self.over().cancelled().await;
        Ok(())
    }

    /// Drops the socket and connects again at once.
    pub async fn reconnect(&self) {
        self.client().reconnect_immediately().await;
    }
}

fn pairing_error(error: &PairError) -> PairingError {
    match (error.rejection(), error) {
        (Some(rejection), _) if rejection.is_throttled() => PairingError::TooMany,
        (Some(Rejection::FeatureNotAvailable), _) => PairingError::NotAvailable,
        (_, PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { .. })) => {
            PairingError::AlreadyOut
        }
        (_, PairError::RequestFailed(IqError::NotConnected)) => PairingError::NotConnected,
        _ => PairingError::Refused,
    }
}

#[cfg(feature = "sandbox")]
#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        clock::Clock,
        whatsapp::{address::ServerAddress, connect_limiter::Connects},
    };

    #[tokio::test]
    async fn a_sandbox_presents_the_version_built_in_and_asks_nobody() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let address = ServerAddress::parse("ws://127.0.0.1:9/ws/chat").unwrap();
        let whatsapp = WhatsApp::new(
            address,
            Connects::default(),
            Clock::system(),
            TaskTracker::new(),
        );
        assert_eq!(whatsapp.web_version().await, WebVersion::built_in());
        assert!(!whatsapp.version().has_asked().await);
    }
}

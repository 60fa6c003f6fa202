//! Opens a connection, runs it until it ends, and stops it.

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
    CacheConfig, CacheEntryConfig, IqError, RawNodeLease, TokioRuntime,
    bot::Bot,
    pair_code::{PairCodeError, PairCodeOptions, PairError},
};

use super::{
    connect_limiter::Urgency,
    connect_slot::ConnectSlot,
    connection::Connection,
    event::{ConnectionEvents, Ended, Outbox, PairingCode},
    group_changes::{GroupChanges, GroupQueue},
    handle::WhatsApp,
    inbound::InboundSink,
    late::{LateMessages, LateQueue},
    listen::Hook,
    tell::Listener,
    transport::Dial,
    unstored::Unstored,
    version::WebVersion,
};
use crate::{
    content::Phone,
    ids::{OrgId, SessionId},
};

/// Maximum time for a connection to stop. After that its remaining work is abandoned.
const STOP: Duration = Duration::from_secs(15);
/// Maximum time for WhatsApp to close the connection of a device that it removed.
const GOODBYE: Duration = Duration::from_secs(3);
/// Maximum time to wait for the socket before a pairing code is requested.
const SOCKET: Duration = Duration::from_secs(30);

/// How to open a connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// The organisation, with which its other sessions share what one may have.
    pub org: OrgId,
    /// Identifies the session in the logs.
    pub label: SessionId,
    /// Cancelled when the session's lease is lost. The key store has the same token. The connection
    /// then ends at once with [`Ended::LeaseLost`] and writes nothing more.
    pub lost: CancellationToken,
    /// How soon the session needs its connection.
    pub urgency: Urgency,
}

/// Why there is no pairing code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The session is linked already.
    #[error("already linked")]
    AlreadyLinked,
    /// WhatsApp could not be reached in time.
    #[error("not connected to WhatsApp")]
    NotConnected,
    /// An earlier code of this session is still valid.
    #[error("an earlier pairing code is still valid")]
    AlreadyOut,
    /// There were too many requests. WhatsApp also answers this for some invalid numbers.
    #[error("too many requests for pairing codes")]
    TooMany,
    /// WhatsApp does not allow this number to be linked by code. The QR code still works.
    #[error("WhatsApp does not allow this number to be linked by code")]
    NotAvailable,
    /// WhatsApp refused, or did not answer.
    #[error("WhatsApp gave no pairing code")]
    Refused,
}

impl WhatsApp {
    /// Opens a connection with the keys in `backend` and runs it until it ends. A session that is
    /// not linked gets QR codes first; a linked one logs in. If the connection drops, it is opened
    /// again.
    ///
    /// The run is a task on the tracker given to [`WhatsApp::new`]. Dropping the [`Connection`]
    /// does not stop it; [`Connection::disconnect`] does. Fails if the key store fails.
    pub async fn open(
        &self,
        backend: Arc<dyn Backend>,
        inbound: Arc<dyn InboundSink>,
        options: ConnectionOptions,
    ) -> anyhow::Result<(Connection, ConnectionEvents, LateMessages, GroupChanges)> {
        let (outbox, events) = Outbox::new();
        let outbox = Arc::new(outbox);
        let unstored = Unstored::new();
        let (queue, late) = LateQueue::new(unstored.clone());
        let queue = Arc::new(queue);
        let (groups, group_changes) = GroupQueue::new();
        let groups = Arc::new(groups);
        let ending = CancellationToken::new();
        let slot = ConnectSlot::new(
            self.limiter().clone(),
            (options.org, options.label),
            options.urgency,
            ending.clone(),
            options.lost.clone(),
        );
        let listener = Listener {
            outbox: outbox.clone(),
            late: queue.clone(),
            groups: groups.clone(),
            clock: self.clock().clone(),
            slot: slot.clone(),
        };
        let bot = Bot::builder()
            .with_backend_arc(backend)
            .with_transport_factory(self.dial(&options, slot.clone(), unstored.clone())?)
            .with_http_client(self.http().clone())
            .with_runtime(TokioRuntime)
            .with_version(self.web_version().await)
            .with_inbound_durability_hook(Hook {
                sink: inbound,
                clock: self.clock().clone(),
                unstored,
                lost: options.lost.clone(),
            })
            .with_event_handler(listener)
            .with_cache_config(caches())
            .build()
            .await
            .context("opening the session's keys")?;
        // A number that does not show as online would send receipts that some phones take for no delivery. What
        // comes in is stored here before its receipt is sent, so it was delivered.
        bot.client().set_force_active_delivery_receipts(true);
        let connection = Connection::new(bot.client(), ending, self.clock().clone());
        slot.set_client(connection.client());
        let run = Run {
            whatsapp: self.clone(),
            connection: connection.clone(),
            outbox,
            late: queue,
            groups,
            slot,
            lost: options.lost,
            _stanzas: connection.client().acquire_raw_node_forwarding(),
        };
        let span = tracing::info_span!("connection", session.id = %options.label);
        let work = run.until_over(bot);
        self.tasks().spawn(work.instrument(span));
        Ok((connection, events, late, group_changes))
    }

    fn dial(
        &self,
        options: &ConnectionOptions,
        slot: ConnectSlot,
        unstored: Unstored,
    ) -> anyhow::Result<Dial> {
        Ok(Dial {
            url: Url::parse(self.address().as_str())?.into(),
            tls: self.tls()?,
            slot,
            lost: options.lost.clone(),
            unstored,
        })
    }

    async fn web_version(&self) -> (u32, u32, u32) {
        if self.address().is_sandbox() {
            // The sandbox accepts any version, and must not contact servers outside this machine.
            return WebVersion::built_in();
        }
        self.version().newest(self.http()).await
    }
}

/// Smaller caches where the library's default is made for big groups. The rest is as in WhatsApp's
/// web client.
fn caches() -> CacheConfig {
    CacheConfig {
        // A device list is one row in the key store. Lists of a few hundred recipients are kept in
        // memory for an hour; after that they are read from the key store again, not from WhatsApp.
        device_registry_cache: CacheEntryConfig::new(Some(Duration::from_hours(1)), 512),
        // Secrets of old messages are needed for edits and poll votes on them, which we do not
        // read.
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}

/// The life of a connection. Its end is reported even if the run panics.
struct Run {
    whatsapp: WhatsApp,
    connection: Connection,
    outbox: Arc<Outbox>,
    late: Arc<LateQueue>,
    groups: Arc<GroupQueue>,
    slot: ConnectSlot,
    lost: CancellationToken,
    /// Has the library report each stanza; calls are read from them.
    _stanzas: RawNodeLease,
}

impl Run {
    async fn until_over(self, bot: Bot) {
        if self.slot.acquire_ahead().await.is_ok() {
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
            () = self.connection.keep_presence(&self.lost) => true,
        };
        if lost {
            self.outbox.ending(Ended::LeaseLost);
            self.connection.client().signal_shutdown_sync();
            let _ = tokio::time::timeout(STOP, run).await;
        }
    }

    /// Stops the library's remaining tasks and flushes the keys. After a logout or a ban its main
    /// loop has ended, but its other tasks have not.
    async fn settle(&self) {
        if self.outbox.why() == Some(Ended::Outdated) {
            self.whatsapp.version().forget().await;
        }
        let down = self.connection.client().disconnect();
        if tokio::time::timeout(STOP, down).await.is_err() {
            tracing::warn!("the connection did not stop in time; its remaining work is abandoned");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.slot.release();
        self.late.close();
        self.groups.close();
        self.outbox.close();
        self.connection.over().cancel();
    }
}

impl Connection {
    /// Requests a code to enter on `phone`, which links this session to it. The code is valid for
    /// about 180 s and is also sent as [`ConnectionEvent::PairingCode`]. Only one code can be valid
    /// at a time. New QR codes are still sent.
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

    /// Stops the connection: flushes what is in memory to the key store, closes the socket, and
    /// waits until the run has ended. The number stays linked.
    pub async fn disconnect(self) {
        self.ending().cancel();
        self.client().disconnect().await;
        self.over().cancelled().await;
    }

    /// Unlinks the number: WhatsApp removes this device from the phone's list, and the connection
    /// ends with [`Ended::LoggedOut`]. Fails without any change if not connected, or if WhatsApp
    /// does not answer. After a failure the number is still linked.
    pub async fn logout(self) -> anyhow::Result<()> {
        let client = self.client();
        let me = client.pn().context("not linked")?;
        let unlink = RemoveCompanionDeviceSpec::new(&me);
        if let Err(error) = client.execute(unlink).await {
            // WhatsApp may close the connection of a removed device before its answer is read. If
            // the run has ended, it is not started again.
            let over = tokio::time::timeout(GOODBYE, self.over().cancelled()).await;
            return over.map_err(|_| error).context("unlinking");
        }
        // WhatsApp closes the connection of a removed device. If it does not, we do.
        if tokio::time::timeout(GOODBYE, self.over().cancelled())
            .await
            .is_err()
        {
            client.logout().await;
        }
        self.over().cancelled().await;
        Ok(())
    }

    /// Closes the socket and connects again at once.
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
        whatsapp::{address::ServerAddress, connect_bucket::Connects},
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

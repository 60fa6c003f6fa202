//! One live connection to WhatsApp: pair, send, listen.
//!
//! Together with the key store the only place that names the library (whatsapp-rust, wacore).
//!
//! | page | what it holds |
//! |---|---|
//! | `address` | which server, and which builds may talk to it |
//! | `tls`, `transport`, `http`, `version` | what the library stands on: sockets, media, the web version |
//! | `door`, `turn` | how fast connections are opened, and whose turn it is |
//! | `connect` | opening a connection, pairing, and the ways it ends |
//! | `send` | sending and typing |
//! | `find` | who has an account |
//! | `groups` | which groups the number is in |
//! | `mark`, `named` | receipts for what came in; which message that is |
//! | `media` | files to and from WhatsApp's media hosts |
//! | [`event`], [`inbound`] | what a connection tells; a message that came in |
//! | `listen`, `late`, `tell` | incoming messages; those that come beside the hook; all other events |
//! | `wire` | contents as WhatsApp writes them, both ways |
//!
//! History that a phone sends after linking is read by the library for the privacy tokens it
//! carries, without which WhatsApp refuses messages to people the number knows; its content is not
//! listened to and so never kept.

mod address;
mod connect;
mod door;
pub mod event;
mod find;
mod groups;
mod http;
pub mod inbound;
mod late;
mod listen;
mod mark;
mod media;
mod named;
mod send;
mod tell;
mod tls;
mod transport;
mod turn;
mod version;
mod wire;

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wacore::chrono;
use whatsapp_rust::Client;

pub use self::{
    address::{NotAllowed, ServerAddress},
    connect::{LinkOptions, PairingError},
    door::{Connects, Urgency},
    groups::JoinedGroup,
    late::Late,
    mark::Mark,
    media::{FetchError, Uploaded},
    named::Named,
    send::{NOT_IN_GROUP, Outgoing, SendError, Typing, new_wa_id},
    wire::{Attached, Ballot, clean_file_name},
};
use self::{door::Door, http::Http, version::WebVersion};
use crate::{
    clock::{Clock, Millis},
    content::Peer,
    ids::SessionId,
};

/// Log directives that keep phone numbers, LIDs and pairing codes out of the logs: the library
/// names them in messages of level info and in a few warnings. To be added last to whatever filter
/// the operator sets. What matters of those messages comes as events and errors of ours.
pub const LOG_FILTER: &str = "whatsapp_rust=off,whatsapp_rust_tokio_transport=off,wacore=off,\
    wacore_appstate=off,wacore_binary=off,wacore_libsignal=off,wacore_noise=off,waproto=off,\
    Client=off,Bot=off,AppState=off,usync=off,blocklist=off,Blocking=off,UnifiedSession=off,\
    ChatstateHandler=off,Chatstate=off,TcToken=off,PresenceHandler=off,MessageQueue=off,Mex=off";

/// The way to WhatsApp, one for the process. Cheap to clone.
#[derive(Clone)]
pub struct WhatsApp(Arc<Shared>);

struct Shared {
    address: ServerAddress,
    clock: Clock,
    tasks: TaskTracker,
    http: Http,
    door: Door,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    version: WebVersion,
}

impl WhatsApp {
    /// Talks to the server at `address`, with at most so many new connections a second. The runs of its
    /// links are tasks on `tasks`.
    pub fn new(
        address: ServerAddress,
        connects: Connects,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Shared {
            http: Http::new(&address, tasks.clone()),
            door: Door::new(connects, clock.clone(), tasks.clone()),
            version: WebVersion::new(clock.clone()),
            tls: OnceLock::new(),
            address,
            clock,
            tasks,
        }))
    }

    /// The server it talks to.
    pub fn address(&self) -> &ServerAddress {
        &self.0.address
    }

    /// The sessions whose connections wait for their turn.
    pub fn waiting(&self) -> Vec<SessionId> {
        self.0.door.waiting()
    }

    /// How urgent those that wait are by now.
    pub fn order(&self, urgencies: &[(SessionId, Urgency)]) {
        self.0.door.order(urgencies);
    }

    /// So many processes, this one among them, connect from one address.
    pub fn share_address(&self, processes: u32) {
        self.0.door.share(processes);
    }

    fn door(&self) -> &Door {
        &self.0.door
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    fn http(&self) -> &Http {
        &self.0.http
    }

    fn version(&self) -> &WebVersion {
        &self.0.version
    }

    /// One configuration for all sockets, so that they share the root certificates in memory.
    fn tls(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
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

/// One connection. Cheap to clone; the clones are the same connection.
#[derive(Clone)]
pub struct Link(Arc<Open>);

struct Open {
    client: Arc<Client>,
    /// Set once WhatsApp has told its properties, see [`Link::know_properties`].
    properties: OnceCell<()>,
    /// Cancelled when it is to end.
    ending: CancellationToken,
    over: CancellationToken,
    clock: Clock,
}

impl Link {
    fn new(client: Arc<Client>, ending: CancellationToken, clock: Clock) -> Self {
        Self(Arc::new(Open {
            client,
            clock,
            properties: OnceCell::new(),
            ending,
            over: CancellationToken::new(),
        }))
    }

    fn client(&self) -> &Arc<Client> {
        &self.0.client
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Cancelled when the run is over.
    fn over(&self) -> &CancellationToken {
        &self.0.over
    }

    /// Whether the connection is up and logged in.
    pub fn is_connected(&self) -> bool {
        connect::is_ready(&self.0.client)
    }

    /// The number's own phone and LID; `None` while it is not linked.
    pub fn me(&self) -> Option<Peer> {
        let (phone, lid) = (self.0.client.pn(), self.0.client.lid());
        let me = listen::own_words([&phone, &lid].into_iter().flatten());
        (me.phone.is_some() || me.lid.is_some()).then_some(me)
    }

    /// Until when WhatsApp locks this number out of new chats (milliseconds UTC); `None` when it
    /// does not. Asks WhatsApp.
    pub async fn reachout_timelock(&self) -> anyhow::Result<Option<Millis>> {
        let lock = self.0.client.mex().fetch_reachout_timelock().await?;
        if lock.is_active != Some(true) {
            return Ok(None);
        }
        let ends = lock
            .time_enforcement_ends
            .context("a time-lock without an end")?;
        until(&ends)
            .map(Some)
            .context("reading the end of the time-lock")
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// A time in WhatsApp's GraphQL answers: seconds since 1970 or RFC 3339.
fn until(text: &str) -> Option<Millis> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lock_ends_at_seconds_or_at_a_date() {
        assert_eq!(until("1700000000"), Some(1_700_000_000_000));
        assert_eq!(until("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(until("soon"), None);
    }
}

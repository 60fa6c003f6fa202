//! One connection: the handle that its pages share.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::Client;

use super::{jid::peer_of, presence::Announced};
use crate::{clock::Clock, content::Peer};

/// A connection to WhatsApp. Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Open>);

struct Open {
    client: Arc<Client>,
    /// Set when WhatsApp's properties are known, see [`Connection::send`].
    properties: OnceCell<()>,
    /// Cancelled when the connection is to end.
    ending: CancellationToken,
    over: CancellationToken,
    clock: Clock,
    announced: Announced,
}

impl Connection {
    pub(super) fn new(client: Arc<Client>, ending: CancellationToken, clock: Clock) -> Self {
        Self(Arc::new(Open {
            client,
            clock,
            announced: Announced::default(),
            properties: OnceCell::new(),
            ending,
            over: CancellationToken::new(),
        }))
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.0.client
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Returns what it has announced of its presence.
    pub(super) fn announced(&self) -> &Announced {
        &self.0.announced
    }

    /// Cancelled when the connection is to end.
    pub(super) fn ending(&self) -> &CancellationToken {
        &self.0.ending
    }

    /// Set when WhatsApp's properties are known.
    pub(super) fn properties(&self) -> &OnceCell<()> {
        &self.0.properties
    }

    /// Cancelled when the run has ended.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.0.over
    }

    /// Returns whether the connection is open and logged in.
    pub fn is_connected(&self) -> bool {
        self.0.client.is_connected() && self.0.client.is_logged_in()
    }

    /// Returns the number's own phone and LID; `None` if it is not linked.
    pub fn me(&self) -> Option<Peer> {
        let (phone, lid) = (self.0.client.pn(), self.0.client.lid());
        let me = peer_of([&phone, &lid].into_iter().flatten());
        (me.phone.is_some() || me.lid.is_some()).then_some(me)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

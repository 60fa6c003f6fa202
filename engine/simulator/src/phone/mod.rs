//! A scripted phone: device 0 of its account, a client of the server without a socket.

mod echo;
mod inbox;
pub(crate) mod make;
mod media_retry;
pub(crate) mod outgoing;
mod placeholder;
mod receipts;
mod run;
pub(crate) mod sender_keys;
pub(crate) mod signal;
mod welcome;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use wacore_binary::Node;

use self::outgoing::Outgoing;
use self::sender_keys::SenderKeys;
use self::signal::Signal;
use crate::receipts::acknowledged;
use crate::stanza;
use crate::stanza::el;
use crate::state::account::Script;
use crate::state::address::plus;
use crate::state::address::{Address, Pn};
use crate::state::chat::Chat;
use crate::state::ledger::{EntryDetails, EntryKind};
use crate::state::order::Order;
use crate::state::phone_keys::PhoneKeys;
use crate::state::screen::Screen;
use crate::state::view::View;
use crate::state::world::World;

/// The most orders that wait for one phone.
const ORDERS: usize = 10_000;
/// How many messages a phone remembers, to show each once.
const REMEMBERED: usize = 10_000;

/// A running phone.
pub(crate) struct Phone {
    pub(crate) world: Arc<World>,
    pub(crate) own: Address,
    pub(crate) signal: Signal,
    pub(crate) sender_keys: SenderKeys,
    pub(crate) rng: StdRng,
    orders: mpsc::Sender<Order>,
    /// Messages shown, by sender and id.
    seen: HashSet<(Pn, String)>,
    seen_order: VecDeque<(Pn, String)>,
    pub(crate) screen: Screen,
    /// The phone's own messages, newest last.
    pub(crate) said: VecDeque<Outgoing>,
}

impl Phone {
    fn new(
        world: &Arc<World>,
        own: Address,
        keys: &Arc<PhoneKeys>,
        orders: mpsc::Sender<Order>,
        mut rng: StdRng,
    ) -> Self {
        Self {
            world: Arc::clone(world),
            signal: Signal::new(keys, StdRng::from_rng(&mut rng)),
            sender_keys: SenderKeys::new(own.clone(), StdRng::from_rng(&mut rng)),
            orders,
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
            screen: Screen::default(),
            said: VecDeque::new(),
            own,
            rng,
        }
    }

    /// Acknowledges a stanza to the server.
    fn acknowledge(&self, node: &Node) {
        let ack = el("ack")
            .attr("class", node.tag.as_ref())
            .attr("id", stanza::text(node, "id").unwrap_or_default());
        acknowledged(&self.world, &self.own, &ack.build());
    }

    /// Writes a ledger entry about a message that `sender` sent in a chat of this phone.
    pub(crate) fn record(
        &self,
        kind: EntryKind,
        sender: &Address,
        chat: &Chat,
        id: &str,
        view: Option<View>,
    ) {
        let text = view
            .as_ref()
            .filter(|view| matches!(view.kind, "text" | "edit"))
            .and_then(|view| view.text.clone());
        let to = if *sender == self.own {
            chat.ledger_name()
        } else {
            plus(&self.own.pn)
        };
        let line = EntryDetails {
            id,
            text,
            subtype: view.as_ref().map_or("text", |view| view.kind),
            message: view.map(Box::new),
            group: chat.group().map(|_| chat.ledger_name()),
            ..EntryDetails::default()
        };
        self.world.record(kind, sender, &to, line);
    }

    fn script(&self) -> Script {
        let state = self.world.state();
        let account = state.accounts.get(&self.own.pn);
        account.map_or_else(Script::default, |account| account.script.clone())
    }
}

//! A scripted phone: device 0 of its account, a client of the server without a socket.

mod app_state;
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

use self::app_state::AppStateKey;
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
    /// How often the phone has noticed that it went away.
    departures: u64,
    /// Receipts for when the phone is back.
    held: Vec<Node>,
    /// Messages that it handled before it went away, and whose receipts it sent when it was back.
    late: HashSet<String>,
    /// The key of the account's app state. It is made for the first linked device.
    app_state_key: Option<AppStateKey>,
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
            departures: 0,
            held: Vec::new(),
            late: HashSet::new(),
            app_state_key: None,
            own,
            rng,
        }
    }

    /// Returns whether the phone is connected, and has read its mailbox up to the last time that it
    /// went away.
    fn is_online(&self) -> bool {
        let state = self.world.state();
        state.accounts.get(&self.own.pn).is_some_and(|account| {
            let phone = account.devices.get(&0);
            account.departures == self.departures && phone.is_some_and(|phone| phone.active)
        })
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

//! A scripted phone: device 0 of its account, a client of the server without a socket.

mod echo;
mod inbox;
pub(crate) mod keys;
mod make;
pub(crate) mod screen;
pub(crate) mod sender_keys;
pub(crate) mod signal;
mod tell;
mod welcome;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};
use wacore_binary::Node;

use self::keys::PhoneKeys;
pub(crate) use self::make::{create, ensure};
use self::screen::{Screen, Shown};
use self::sender_keys::SenderKeys;
use self::signal::Signal;
use crate::account::{Address, Mail, Pn, Script};
use crate::chat::Chat;
use crate::group::GroupId;
use crate::ledger::Kind;
use crate::media::retry;
use crate::reading::View;
use crate::receipts;
use crate::speech::Speech;
use crate::speech::seal::Outgoing;
use crate::stanza::{self, el};
use crate::world::{Line, World};

/// Orders that wait for one phone.
const ORDERS: usize = 10_000;
/// Messages a phone remembers, to show each once.
const REMEMBERED: usize = 10_000;

/// What a phone can be told to do.
pub(crate) enum Order {
    /// Say something.
    Say(Box<Speech>),
    /// Send a receipt of this kind for these messages.
    Receipt {
        kind: &'static str,
        from: Pn,
        group: Option<GroupId>,
        ids: Vec<String>,
    },
    /// Send a newly linked device what it needs.
    Welcome(u16),
    /// Tell what is on the screen in a chat.
    Look {
        chat: Chat,
        shown: oneshot::Sender<Vec<Shown>>,
    },
}

/// A phone at work.
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
    /// Own messages, newest last.
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

    async fn run(mut self, mut letters: mpsc::Receiver<Mail>, mut todo: mpsc::Receiver<Order>) {
        let stop = self.world.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(mail) = letters.recv() => {
                    if let Mail::Stanza(node) = mail {
                        self.receive(&node).await;
                    }
                }
                Some(order) = todo.recv() => self.obey(order).await,
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Say(speech) => self.say(*speech).await,
            Order::Receipt {
                kind,
                from,
                group,
                ids,
            } => self.receipts_for(kind, &from, group.as_ref(), &ids),
            Order::Welcome(device) => welcome::welcome(self, device),
            Order::Look { chat, shown } => {
                let _ = shown.send(self.screen.chat(&chat));
            }
        }
    }

    async fn receive(&mut self, node: &Node) {
        let kind = stanza::text(node, "type");
        match (node.tag.as_ref(), kind.as_deref()) {
            ("message", _) => self.message(node).await,
            ("receipt", Some("retry")) => {
                self.say_again(node);
                self.acknowledge(node);
            }
            ("receipt", Some("server-error")) => {
                retry::answer(self, node).await;
                self.acknowledge(node);
            }
            ("receipt" | "notification", _) => self.acknowledge(node),
            // Typing and presence: nothing to do.
            _ => {}
        }
    }

    /// Tell the server that a stanza has arrived.
    fn acknowledge(&self, node: &Node) {
        let ack = el("ack")
            .attr("class", node.tag.as_ref())
            .attr("id", stanza::text(node, "id").unwrap_or_default());
        receipts::acknowledged(&self.world, &self.own, &ack.build());
    }

    /// Write a line about a message that was sent by `sender`, in a chat of this phone.
    pub(crate) fn note(
        &self,
        kind: Kind,
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
            chat.name()
        } else {
            crate::world::plus(&self.own.pn)
        };
        let line = Line {
            id,
            text,
            subtype: view.as_ref().map_or("text", |view| view.kind),
            message: view.map(Box::new),
            group: chat.group().map(|_| chat.name()),
            ..Line::default()
        };
        self.world.note(kind, sender, &to, line);
    }

    fn script(&self) -> Script {
        let state = self.world.state();
        let account = state.accounts.get(&self.own.pn);
        account.map_or_else(Script::default, |account| account.script.clone())
    }
}

//! A scripted phone: device 0 of its account, a client of the server without a socket.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};
use wacore::messages::decode_plaintext;
use wacore_binary::{Jid, Node, Server};
use waproto::whatsapp::Message;

use crate::account::{Account, Address, Device, MAILBOX, Mail, Pn, Script, TimeLock};
use crate::certs::raw;
use crate::ledger::Kind;
use crate::phone_keys::PhoneKeys;
use crate::signal::{Signal, Unopened};
use crate::stanza::{self, el};
use crate::world::{Line, Read, World, plus};
use crate::{receipts, welcome};

/// Orders that wait for one phone.
const ORDERS: usize = 10_000;
/// Messages a phone remembers: to show each once, and to send again when asked.
const REMEMBERED: usize = 10_000;
/// How often a phone asks for the same message again.
const RETRIES: u8 = 5;

/// What a phone can be told to do.
pub(crate) enum Order {
    /// Say something.
    Say(Speech),
    /// Send a read receipt for these messages.
    Read { from: Pn, ids: Vec<String> },
    /// Send a newly linked device what it needs.
    Welcome(u16),
}

/// Something to say.
pub(crate) struct Speech {
    pub(crate) to: Pn,
    pub(crate) text: String,
    /// Message id; made up if absent.
    pub(crate) id: Option<String>,
    /// How many frames of it to send, each sealed on its own.
    pub(crate) copies: u32,
    /// Told the id when it is said.
    pub(crate) done: Option<oneshot::Sender<String>>,
}

/// A phone at work.
pub(crate) struct Phone {
    pub(crate) world: Arc<World>,
    pub(crate) own: Address,
    pub(crate) signal: Signal,
    pub(crate) rng: StdRng,
    orders: mpsc::Sender<Order>,
    /// Messages shown, by sender and id.
    shown: HashSet<(Pn, String)>,
    shown_order: VecDeque<(Pn, String)>,
    /// Own messages by id, newest last.
    pub(crate) said: VecDeque<(String, Message)>,
}

/// Make the phone of an address if that is how this world is set up and nobody has it.
pub(crate) fn ensure(world: &Arc<World>, jid: &Jid) {
    if world.any_number
        && jid.server == Server::Pn
        && let Some(pn) = crate::world::parse_phone(jid.user_base())
        && let Err(error) = create(world, &pn)
    {
        tracing::warn!(%error, "a phone could not be made");
    }
}

/// Make a phone, unless there is one. `true` if it is new. It is online and silent.
pub(crate) fn create(world: &Arc<World>, pn: &Pn) -> anyhow::Result<bool> {
    let mut state = world.state();
    if state.accounts.contains_key(pn) {
        return Ok(false);
    }
    let lid = state.free_lid();
    let keys = Arc::new(PhoneKeys::generate(world.clock.seconds(), &mut state.rng)?);
    let (orders, todo) = mpsc::channel(ORDERS);
    let (mailbox, letters) = mpsc::channel(MAILBOX);
    let own = Address {
        pn: Arc::clone(pn),
        device: 0,
    };
    let mut rng = StdRng::from_rng(&mut state.rng);
    let phone = Phone {
        world: Arc::clone(world),
        signal: Signal::new(&keys, StdRng::from_rng(&mut rng)),
        orders: orders.clone(),
        shown: HashSet::new(),
        shown_order: VecDeque::new(),
        said: VecDeque::new(),
        own,
        rng,
    };
    let mut account = Account {
        pn: Arc::clone(pn),
        lid: Arc::clone(&lid),
        script: Script::default(),
        orders,
        mailbox,
        devices: [(0, primary(&keys))].into(),
        next_device: 1,
        app_state: BTreeMap::new(),
        timelock: TimeLock::default(),
        contacts: BTreeMap::new(),
        watchers: BTreeSet::new(),
        keys,
    };
    account.set_online(true);
    state.lids.insert(lid, Arc::clone(pn));
    state.accounts.insert(Arc::clone(pn), account);
    drop(state);
    world.tasks.spawn(phone.run(letters, todo));
    Ok(true)
}

fn primary(keys: &PhoneKeys) -> Device {
    let mut device = Device::new(0, None);
    device.registration = keys.registration.to_be_bytes().to_vec();
    device.identity = raw(&keys.identity).to_vec();
    device.signed_key = keys.published();
    device
}

impl Phone {
    async fn run(mut self, mut letters: mpsc::Receiver<Mail>, mut todo: mpsc::Receiver<Order>) {
        let stop = self.world.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(mail) = letters.recv() => {
                    if let Mail::Stanza(node) = mail {
                        self.receive(&node);
                    }
                }
                Some(order) = todo.recv() => self.obey(order),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Say(speech) => self.say(speech),
            Order::Read { from, ids } => self.read(&from, &ids),
            Order::Welcome(device) => welcome::welcome(self, device),
        }
    }

    fn receive(&mut self, node: &Node) {
        match node.tag.as_ref() {
            "message" => self.message(node),
            "receipt" if stanza::text(node, "type").as_deref() == Some("retry") => {
                self.say_again(node);
                self.acknowledge(node);
            }
            "receipt" | "notification" => self.acknowledge(node),
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

    fn message(&mut self, node: &Node) {
        let (Some(from), Some(id)) = (stanza::jid(node, "from"), stanza::text(node, "id")) else {
            return;
        };
        let Some(sender) = self.world.state().address(&from) else {
            return self.acknowledge(node);
        };
        for enc in node.get_children_by_tag("enc") {
            let kind = stanza::text(enc, "type").unwrap_or_default();
            let sealed = stanza::bytes(enc).unwrap_or_default();
            let opened = match self.signal.open(&sender, &kind, &sealed) {
                Ok(plain) => decode_plaintext(&plain, 2).map_err(Unopened::from),
                Err(error) => Err(error),
            };
            match opened {
                Ok(message) => self.opened(node, &sender, &id, &message),
                Err(Unopened::Duplicate) => self.repeated(node, &sender, &id, None),
                Err(Unopened::Broken(error)) => {
                    tracing::debug!(%error, "a phone could not open a message");
                    let count: Option<u8> =
                        stanza::text(enc, "count").and_then(|text| text.parse().ok());
                    let next = count.unwrap_or(0).saturating_add(1);
                    self.unreadable(node, &sender, &id, next);
                }
            }
        }
    }

    /// A message was opened: show it, unless it was shown before or is not for showing.
    fn opened(&mut self, node: &Node, sender: &Address, id: &str, message: &Message) {
        if sender.pn == self.own.pn {
            // A copy of what a linked device wrote, or its request for data.
            return self.acknowledge(node);
        }
        let Some(text) = text(message) else {
            return self.receipt(node, None);
        };
        let key = (Arc::clone(&sender.pn), id.to_owned());
        if self.shown.contains(&key) {
            return self.repeated(node, sender, id, Some(text));
        }
        self.remember(key);
        self.note(Kind::Shown, sender, id, Some(text.clone()));
        self.receipt(node, None);
        let script = self.script();
        if script.reads {
            self.receipt(node, Some("read"));
        }
        if script.echo {
            self.echo(sender, text, script.echo_delay_ms);
        }
    }

    fn repeated(&mut self, node: &Node, sender: &Address, id: &str, text: Option<String>) {
        self.note(Kind::Repeat, sender, id, text);
        self.receipt(node, None);
    }

    fn remember(&mut self, key: (Pn, String)) {
        if self.shown_order.len() == REMEMBERED
            && let Some(oldest) = self.shown_order.pop_front()
        {
            self.shown.remove(&oldest);
        }
        self.shown_order.push_back(key.clone());
        self.shown.insert(key);
    }

    fn note(&self, kind: Kind, sender: &Address, id: &str, text: Option<String>) {
        let line = Line {
            id,
            text,
            subtype: "text",
            ..Line::default()
        };
        self.world.note(kind, sender, &plus(&self.own.pn), line);
    }

    fn script(&self) -> Script {
        let state = self.world.state();
        let account = state.accounts.get(&self.own.pn);
        account.map_or_else(Script::default, |account| account.script.clone())
    }

    fn echo(&self, to: &Address, text: String, delay_ms: u64) {
        let speech = Order::Say(Speech {
            to: Arc::clone(&to.pn),
            text,
            id: None,
            copies: 1,
            done: None,
        });
        let (orders, stop) = (self.orders.clone(), self.world.stop.clone());
        if delay_ms == 0 {
            let _ = orders.try_send(speech);
            return;
        }
        self.world.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {
                    let _ = orders.try_send(speech);
                }
            }
        });
    }

    /// A receipt for a stanza, of the kind given; without one a delivery receipt.
    fn receipt(&self, node: &Node, kind: Option<&'static str>) {
        let (Some(from), Some(id)) = (stanza::jid(node, "from"), stanza::text(node, "id")) else {
            return;
        };
        let mut receipt = el("receipt").attr("id", id).attr("to", from);
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind);
        }
        self.send_receipt(&receipt.build());
    }

    fn send_receipt(&self, receipt: &Node) {
        let read = Read {
            at_ms: self.world.clock.millis(),
            wire_us: self.world.clock.micros(),
        };
        receipts::receipt(&self.world, &self.own, receipt, read);
    }

    fn read(&self, from: &Pn, ids: &[String]) {
        let sender = {
            let state = self.world.state();
            let account = state.accounts.get(from);
            account.map(|account| account.jid(Server::Lid, 0))
        };
        let (Some(sender), Some((last, rest))) = (sender, ids.split_last()) else {
            return;
        };
        let items = rest.iter().map(|id| el("item").attr("id", id).build());
        let receipt = el("receipt")
            .attr("id", last)
            .attr("to", sender)
            .attr("type", "read");
        let others = el("list").children(items).build();
        self.send_receipt(&receipt.children([others]).build());
    }

    /// Ask the sender to seal the message again, and hand it fresh keys.
    fn unreadable(&mut self, node: &Node, sender: &Address, id: &str, count: u8) {
        self.note(Kind::Unreadable, sender, id, None);
        if count > RETRIES {
            return self.acknowledge(node);
        }
        self.signal.forget(sender);
        let (Some(from), Some(bundle)) = (
            stanza::jid(node, "from"),
            self.world.state().bundle(&self.own),
        ) else {
            return;
        };
        let retry = el("retry")
            .attr("v", 1_u8)
            .attr("count", count)
            .attr("id", id)
            .attr("t", stanza::text(node, "t").unwrap_or_default());
        let mut keys = crate::iq::bundle_nodes(&bundle);
        let registration = keys.remove(0);
        let receipt = el("receipt")
            .attr("id", id)
            .attr("to", from)
            .attr("type", "retry")
            .children([
                retry.build(),
                registration,
                el("keys").children(keys).build(),
            ]);
        self.send_receipt(&receipt.build());
    }
}

/// The text of a text message.
fn text(message: &Message) -> Option<String> {
    let plain = message.conversation.clone();
    plain.or_else(|| message.extended_text_message.as_option()?.text.clone())
}

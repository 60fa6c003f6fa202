//! Handles messages to a phone: decrypts them, shows each once and sends receipts.

use std::sync::Arc;

use wacore::messages::decode_plaintext;
use wacore_binary::{Jid, Node, Server};
use waproto::whatsapp::Message;

use super::signal::DecryptError;
use super::{Phone, REMEMBERED, placeholder};
use crate::state::address::{Address, Pn, plus};
use crate::state::chat::Chat;
use crate::state::ledger::EntryKind;
use crate::state::view::View;
use crate::{reading, stanza};

/// The chat of a message and the device that sent it.
#[derive(Clone)]
pub(super) struct Origin {
    chat: Chat,
    sender: Address,
}

/// Returns how often the sender has been asked for this message, this time included.
fn retry_count(enc: &Node) -> u8 {
    let count = stanza::text(enc, "count").and_then(|text| text.parse().ok());
    count.unwrap_or(0_u8).saturating_add(1)
}

impl Phone {
    pub(super) async fn message(&mut self, node: &Node) {
        let Some(id) = stanza::text(node, "id") else {
            return;
        };
        let Some(origin) = self.origin(node) else {
            return self.acknowledge(node);
        };
        let mut sealed = node.get_children_by_tag("enc").peekable();
        if sealed.peek().is_none() {
            return self.acknowledge(node);
        }
        while let Some(enc) = sealed.next() {
            match self.open(&origin, enc) {
                Ok(message) => self.opened(node, &origin, &id, &message).await,
                // A repeated group key says nothing about the message that follows it.
                Err(DecryptError::Duplicate) if sealed.peek().is_some() => {}
                Err(DecryptError::Duplicate) => self.repeated(node, &origin, &id, None),
                Err(DecryptError::Broken(error)) => {
                    tracing::debug!(%error, "a phone could not decrypt a message");
                    // The remaining ciphertexts need the one that failed.
                    return self.unreadable(
                        node,
                        &origin.sender,
                        &origin.chat,
                        &id,
                        retry_count(enc),
                    );
                }
            }
        }
    }

    fn origin(&self, node: &Node) -> Option<Origin> {
        let from = stanza::jid(node, "from")?;
        let state = self.world.state();
        if from.server == Server::Group {
            let id = Arc::clone(&state.group(&from)?.id);
            let sender = state.address(&stanza::jid(node, "participant")?)?;
            let chat = Chat::Group(id);
            return Some(Origin { chat, sender });
        }
        let sender = state.address(&from)?;
        let chat = Chat::With(Arc::clone(&sender.pn));
        Some(Origin { chat, sender })
    }

    fn open(&mut self, origin: &Origin, enc: &Node) -> Result<Message, DecryptError> {
        let kind = stanza::text(enc, "type").unwrap_or_default();
        let sealed = stanza::bytes(enc).unwrap_or_default();
        let plain = match (kind.as_str(), origin.chat.group()) {
            ("skmsg", Some(group)) => self.sender_keys.open(group, &origin.sender, &sealed),
            _ => self.signal.open(&origin.sender, &kind, &sealed),
        }?;
        decode_plaintext(&plain, 2).map_err(DecryptError::from)
    }

    /// Handles a decrypted message: shows it, unless it was shown before or is not for people.
    async fn opened(&mut self, node: &Node, origin: &Origin, id: &str, message: &Message) {
        self.store_sender_key(origin, message);
        let Origin { chat, sender } = origin;
        let own = sender.pn == self.own.pn;
        if own && chat.group().is_none() {
            self.own_copy(id, message);
            if let Some(asked) = placeholder::asked(message) {
                self.give_again(sender.device, id, asked);
            }
            return self.acknowledge(node);
        }
        let Some(mut view) = reading::read(message) else {
            return self.nothing_to_show(node, message);
        };
        let key = (Arc::clone(&sender.pn), id.to_owned());
        if self.seen.contains(&key) {
            return self.repeated(node, origin, id, Some(view));
        }
        self.remember(key);
        if !own {
            self.fetch(&mut view, message).await;
        }
        self.replace_addresses(&mut view);
        self.count_vote(chat, &sender.pn, &mut view, message);
        self.on_screen(chat, &sender.pn, id, &mut view, message);
        if own {
            return self.acknowledge(node);
        }
        self.record(EntryKind::Shown, sender, chat, id, Some(view.clone()));
        self.receipt(node, None);
        let script = self.script();
        if script.reads {
            self.receipt(node, Some("read"));
        }
        // Two echoing phones in one group would never stop.
        if script.echo && chat.group().is_none() {
            self.echo(chat.clone(), &view, message, script.echo_delay_ms);
        }
    }

    /// Handles keys, settings and history. If the stanza also carries a group message, its receipt
    /// is sent later.
    fn nothing_to_show(&mut self, node: &Node, message: &Message) {
        let goes_on = node
            .get_children_by_tag("enc")
            .any(|enc| stanza::text(enc, "type").as_deref() == Some("skmsg"));
        let key = message.sender_key_distribution_message.is_set();
        if !(goes_on && key) {
            self.receipt(node, None);
        }
    }

    /// Stores a group's sender key from a message.
    fn store_sender_key(&mut self, origin: &Origin, message: &Message) {
        let shared = message.sender_key_distribution_message.as_option();
        let key =
            shared.and_then(|shared| shared.axolotl_sender_key_distribution_message.as_deref());
        let (Some(group), Some(key)) = (origin.chat.group(), key) else {
            return;
        };
        if let Err(error) = self.sender_keys.store_key(group, &origin.sender, key) {
            tracing::warn!(%error, "a group's key is unusable");
        }
    }

    /// Shows what a linked device sent as the phone's own message.
    fn own_copy(&mut self, id: &str, message: &Message) {
        let Some(copy) = message.device_sent_message.as_option() else {
            return;
        };
        let chat = copy.destination_jid.as_deref().and_then(|text| {
            let jid: Jid = text.parse().ok()?;
            self.world.state().pn(&jid)
        });
        let Some((chat, inner)) = chat.map(Chat::With).zip(copy.message.as_option()) else {
            return;
        };
        let mut inner = inner.clone();
        if inner.message_context_info.is_unset() {
            inner.message_context_info = message.message_context_info.clone();
        }
        let Some(mut view) = reading::read(&inner) else {
            return;
        };
        let own = Arc::clone(&self.own.pn);
        self.replace_addresses(&mut view);
        self.on_screen(&chat, &own, id, &mut view, &inner);
    }

    /// Downloads and decrypts the file of a message.
    async fn fetch(&self, view: &mut View, message: &Message) {
        let Some(attachment) = reading::attachment(message) else {
            return;
        };
        let (world, wanted) = (Arc::clone(&self.world), attachment.clone());
        let opening = self
            .world
            .tasks
            .spawn_blocking(move || reading::open_file(&world.media, &wanted));
        let outcome = opening.await.unwrap_or_else(|error| Err(error.to_string()));
        view.media = Some(reading::media_view(&attachment, &outcome));
    }

    /// Replaces addresses by phone numbers.
    pub(crate) fn replace_addresses(&self, view: &mut View) {
        let state = self.world.state();
        let name = |text: &mut String| {
            let jid: Option<Jid> = text.parse().ok();
            if let Some(pn) = jid.and_then(|jid| state.pn(&jid)) {
                *text = plus(&pn);
            }
        };
        view.mentions.iter_mut().flatten().for_each(name);
        if let Some(from) = view.quoted.as_mut().and_then(|quoted| quoted.from.as_mut()) {
            name(from);
        }
    }

    /// Decrypts a vote with the secret of its poll. The voter and the creator may be named by LID
    /// or by number.
    fn count_vote(&self, chat: &Chat, voter: &Pn, view: &mut View, message: &Message) {
        let poll = view
            .target
            .as_deref()
            .and_then(|id| self.screen.find(chat, id));
        let (Some(update), Some(shown)) = (message.poll_update_message.as_option(), poll) else {
            return;
        };
        let (Some(vote), Some(secret)) =
            (update.vote.as_option(), reading::secret(&shown.original))
        else {
            return;
        };
        let options = shown.message.poll.as_ref().map(|poll| poll.options.clone());
        let options = options.unwrap_or_default();
        let names = [Server::Lid, Server::Pn];
        view.options = names.into_iter().find_map(|server| {
            let ballot = self.ballot(shown, voter, server)?;
            ballot.open(&secret, vote, &options)
        });
    }

    fn repeated(&mut self, node: &Node, origin: &Origin, id: &str, view: Option<View>) {
        self.record(EntryKind::Repeat, &origin.sender, &origin.chat, id, view);
        self.receipt(node, None);
    }

    fn remember(&mut self, key: (Pn, String)) {
        if self.seen_order.len() == REMEMBERED
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.seen_order.push_back(key.clone());
        self.seen.insert(key);
    }
}

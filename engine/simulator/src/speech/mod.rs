//! What a scripted phone writes.

mod attach;
mod compose;
pub(crate) mod content;
pub(crate) mod seal;
pub(crate) mod vote;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde_json::Value;
use tokio::sync::oneshot;
use wacore_binary::{Jid, Node, Server};
use waproto::buffa::MessageField;
use waproto::whatsapp::{ContextInfo, Message, MessageContextInfo, MessageKey};

use self::content::{Content, Poll, Text, Undecryptable, Vote};
use self::seal::Outgoing;
use self::vote::Ballot;
use crate::account::Pn;
use crate::chat::Chat;
use crate::ledger::Kind;
use crate::phone::Phone;
use crate::phone::screen::Shown;
use crate::phone::signal::Sealed;
use crate::reading::{self, Media, View};
use crate::routing;
use crate::stanza::el;
use crate::world::{Line, plus};

/// Own messages kept to be sealed again for a device that could not open them.
const RESENDABLE: usize = 200;

/// Something to say, and where.
pub(crate) struct Speech {
    pub(crate) to: Chat,
    pub(crate) content: Content,
    pub(crate) context: Context,
    /// Message id; made up if absent.
    pub(crate) id: Option<String>,
    /// How many frames of it to send, each sealed on its own.
    pub(crate) copies: u32,
    /// Told what became of it.
    pub(crate) done: Option<oneshot::Sender<Result<Said, String>>>,
}

/// What is around something that is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Id of the message that is answered; it is on the phone's screen.
    pub(crate) quote: Option<String>,
    /// Numbers that are named.
    pub(crate) mentions: Vec<Pn>,
    pub(crate) forwarded: bool,
    /// Disappears after so many seconds.
    pub(crate) expires: Option<u32>,
}

/// Something that was said.
pub(crate) struct Said {
    pub(crate) id: String,
    /// Its file, as the control API tells of it.
    pub(crate) media: Option<Value>,
}

/// A message before it is sealed.
struct Composed {
    message: Message,
    media: Option<Value>,
    edit: Option<&'static str>,
    polltype: Option<&'static str>,
    /// Options of a vote, which nobody can read off the message.
    voted: Option<Vec<String>>,
}

impl Composed {
    fn plain(message: Message) -> Self {
        Self {
            message,
            media: None,
            edit: None,
            polltype: None,
            voted: None,
        }
    }

    fn poll(body: Poll, around: Option<ContextInfo>) -> Self {
        Self {
            polltype: Some("creation"),
            ..Self::plain(compose::poll(body, around))
        }
    }
}

/// The `edit` of an edited, a deleted and somebody else's deleted message (wacore 0.7.0,
/// `EditAttribute`).
const EDITED: &str = "1";
const DELETED: &str = "7";

impl Phone {
    /// Say something, and tell who asked for it.
    pub(crate) async fn say(&mut self, mut speech: Speech) {
        let done = speech.done.take();
        let outcome = self.try_say(speech).await;
        if let Some(done) = done {
            let _ = done.send(outcome);
        }
    }

    async fn try_say(&mut self, speech: Speech) -> Result<Said, String> {
        let id = speech.id.clone().unwrap_or_else(|| self.fresh_id());
        let to = self.address_of(&speech.to).ok_or("no such phone")?;
        if let Content::Undecryptable(Undecryptable { text }) = &speech.content {
            return Ok(self.say_unreadably(&speech, id, &to, text.clone()));
        }
        let composed = self.compose(&speech, &to).await?;
        let out = Outgoing {
            id: id.clone(),
            message: composed.message,
            edit: composed.edit,
            polltype: composed.polltype,
        };
        self.show_own(&speech.to, &out, composed.voted, composed.media.as_ref());
        for _ in 0..speech.copies.max(1) {
            let node = self.sealed(&speech.to, &to, &out);
            routing::fan_out(&self.world, &self.own, &node);
        }
        self.remember_said(out);
        Ok(Said {
            id,
            media: composed.media,
        })
    }

    fn sealed(&mut self, chat: &Chat, to: &Jid, out: &Outgoing) -> Node {
        match chat {
            Chat::With(pn) => self.seal_for_both(pn, to, out),
        }
    }

    fn remember_said(&mut self, out: Outgoing) {
        if self.said.len() == RESENDABLE {
            self.said.pop_front();
        }
        self.said.push_back(out);
    }

    /// How a chat is addressed.
    pub(crate) fn address_of(&self, chat: &Chat) -> Option<Jid> {
        let state = self.world.state();
        match chat {
            Chat::With(pn) => Some(state.accounts.get(pn)?.jid(Server::Lid, 0)),
        }
    }

    /// Message ids as an iPhone makes them.
    pub(crate) fn fresh_id(&mut self) -> String {
        let (high, low): (u16, u64) = (self.rng.random(), self.rng.random());
        format!("3A{high:02X}{low:016X}")
    }

    async fn compose(&mut self, speech: &Speech, to: &Jid) -> Result<Composed, String> {
        let around = self.around(speech)?;
        let now_ms = self.world.clock.millis();
        let chat = &speech.to;
        let composed = match speech.content.clone() {
            Content::Text(Text { text }) => Composed::plain(compose::text(text, around)),
            Content::File(source, shape) => return self.with_file(source, shape, around).await,
            Content::Location(body) => Composed::plain(compose::location(body, around)),
            Content::Contacts(cards) => Composed::plain(compose::contacts(cards, around)),
            Content::Poll(body) => Composed::poll(body, around),
            Content::Vote(body) => self.vote(chat, to, body)?,
            Content::Reaction(body) => {
                let key = self.key(chat, to, &body.target)?;
                Composed::plain(compose::reaction(key, body.text, now_ms))
            }
            Content::Edit(body) => {
                let key = self.own_key(chat, to, &body.target)?;
                let edited = self.edited(chat, &body.target, body.text)?;
                Composed {
                    edit: Some(EDITED),
                    ..Composed::plain(compose::edit(key, edited, now_ms))
                }
            }
            Content::Revoke(body) => Composed {
                edit: Some(DELETED),
                ..Composed::plain(compose::revoke(self.own_key(chat, to, &body.target)?))
            },
            Content::Event(body) => Composed::plain(compose::event(body, now_ms / 1000)),
            Content::Again(message) => Composed::plain(*message),
            Content::Undecryptable(_) => return Err("it is said otherwise".to_owned()),
        };
        let addition = matches!(
            speech.content,
            Content::Vote(_) | Content::Reaction(_) | Content::Edit(_) | Content::Revoke(_)
        );
        if addition {
            return Ok(composed);
        }
        Ok(self.with_secret(composed))
    }

    /// The secret that what is added to a message later is sealed with.
    fn with_secret(&mut self, mut composed: Composed) -> Composed {
        let secret: [u8; 32] = self.rng.random();
        composed.message.message_context_info = MessageField::some(MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        });
        composed
    }

    async fn with_file(
        &mut self,
        source: content::Source,
        shape: content::Shape,
        around: Option<ContextInfo>,
    ) -> Result<Composed, String> {
        let (kind, media_key) = (compose::kind(&shape), self.rng.random());
        let world = Arc::clone(&self.world);
        let attached = self
            .world
            .tasks
            .spawn_blocking(move || attach::attach(&world, kind, &source, media_key));
        let attached = attached.await.map_err(|error| error.to_string())?;
        let attached = attached.map_err(|error| format!("{error:#}"))?;
        let message = compose::file(shape, &attached, around)?;
        let composed = Composed {
            media: Some(attached.view()),
            ..Composed::plain(message)
        };
        Ok(self.with_secret(composed))
    }

    fn vote(&mut self, chat: &Chat, to: &Jid, body: Vote) -> Result<Composed, String> {
        let key = self.key(chat, to, &body.target)?;
        let target = self.target(chat, &body.target)?;
        let secret = secret(&target.original).ok_or("the poll has no secret")?;
        let poll = target.message.poll.as_ref().ok_or("no poll has this id")?;
        if let Some(odd) = body.options.iter().find(|one| !poll.options.contains(*one)) {
            return Err(format!("the poll has no option {odd}"));
        }
        let ballot = self.ballot(target, &self.own.pn, Server::Lid);
        let ballot = ballot.ok_or("who made the poll is unknown")?;
        let vote = ballot.seal(&secret, self.rng.random(), &body.options);
        let update = waproto::whatsapp::message::PollUpdateMessage {
            poll_creation_message_key: MessageField::some(key),
            vote: MessageField::some(vote),
            sender_timestamp_ms: i64::try_from(self.world.clock.millis()).ok(),
            ..Default::default()
        };
        let message = Message {
            poll_update_message: MessageField::some(update),
            ..Default::default()
        };
        Ok(Composed {
            polltype: Some("vote"),
            voted: Some(body.options),
            ..Composed::plain(message)
        })
    }

    /// The ballot of a poll on the screen, its people named in one way or the other.
    pub(crate) fn ballot(&self, poll: &Shown, voter: &Pn, server: Server) -> Option<Ballot> {
        let state = self.world.state();
        let name = |pn: &Pn| Some(state.accounts.get(pn)?.jid(server, 0).to_string());
        Some(Ballot {
            poll: poll.id.clone(),
            creator: name(&poll.sender)?,
            voter: name(voter)?,
        })
    }

    fn target(&self, chat: &Chat, id: &str) -> Result<&Shown, String> {
        self.screen
            .find(chat, id)
            .ok_or_else(|| format!("the phone shows no message {id} in this chat"))
    }

    /// The key of a message on the screen, as this phone names it to others.
    fn key(&self, chat: &Chat, to: &Jid, id: &str) -> Result<MessageKey, String> {
        let target = self.target(chat, id)?;
        Ok(MessageKey {
            remote_jid: Some(to.to_string()),
            from_me: Some(target.sender == self.own.pn),
            id: Some(id.to_owned()),
            ..Default::default()
        })
    }

    fn own_key(&self, chat: &Chat, to: &Jid, id: &str) -> Result<MessageKey, String> {
        let key = self.key(chat, to, id)?;
        match key.from_me {
            Some(true) => Ok(key),
            _ => Err(format!("message {id} is somebody else's")),
        }
    }

    /// An own message with another text or caption.
    fn edited(&self, chat: &Chat, id: &str, text: String) -> Result<Message, String> {
        let target = self.target(chat, id)?;
        let mut message = target.original.clone();
        message.message_context_info = MessageField::none();
        if let Some(image) = message.image_message.as_option_mut() {
            image.caption = Some(text);
        } else if let Some(video) = message.video_message.as_option_mut() {
            video.caption = Some(text);
        } else if target.message.kind == "text" {
            message = compose::text(text, None);
        } else {
            return Err(format!("message {id} has no text to edit"));
        }
        Ok(message)
    }

    fn around(&self, speech: &Speech) -> Result<Option<ContextInfo>, String> {
        let Context {
            quote,
            mentions,
            forwarded,
            expires,
        } = &speech.context;
        if quote.is_none() && mentions.is_empty() && !forwarded && expires.is_none() {
            return Ok(None);
        }
        let mut context = ContextInfo {
            is_forwarded: forwarded.then_some(true),
            forwarding_score: forwarded.then_some(1),
            expiration: *expires,
            ..Default::default()
        };
        let target = quote.as_ref().map(|id| self.target(&speech.to, id));
        let state = self.world.state();
        let name = |pn: &Pn| {
            let account = state.accounts.get(pn);
            account.map(|account| account.jid(Server::Lid, 0).to_string())
        };
        context.mentioned_jid = mentions.iter().filter_map(name).collect();
        if let Some(target) = target.transpose()? {
            let mut quoted = target.original.clone();
            quoted.message_context_info = MessageField::none();
            context.stanza_id = Some(target.id.clone());
            context.participant = name(&target.sender);
            context.quoted_message = MessageField::some(quoted);
        }
        Ok(Some(context))
    }

    /// Write the ledger's line and put the message on the own screen.
    fn show_own(
        &mut self,
        chat: &Chat,
        out: &Outgoing,
        voted: Option<Vec<String>>,
        media: Option<&Value>,
    ) {
        let Some(mut view) = reading::read(&out.message) else {
            return;
        };
        view.options = voted;
        view.media = media.map(said_media);
        self.name_people(&mut view);
        let own = Arc::clone(&self.own.pn);
        self.on_screen(chat, &own, &out.id, &mut view, &out.message);
        self.note(Kind::Said, &self.own, chat, &out.id, Some(view));
    }

    /// Put a message on the screen, or let it change one there.
    pub(crate) fn on_screen(
        &mut self,
        chat: &Chat,
        sender: &Pn,
        id: &str,
        view: &mut View,
        original: &Message,
    ) {
        if view.target.is_some() {
            let applied = self.screen.apply(chat, &plus(sender), view, false);
            view.applied = Some(applied);
            return;
        }
        self.screen.show(Shown {
            id: id.to_owned(),
            chat: chat.clone(),
            sender: Arc::clone(sender),
            from: plus(sender),
            at_ms: self.world.clock.millis(),
            message: view.clone(),
            original: original.clone(),
            edited: false,
            deleted: false,
            reactions: BTreeMap::new(),
            votes: BTreeMap::new(),
        });
    }

    /// Send what no device can open. With a text, that is what it says when asked again.
    fn say_unreadably(
        &mut self,
        speech: &Speech,
        id: String,
        to: &Jid,
        text: Option<String>,
    ) -> Said {
        let line = Line {
            id: &id,
            subtype: "undecryptable",
            ..Line::default()
        };
        self.world
            .note(Kind::Said, &self.own, &speech.to.name(), line);
        let Chat::With(pn) = &speech.to;
        let mut copies = Vec::new();
        for (_, jid) in self.devices_of(pn) {
            let noise: [u8; 32] = self.rng.random();
            let sealed = Sealed {
                kind: "msg",
                bytes: [&[0x33][..], &noise, &noise].concat(),
            };
            copies.push(
                el("to")
                    .attr("jid", jid)
                    .children([seal::enc(sealed)])
                    .build(),
            );
        }
        let out = Outgoing {
            id: id.clone(),
            message: compose::text(text.clone().unwrap_or_default(), None),
            edit: None,
            polltype: None,
        };
        let participants = el("participants").children(copies).build();
        let node = out.stanza(to, vec![participants]);
        routing::fan_out(&self.world, &self.own, &node);
        if text.is_some() {
            self.remember_said(out);
        }
        Said { id, media: None }
    }
}

/// The secret of a message.
pub(crate) fn secret(message: &Message) -> Option<Vec<u8>> {
    let context = message.message_context_info.as_option()?;
    context.message_secret.clone()
}

fn said_media(media: &Value) -> Media {
    let text = |key: &str| media[key].as_str().map(str::to_owned);
    Media {
        direct_path: text("direct_path"),
        sha256: text("sha256"),
        enc_sha256: text("enc_sha256"),
        length: media["length"].as_u64(),
        undecryptable: None,
    }
}

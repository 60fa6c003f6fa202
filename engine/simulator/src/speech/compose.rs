//! Turns a `say` into a message. It uses the phone's screen for quotes and changes.

use std::sync::Arc;

use rand::RngExt;
use serde_json::Value;
use wacore_binary::{Jid, Server};
use waproto::buffa::MessageField;
use waproto::whatsapp::{ContextInfo, Message, MessageContextInfo, MessageKey};

use super::vote::Ballot;
use super::{attach, files, kinds};
use crate::phone::Phone;
use crate::reading::secret;
use crate::state::address::Pn;
use crate::state::chat::Chat;
use crate::state::content::{self, Content, Poll, Vote};
use crate::state::screen::ScreenMessage;
use crate::state::speech::{Speech, SpeechContext};

/// A message before encryption.
pub(super) struct Composed {
    pub(super) message: Message,
    pub(super) media: Option<Value>,
    pub(super) edit: Option<&'static str>,
    pub(super) polltype: Option<&'static str>,
    /// The bytes of the message, if they are not what `message` encodes to.
    pub(super) raw: Option<Vec<u8>>,
    /// The options of a vote. They cannot be read from the message, which is encrypted.
    pub(super) voted: Option<Vec<String>>,
}

impl Composed {
    fn plain(message: Message) -> Self {
        Self {
            message,
            media: None,
            edit: None,
            polltype: None,
            raw: None,
            voted: None,
        }
    }

    fn poll(body: Poll, context: Option<ContextInfo>) -> Self {
        Self {
            polltype: Some("creation"),
            ..Self::plain(kinds::poll(body, context))
        }
    }
}

/// The `edit` attribute of an edited message, a deleted one, and one that an admin deleted (wacore
/// 0.7.0, `EditAttribute`).
const EDITED: &str = "1";
const DELETED: &str = "7";
const DELETED_BY_ADMIN: &str = "8";

impl Phone {
    pub(super) async fn compose(&mut self, speech: &Speech, to: &Jid) -> Result<Composed, String> {
        let context = self.context(speech)?;
        let now_ms = self.world.clock.millis();
        let chat = &speech.to;
        let composed = match speech.content.clone() {
            Content::Text(body) => Composed::plain(kinds::said(body, context)?),
            Content::File(source, shape) => return self.with_file(source, shape, context).await,
            Content::Location(body) => Composed::plain(kinds::location(body, context)),
            Content::Contacts(cards) => Composed::plain(kinds::contacts(cards, context)),
            Content::Poll(body) => Composed::poll(body, context),
            Content::Vote(body) => self.vote(chat, to, body)?,
            Content::Reaction(body) => {
                let key = self.key(chat, to, &body.target)?;
                Composed::plain(kinds::reaction(key, body.text, now_ms))
            }
            Content::Edit(body) => {
                let key = self.own_key(chat, to, &body.target)?;
                let edited = self.edited(chat, &body.target, body.text)?;
                Composed {
                    edit: Some(EDITED),
                    ..Composed::plain(kinds::edit(key, edited, now_ms))
                }
            }
            Content::Revoke(body) => self.revocation(chat, to, &body.target)?,
            Content::Timer(body) => Composed::plain(kinds::timer(body.seconds, now_ms / 1000)),
            Content::Event(body) => Composed::plain(kinds::event(body, now_ms / 1000)),
            Content::Again(message) => Composed::plain(*message),
            Content::Raw(body) => Composed {
                raw: Some(body.bytes),
                ..Composed::plain(*body.message)
            },
            Content::Undecryptable(_) | Content::ViewOnceNotice(_) => {
                return Err("such a message has no content to compose".to_owned());
            }
        };
        let is_bare = matches!(
            speech.content,
            Content::Vote(_)
                | Content::Reaction(_)
                | Content::Edit(_)
                | Content::Revoke(_)
                | Content::Timer(_)
                | Content::Raw(_)
        );
        if is_bare {
            return Ok(composed);
        }
        Ok(self.with_secret(composed))
    }

    fn revocation(&self, chat: &Chat, to: &Jid, id: &str) -> Result<Composed, String> {
        let (key, edit) = if self.is_admin(chat, &self.own.pn) {
            let key = self.key(chat, to, id)?;
            let own = key.from_me == Some(true);
            (key, if own { DELETED } else { DELETED_BY_ADMIN })
        } else {
            (self.own_key(chat, to, id)?, DELETED)
        };
        Ok(Composed {
            edit: Some(edit),
            ..Composed::plain(kinds::revoke(key))
        })
    }

    /// Adds the secret that later additions to the message are encrypted with.
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
        source: content::FileSource,
        shape: content::FileContent,
        context: Option<ContextInfo>,
    ) -> Result<Composed, String> {
        let (kind, media_key) = (files::kind(&shape), self.rng.random());
        let world = Arc::clone(&self.world);
        let attached = self
            .world
            .tasks
            .spawn_blocking(move || attach::attach(&world, kind, &source, media_key));
        let attached = attached.await.map_err(|error| error.to_string())?;
        let attached = attached.map_err(|error| format!("{error:#}"))?;
        let message = files::file(shape, &attached, context)?;
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
        let poll = target
            .message
            .poll
            .as_ref()
            .ok_or("this message is not a poll")?;
        if let Some(odd) = body.options.iter().find(|one| !poll.options.contains(*one)) {
            return Err(format!("the poll has no option {odd}"));
        }
        let ballot = self.ballot(target, &self.own.pn, self.naming(chat));
        let ballot = ballot.ok_or("the poll's creator is unknown")?;
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

    /// Returns the ballot of a poll on the screen. `server` decides how people are named.
    pub(crate) fn ballot(
        &self,
        poll: &ScreenMessage,
        voter: &Pn,
        server: Server,
    ) -> Option<Ballot> {
        let state = self.world.state();
        let name = |pn: &Pn| Some(state.accounts.get(pn)?.jid(server, 0).to_string());
        Some(Ballot {
            poll: poll.id.clone(),
            creator: name(&poll.sender)?,
            voter: name(voter)?,
        })
    }

    fn target(&self, chat: &Chat, id: &str) -> Result<&ScreenMessage, String> {
        self.screen
            .find(chat, id)
            .ok_or_else(|| format!("the phone shows no message {id} in this chat"))
    }

    /// Returns the key of a message on the screen, as this phone names it to others.
    fn key(&self, chat: &Chat, to: &Jid, id: &str) -> Result<MessageKey, String> {
        let target = self.target(chat, id)?;
        let server = self.naming(chat);
        let state = self.world.state();
        let author = state.accounts.get(&target.sender);
        let author = author.map(|account| account.jid(server, 0).to_string());
        Ok(MessageKey {
            remote_jid: Some(to.to_string()),
            from_me: Some(target.sender == self.own.pn),
            id: Some(id.to_owned()),
            participant: author.filter(|_| chat.group().is_some()),
        })
    }

    fn own_key(&self, chat: &Chat, to: &Jid, id: &str) -> Result<MessageKey, String> {
        let key = self.key(chat, to, id)?;
        match key.from_me {
            Some(true) => Ok(key),
            _ => Err(format!("message {id} is not this phone's own")),
        }
    }

    /// Returns one of the phone's own messages with a new text or caption.
    fn edited(&self, chat: &Chat, id: &str, text: String) -> Result<Message, String> {
        let target = self.target(chat, id)?;
        let mut message = target.original.clone();
        message.message_context_info = MessageField::none();
        if let Some(image) = message.image_message.as_option_mut() {
            image.caption = Some(text);
        } else if let Some(video) = message.video_message.as_option_mut() {
            video.caption = Some(text);
        } else if target.message.kind == "text" {
            message = kinds::text(text, None);
        } else {
            return Err(format!("message {id} has no text to edit"));
        }
        Ok(message)
    }

    fn context(&self, speech: &Speech) -> Result<Option<ContextInfo>, String> {
        let SpeechContext {
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
        let server = self.naming(&speech.to);
        let state = self.world.state();
        let name = |pn: &Pn| {
            let account = state.accounts.get(pn);
            account.map(|account| account.jid(server, 0).to_string())
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
}

//! What the rules do with an inbound message, as part of its transaction: so no reply is lost, and none is sent twice, when
//! a process dies. A reply is an ordinary message of its lane, with its gap and its typing.

use std::sync::Arc;

use passerelle_engine::{
    clock::Millis,
    content::{Content, Peer},
    ids::{MessageId, OrgId},
    store::Tx,
    vault::DataKey,
    whatsapp::new_wa_id,
};

use super::{
    breaker::{self, Turn},
    cache::Ruleset,
    check::template_of,
    foreseen::Foreseen,
    matching::{Chat, Compiled, Heard, LOOP_RESTS},
    template::{self, ContactShown, MessageShown, Values},
    text,
};
use crate::{
    contacts::{self, called},
    error::{Fault, if_readable},
    events,
    media::outgoing,
    messages::sealed,
    model::{
        Direction, Message, Permission, Priority,
        auto_reply::{Outcome, REPLIES_MAX, TEMPLATE_MAX, Then},
        millis,
    },
    outbound, preview,
    services::Services,
    store::{
        self,
        auto_replies::ChatOf,
        contacts::{ContactRow, people::PersonRow},
        lanes::Entrant,
        messages::{Outward, When},
    },
};

/// What is known of an inbound message before it is answered.
pub(crate) struct Received<'m> {
    pub(crate) message: &'m Message,
    /// In look-up form, if it was written in a group.
    pub(crate) group_mac: Option<&'m [u8; 32]>,
    /// What changes with the organisation's rules; `None` if it has none.
    pub(crate) rules: Option<&'m str>,
    /// When the contact wrote before, outside of groups.
    pub(crate) previous: Option<Millis>,
    /// Whether the contact opts out with it, or in again.
    pub(crate) is_a_wish: bool,
    /// What regular expressions find in it, if that is known.
    pub(crate) foreseen: &'m Foreseen,
}

/// Answers an inbound message as the organisation's rules say. Returns whether a reply was queued: then wake the lanes
/// after the commit.
pub(crate) async fn answer(
    tx: &mut Tx,
    key: &Arc<DataKey>,
    services: &Services,
    received: Received<'_>,
) -> Result<bool, Fault> {
    let (Some(stamp), false) = (received.rules, received.is_a_wish) else {
        return Ok(false);
    };
    let (message, now) = (received.message, services.clock().now());
    let heard = Heard::of(message, received.previous, now);
    if !heard.is_answerable {
        return Ok(false);
    }
    let rules: Arc<Ruleset> = services
        .rules()
        .of(tx.conn(), key, message.org, stamp)
        .await?;
    let matching = rules.matching(&heard, received.foreseen);
    let Some(back) = matching.iter().map(|rule| rule.looks_back()).max() else {
        return Ok(false);
    };
    let Some(writer) = message.contact else {
        return Ok(false);
    };
    let Some(person) = store::contacts::people::read(tx.conn(), message.org, writer).await? else {
        return Ok(false);
    };
    let at = match received.group_mac {
        Some(mac) => ChatOf::Group(mac),
        None => ChatOf::With(person.id),
    };
    let chat = chat(tx, (message.org, at), &person, now.saturating_sub(back)).await?;
    let allowed = matching.into_iter();
    let allowed: Vec<_> = allowed
        .filter(|rule| rule.allows(&heard, &chat).is_ok())
        .collect();
    let Some(first) = allowed.first() else {
        return Ok(false);
    };
    let run = Run {
        key,
        services,
        received,
        person,
        now,
    };
    if run.is_loop(tx, at).await? {
        run.stop(tx, first).await?;
        return Ok(false);
    }
    run.fire(tx, &allowed).await
}

/// Reads what is known of a chat beside the message.
async fn chat(
    tx: &mut Tx,
    (org, of): (OrgId, ChatOf<'_>),
    person: &PersonRow,
    since: Millis,
) -> Result<Chat, Fault> {
    let mut chat = Chat {
        opted_out: person.opted_out_at.is_some(),
        rests_until: person.automation_rests_until,
        ..Chat::default()
    };
    for (who, at) in store::auto_replies::done(tx, org, of, since).await? {
        match who.as_deref() {
            None => chat.person_at = Some(at),
            Some(store::auto_replies::LOOP) => chat.looped_at = Some(at),
            Some(rule) => {
                // A word of a later version is no rule of this one.
                if let Ok(rule) = rule.parse() {
                    chat.answered.insert(rule, at);
                }
            }
        }
    }
    Ok(chat)
}

/// Rules that fire at one message.
struct Run<'r> {
    key: &'r Arc<DataKey>,
    services: &'r Services,
    received: Received<'r>,
    /// Who wrote the message.
    person: PersonRow,
    now: Millis,
}

/// A reply that was queued, or why there is none.
type Reply = Result<MessageId, Outcome>;

impl Run<'_> {
    /// Returns whether another machine seems to answer.
    async fn is_loop(&self, tx: &mut Tx, chat: ChatOf<'_>) -> Result<bool, Fault> {
        let org = self.received.message.org;
        let since = self.now.saturating_sub(breaker::LOOKS_BACK);
        let rows = store::auto_replies::turns(tx, org, chat, since).await?;
        let mut turns = Vec::with_capacity(rows.len());
        for row in rows {
            turns.push(match (row.direction, row.is_automatic) {
                (Direction::Inbound, _) => {
                    let opened = sealed::open_content(self.key, (org, row.id), &row.content_sealed);
                    let content = if_readable("message", &row.id, opened)?;
                    let text = content.as_ref().and_then(text::of).map(str::to_owned);
                    Turn::Theirs(row.at.unwrap_or(self.now), text)
                }
                (Direction::Outbound, true) => Turn::Automatic(row.at),
                (Direction::Outbound, false) => Turn::Ours,
            });
        }
        Ok(breaker::is_loop(&turns))
    }

    /// Stops automatic replies to the chat for a while.
    async fn stop(&self, tx: &mut Tx, rule: &Compiled) -> Result<(), Fault> {
        let message = self.received.message;
        let word = store::auto_replies::LOOP;
        store::auto_replies::mark(tx, message.org, message.id, word).await?;
        let until = self.now.saturating_add(LOOP_RESTS);
        self.tell(tx, rule, (Outcome::Loop, None), Some(until))
            .await
    }

    async fn fire(&self, tx: &mut Tx, rules: &[&Compiled]) -> Result<bool, Fault> {
        let mut is_queued = false;
        for rule in rules.iter().take(REPLIES_MAX) {
            let reply = self.reply(tx, rule).await?;
            let org = self.received.message.org;
            store::auto_replies::fired(tx, org, rule.id, self.now).await?;
            let (outcome, id) = match reply {
                Ok(id) => (Outcome::Answered, Some(id)),
                Err(outcome) => (outcome, None),
            };
            is_queued |= id.is_some();
            self.tell(tx, rule, (outcome, id), None).await?;
            if rule.rule.then == Then::Stop {
                break;
            }
        }
        Ok(is_queued)
    }

    async fn tell(
        &self,
        tx: &mut Tx,
        rule: &Compiled,
        what: (Outcome, Option<MessageId>),
        rests_until: Option<Millis>,
    ) -> Result<(), Fault> {
        let message = self.received.message;
        let matched = events::rules::Matched {
            place: (message.org, message.session),
            rule: (rule.id, &rule.rule.name),
            message: message.id,
            contact: self.person.id,
            outcome: what.0,
            reply: what.1,
            rests_until,
        };
        events::rules::matched(tx, self.key, &matched, self.services.clock()).await
    }

    /// Queues the answer of a rule.
    async fn reply(&self, tx: &mut Tx, rule: &Compiled) -> Result<Reply, Fault> {
        let mut content = match self.content(&rule.rule.answer)? {
            Ok(content) => content,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let message = self.received.message;
        let (org, session) = (message.org, message.session);
        if let Some((kind, media)) = content.media_mut()
            && outgoing::again(tx, self.key, org, (kind, media))
                .await?
                .is_err()
        {
            return Ok(Err(Outcome::FileUnavailable));
        }
        let (peer, to_mac) = self.recipient()?;
        let new = Entrant {
            to: &to_mac,
            contact: None,
            send_at: 0,
            now: self.now,
            counts: false,
        };
        let limit = self.services.settings().lane_limit;
        let Some(place) = store::lanes::enter(tx, org, session, limit, &new).await? else {
            return Ok(Err(Outcome::QueueFull));
        };
        let expires_at = self
            .now
            .saturating_add(millis(self.services.settings().message_ttl));
        let wa_id = new_wa_id(&mut self.services.chance());
        let group = message.group.clone();
        let contact = group.is_none().then_some(self.person.id);
        let id = MessageId::new(self.services.clock());
        let permission = match contact {
            Some(_) => Permission::of_answer(),
            None => Permission::default(),
        };
        let reply = Message {
            group,
            contact,
            class: permission.class,
            expires_at: Some(expires_at),
            ..Message::queued(id, (org, session), peer, content, (wa_id, self.now))
        };
        let outward = Outward {
            to_mac,
            contact,
            seq: place.seq,
            permission,
            way: outbound::way(self.services, &reply),
            when: When {
                send_at: 0,
                expires_at,
                priority: Priority::Normal,
            },
        };
        store::messages::insert_outbound(tx, &sealed::row(self.key, &reply)?, &outward).await?;
        store::auto_replies::mark(tx, org, id, &rule.id.to_string()).await?;
        if let Some((_, media)) = reply.content.media() {
            outgoing::keep(tx, org, media.media_id, expires_at).await?;
        }
        if preview::unfinished(&reply.content).is_some() {
            store::previews::want(tx, org, id, self.now).await?;
        }
        Ok(Ok(id))
    }

    /// Returns the contact or nobody, for a group, and the chat in look-up form.
    fn recipient(&self) -> Result<(Peer, [u8; 32]), Fault> {
        if let Some(mac) = self.received.group_mac {
            let (phone, lid) = (None, None);
            return Ok((Peer { phone, lid }, *mac));
        }
        let peer = self.peer()?;
        let mac = contacts::mac(self.key, &peer);
        Ok((peer, mac))
    }

    fn peer(&self) -> Result<Peer, Fault> {
        let names = ContactRow {
            id: self.person.id,
            phone_sealed: self.person.phone_sealed.clone(),
            lid_sealed: self.person.lid_sealed.clone(),
        };
        contacts::names(self.key, self.received.message.org, &names)
    }

    /// Returns an answer with its text made of the message and the contact.
    fn content(&self, answer: &Content) -> Result<Result<Content, Outcome>, Fault> {
        let Some((source, _)) = template_of(answer) else {
            return Ok(Ok(answer.clone()));
        };
        match template::render(source, &self.values()?) {
            Ok(text) => Ok(Ok(filled(answer, text))),
            Err(why) => {
                tracing::warn!(?why, "the template of an automatic reply made no text");
                Ok(Err(Outcome::TemplateFailed))
            }
        }
    }

    fn values(&self) -> Result<Values, Fault> {
        let (message, person) = (self.received.message, &self.person);
        let place = (message.org, person.id);
        let called = called::open(self.key, place, &person.names)?;
        let metadata = person.metadata_sealed.as_deref();
        let text = text::of(&message.content);
        Ok(Values {
            message: MessageShown {
                text: text.map(|text| text::beginning(text, TEMPLATE_MAX).to_owned()),
                kind: message.content.kind().to_owned(),
            },
            contact: ContactShown {
                id: Some(person.id.to_string()),
                name: called.name().map(str::to_owned),
                push_name: called.push_name.clone(),
                phone: self.peer()?.phone.map(|phone| phone.as_str().to_owned()),
                metadata: called::open_metadata(self.key, place, metadata)?,
            },
        })
    }
}

/// Returns an answer with this text or caption.
pub(super) fn filled(answer: &Content, text: String) -> Content {
    let mut filled = answer.clone();
    match &mut filled {
        Content::Text { body, link_preview } => {
            *link_preview = link_preview
                .take()
                .and_then(|_| preview::of_first_link(&text));
            *body = text;
        }
        other => {
            if let Some((_, media)) = other.media_mut() {
                media.caption = Some(text);
            }
        }
    }
    filled
}

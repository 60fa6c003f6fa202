//! Looks up, at accept, the messages that a new message refers to: the one it answers, edits, deletes or
//! reacts to.

use passerelle_engine::{
    clock::Millis,
    content::{Content, Context, Peer, Phone},
    ids::OrgId,
    vault::DataKey,
};
use rand::RngExt as _;

use crate::{
    error::Fault,
    media::outgoing::SourceError,
    messages::target::{self, Chat, TargetError},
    outbound::{
        recipient::Recipient,
        request::{AcceptError, NewMessage},
    },
    services::Services,
};

/// Why a new message is refused: its file, or a message that it refers to.
#[derive(Clone)]
pub(super) enum Refused {
    Source(SourceError),
    ReplyTo(TargetError),
    Target(TargetError),
}

impl From<Refused> for AcceptError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Source(error) => Self::Source(error),
            Refused::ReplyTo(error) => Self::ReplyTo(error),
            Refused::Target(error) => Self::Target(error),
        }
    }
}

/// The result of the look-up.
pub(super) struct About {
    pub(super) context: Context,
    /// Until when the message may be sent: an edit or a deletion has no effect later.
    pub(super) until: Millis,
    pub(super) refused: Option<Refused>,
}

impl About {
    pub(super) async fn look_up(
        services: &Services,
        key: &DataKey,
        new: &mut NewMessage,
        to: &Recipient,
        now: Millis,
        org: OrgId,
    ) -> Result<Self, Fault> {
        let chat = Chat {
            org,
            session: new.session,
            to_mac: &to.to_mac,
            contact: to.contact,
        };
        let (mut until, mut refused, mut reply_to) = (Millis::MAX, None, None);
        match target::fill(services, key, chat, &mut new.content, now).await? {
            Ok(end) => until = end.unwrap_or(until),
            Err(error) => refused = Some(Refused::Target(error)),
        }
        if let Some(id) = new.reply_to {
            match target::reply(services, key, chat, id).await? {
                Ok(reply) => reply_to = Some(reply),
                Err(error) => refused = Some(Refused::ReplyTo(error)),
            }
        }
        let mention = |phone: Phone| {
            let (phone, lid) = (Some(phone), None);
            Peer { phone, lid }.into()
        };
        let is_poll = matches!(new.content, Content::Poll(_));
        let context = Context {
            reply_to,
            mentions: new.mentions.drain(..).map(mention).collect(),
            forwarded: new.forwarded,
            secret: is_poll.then(|| services.chance().random()),
            ..Context::default()
        };
        Ok(Self {
            context,
            until,
            refused,
        })
    }
}

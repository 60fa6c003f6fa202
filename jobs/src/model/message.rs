//! A message, outbound or inbound, and its status.

use passerelle_engine::{
    clock::Millis,
    content::{Content, Context, Group, Peer, Recipient},
    ids::{ConsentId, ContactId, MessageId, OrgId, SessionId},
};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::{class::Class, client_data::ClientData, priority::Priority, purpose::Purpose};

words!(Direction, Source, Status);

/// The direction of a message.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the tenant to a contact.
    Outbound,
    /// From a contact to the tenant.
    Inbound,
}

/// What an outbound message was written on.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This gateway sent it.
    #[default]
    Gateway,
    /// The number's owner wrote it on the phone.
    Phone,
    /// Another linked device of the account sent it, such as WhatsApp Web.
    LinkedDevice,
}

/// The status of a message. It never goes back.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted and in its lane.
    Queued,
    /// Claimed by the host: typing, written, or waiting for the acknowledgement.
    Sending,
    /// Written, but WhatsApp's server never confirmed or refused it.
    Unknown,
    /// WhatsApp's server acknowledged it.
    Sent,
    /// It reached a device of the recipient.
    Delivered,
    /// The recipient saw it.
    Read,
    /// The recipient played it.
    Played,
    /// It will not be sent; the error code says why.
    Failed,
    /// It waited in its lane past its `expires_at`.
    Expired,
    /// The tenant cancelled it before it was claimed.
    Canceled,
    /// It was received.
    Received,
}

impl Status {
    /// Returns how far a message that was written has come.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Queued | Self::Sending => Some(0),
            Self::Unknown => Some(1),
            Self::Sent => Some(2),
            Self::Delivered => Some(3),
            Self::Read => Some(4),
            Self::Played => Some(5),
            Self::Failed | Self::Expired | Self::Canceled | Self::Received => None,
        }
    }

    /// Returns whether a report of WhatsApp may change this status to `next`. A late `delivered` never
    /// overwrites `read`; nothing leaves `failed`.
    pub fn may_become(self, next: Self) -> bool {
        match (self.rank(), next.rank()) {
            (Some(now), Some(then)) => then > now,
            (Some(now), None) => now < 2 && next == Self::Failed,
            (None, _) => false,
        }
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// `msg_…`
    pub id: MessageId,
    /// The organisation.
    pub org: OrgId,
    /// The session.
    pub session: SessionId,
    /// The direction.
    pub direction: Direction,
    /// What an outbound message was written on. An inbound message has the default.
    #[serde(default)]
    pub source: Source,
    /// The status.
    pub status: Status,
    /// The recipient or the sender; empty for a message to a group.
    pub peer: Peer,
    /// The group that it goes to, or came from.
    #[serde(default)]
    pub group: Option<Group>,
    /// Our stable id of the other side, if known.
    pub contact: Option<ContactId>,
    /// The content.
    pub content: Content,
    /// What goes with the content, such as the message it replies to.
    #[serde(default)]
    pub context: Context,
    /// What the tenant attached to it.
    #[serde(default)]
    pub client: ClientData,
    /// WhatsApp's message id.
    pub wa_id: String,
    /// Stable code, if it failed.
    pub error: Option<String>,
    /// It disappears from the chat so many seconds after it was sent.
    #[serde(default)]
    pub expires_in: Option<u32>,
    /// How well the number knew the recipient when it was accepted. `None` for a message to a group, and for one that changes
    /// another message.
    #[serde(default)]
    pub class: Option<Class>,
    /// What it is for, if that was said.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// The consent that allowed it, if it needed one.
    #[serde(default)]
    pub consent: Option<ConsentId>,
    /// Milliseconds UTC, like all that follow.
    pub created_at: Millis,
    /// Not sent before this time, if the tenant asked for one.
    #[serde(default)]
    pub send_at: Option<Millis>,
    /// Whether it goes before or after others of its lane.
    #[serde(default)]
    pub priority: Priority,
    /// Not sent after this time.
    pub expires_at: Option<Millis>,
    /// WhatsApp's server acknowledged it.
    pub sent_at: Option<Millis>,
    /// It reached a device of the recipient.
    pub delivered_at: Option<Millis>,
    /// It was seen.
    pub read_at: Option<Millis>,
    /// It was played.
    pub played_at: Option<Millis>,
    /// Its author last edited it.
    #[serde(default)]
    pub edited_at: Option<Millis>,
    /// Its author deleted it for everybody.
    #[serde(default)]
    pub deleted_at: Option<Millis>,
}

impl Message {
    /// Returns a message that is to be queued for this person, with its WhatsApp id and the present time. The rest has its
    /// default.
    pub(crate) fn queued(
        id: MessageId,
        (org, session): (OrgId, SessionId),
        peer: Peer,
        content: Content,
        (wa_id, now): (String, Millis),
    ) -> Self {
        Self {
            id,
            org,
            session,
            direction: Direction::Outbound,
            source: Source::Gateway,
            status: Status::Queued,
            peer,
            group: None,
            contact: None,
            content,
            context: Context::default(),
            client: ClientData::default(),
            wa_id,
            error: None,
            expires_in: None,
            created_at: now,
            class: None,
            purpose: None,
            consent: None,
            send_at: None,
            priority: Priority::Normal,
            expires_at: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            played_at: None,
            edited_at: None,
            deleted_at: None,
        }
    }

    /// Returns whether the message is not to be sent any more.
    pub(crate) fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at < now)
    }

    /// Returns the recipient.
    pub fn recipient(&self) -> Recipient {
        match &self.group {
            Some(group) => Recipient::Group(group.clone()),
            None => Recipient::Person(self.peer.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_delivered_never_overwrites_read() {
        assert!(!Status::Read.may_become(Status::Delivered));
        assert!(Status::Sent.may_become(Status::Read));
    }

    #[test]
    fn nothing_leaves_a_final_refusal() {
        for end in [Status::Failed, Status::Expired, Status::Canceled] {
            assert!(Status::ALL.iter().all(|next| !end.may_become(*next)));
        }
    }

    #[test]
    fn a_message_the_server_took_cannot_fail_any_more() {
        assert!(Status::Unknown.may_become(Status::Failed));
        assert!(!Status::Sent.may_become(Status::Failed));
    }

    #[test]
    fn every_status_reads_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(*status));
        }
    }
}

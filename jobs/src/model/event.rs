//! Event types.

use serde::{Serialize, Serializer};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The type of an event: the text that endpoints filter by and receivers branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the text that the store, the envelope and an endpoint's filter use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Parses the text of [`EventType::as_str`].
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
            }
        }
    };
}

event_types! {
    /// A message was received.
    MessageReceived = "message.received";
    /// A contact added or removed a reaction, or WhatsApp accepted one of ours.
    MessageReaction = "message.reaction";
    /// A message was edited: a contact edited theirs, or WhatsApp accepted an edit of ours.
    MessageEdited = "message.edited";
    /// A message was deleted for everybody: by the contact who wrote it, or by us.
    MessageDeleted = "message.deleted";
    /// A contact voted in a poll.
    MessagePollVote = "message.poll_vote";
    /// A message was received that cannot be decrypted. It was requested again.
    MessageUndecryptable = "message.undecryptable";
    /// WhatsApp's server acknowledged a message.
    MessageSent = "message.sent";
    /// The message reached a device of the recipient.
    MessageDelivered = "message.delivered";
    /// The recipient saw the message.
    MessageRead = "message.read";
    /// The recipient played the message.
    MessagePlayed = "message.played";
    /// The message will not be sent.
    MessageFailed = "message.failed";
    /// The message was written, but WhatsApp never confirmed or refused it.
    MessageUnknown = "message.unknown";
    /// The message was not sent before its deadline.
    MessageExpired = "message.expired";
    /// The tenant cancelled the message.
    MessageCanceled = "message.canceled";
    /// The file of an inbound message is stored.
    MediaAvailable = "media.available";
    /// The file of an inbound message cannot be fetched.
    MediaFailed = "media.failed";
    /// A number was linked.
    SessionLinked = "session.linked";
    /// The session is online.
    SessionConnected = "session.connected";
    /// The session is offline and will reconnect by itself.
    SessionDisconnected = "session.disconnected";
    /// The number was unlinked.
    SessionLoggedOut = "session.logged_out";
    /// WhatsApp banned the number.
    SessionBanned = "session.banned";
    /// Another client replaced the session's connection.
    SessionReplaced = "session.replaced";
    /// The session's number may send less, because of signals of WhatsApp.
    SessionRestricted = "session.restricted";
    /// The session's number may send more again.
    SessionRecovered = "session.recovered";
    /// The session ended for another reason, which `status_reason` names.
    SessionFailed = "session.failed";
    /// A contact opted out: messages to them are refused.
    ContactOptedOut = "contact.opted_out";
    /// A contact who had opted out opted in again.
    ContactOptedIn = "contact.opted_in";
    /// A contact agreed to messages, with the code of an opt-in link.
    ConsentGiven = "consent.given";
    /// A contact has another name at WhatsApp.
    ContactUpdated = "contact.updated";
    /// Two contacts turned out to be one person. The id that was given up leads to the other.
    ContactMerged = "contact.merged";
    /// A setting of a group changed.
    GroupUpdated = "group.updated";
    /// Members of a group came, went, or have another role.
    GroupParticipants = "group.participants";
    /// Somebody calls, or called while the session was away.
    CallReceived = "call.received";
    /// A call ended, and how.
    CallEnded = "call.ended";
    /// A rule for automatic replies fired.
    RuleMatched = "rule.matched";
    /// An endpoint of the organisation was disabled.
    EndpointDisabled = "endpoint.disabled";
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

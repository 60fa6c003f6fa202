//! What happens, and what endpoints filter by.

use serde::{Serialize, Serializer};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What happened. The text is what endpoints filter by and receivers branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            /// Every type there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As the store, the envelope and an endpoint's filter write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Parses what [`EventType::as_str`] writes.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
            }
        }
    };
}

event_types! {
    /// A message came in.
    MessageReceived = "message.received";
    /// A contact put an emoji under a message or took it back, or WhatsApp took one of ours.
    MessageReaction = "message.reaction";
    /// A message says something else now: a contact edited theirs, or WhatsApp took an edit of ours.
    MessageEdited = "message.edited";
    /// A message was deleted for everybody: by the contact who wrote it, or by us.
    MessageDeleted = "message.deleted";
    /// A contact voted in a poll.
    MessagePollVote = "message.poll_vote";
    /// A message came in that cannot be decrypted: it was asked for again.
    MessageUndecryptable = "message.undecryptable";
    /// WhatsApp's server acknowledged a message.
    MessageSent = "message.sent";
    /// It reached a device of the recipient.
    MessageDelivered = "message.delivered";
    /// The recipient saw it.
    MessageRead = "message.read";
    /// The recipient played it.
    MessagePlayed = "message.played";
    /// It will not be sent.
    MessageFailed = "message.failed";
    /// It was written, and WhatsApp never said what became of it.
    MessageUnknown = "message.unknown";
    /// It waited past its time.
    MessageExpired = "message.expired";
    /// The tenant took it back.
    MessageCanceled = "message.canceled";
    /// The file of a message that came in is here.
    MediaAvailable = "media.available";
    /// The file of a message that came in cannot be had.
    MediaFailed = "media.failed";
    /// A number was linked.
    SessionLinked = "session.linked";
    /// The session is online.
    SessionConnected = "session.connected";
    /// The session is offline and will come back by itself.
    SessionDisconnected = "session.disconnected";
    /// The number was unlinked.
    SessionLoggedOut = "session.logged_out";
    /// WhatsApp banned the number.
    SessionBanned = "session.banned";
    /// Another client took the session's place.
    SessionReplaced = "session.replaced";
    /// The session ended for another reason, which `status_reason` names.
    SessionFailed = "session.failed";
    /// A contact wants no more messages: what is sent to them is refused.
    ContactOptedOut = "contact.opted_out";
    /// A contact who had opted out wants messages again.
    ContactOptedIn = "contact.opted_in";
    /// Two contacts turned out to be one person: the id that was given up leads to the other.
    ContactMerged = "contact.merged";
    /// An endpoint of the organisation gets no more deliveries.
    EndpointDisabled = "endpoint.disabled";
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

//! Ids are TypeIDs: a prefix that names the kind, and a `UUIDv7` that sorts by creation time
//! (<https://github.com/jetify-com/typeid/tree/main/spec>). They are stored and shown as text.

use std::{fmt, str::FromStr};

use type_safe_id::{StaticType, TypeSafeId};

use crate::clock::{Clock, Millis};

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id: expected `{prefix}_` and 26 characters")]
pub struct InvalidId {
    /// The expected prefix, without the underscore.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $prefix:literal) => {
        #[doc(hidden)]
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $kind;

        impl StaticType for $kind {
            const TYPE: &'static str = $prefix;
        }

        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// The part before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new id, later than every id this clock made before.
            pub fn new(clock: &Clock) -> Self {
                Self(clock.uuid())
            }

            /// Returns an id that sorts before every id made at `at` or later.
            pub fn earliest(at: Millis) -> Self {
                let at = u64::try_from(at).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(at, &[0; 10]).into_uuid())
            }

            /// Parses an id from outside.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                TypeSafeId::<$kind>::from_str(text)
                    .map(|id| Self(id.uuid()))
                    .map_err(|_| InvalidId { prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                TypeSafeId::<$kind>::from_uuid(self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// An organisation (tenant).
    OrgId, Org, "org");
id!(
    /// An API key.
    KeyId, Key, "key");
id!(
    /// A session: one WhatsApp number linked as a device.
    SessionId, Session, "ses");
id!(
    /// A message, outbound or inbound.
    MessageId, Message, "msg");
id!(
    /// A contact: our stable id over a phone number and a LID.
    ContactId, Contact, "ctc");
id!(
    /// A contact's consent to messages that it did not begin.
    ConsentId, Consent, "con");
id!(
    /// A link with which contacts give their consent.
    OptInLinkId, OptInLink, "oil");
id!(
    /// A file, outbound or inbound.
    MediaId, MediaFile, "med");
id!(
    /// The bytes of a file in the object store.
    ObjectId, StoredObject, "obj");
id!(
    /// A webhook endpoint.
    EndpointId, Endpoint, "whe");
id!(
    /// An event. It is also the `webhook-id` of each of its deliveries.
    EventId, Event, "evt");
id!(
    /// The delivery of one event to one endpoint.
    DeliveryId, Delivery, "dlv");
id!(
    /// One attempt of a delivery.
    AttemptId, Attempt, "att");
id!(
    /// A command to a session's connection.
    CommandId, Command, "cmd");
id!(
    /// What one member of a group did with a message.
    ReceiptId, MemberReceipt, "rct");
id!(
    /// A rule for automatic replies.
    AutoReplyId, AutoReplyRule, "alr");
id!(
    /// One HTTP request, for the logs and the `x-request-id` header.
    RequestId, Request, "req");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        let id = SessionId::new(&Clock::system());
        assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
        assert!(id.to_string().starts_with("ses_"));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = OrgId::new(&Clock::system());
        assert_eq!(
            SessionId::parse(&id.to_string()),
            Err(InvalidId { prefix: "ses" })
        );
        assert!(SessionId::parse("ses_").is_err());
        assert!(SessionId::parse("").is_err());
    }

    #[test]
    fn the_earliest_id_of_a_moment_parts_what_was_made_before_from_what_comes() {
        let clock = Clock::system();
        let before = MessageId::new(&clock);
        clock.advance(std::time::Duration::from_secs(1));
        let earliest = MessageId::earliest(clock.now());
        let after = MessageId::new(&clock);
        assert!(before.to_string() < earliest.to_string());
        assert!(earliest.to_string() <= after.to_string());
    }

    #[test]
    fn ids_sort_as_they_were_made() {
        let clock = Clock::system();
        let made: Vec<_> = (0..1000).map(|_| MessageId::new(&clock)).collect();
        let mut sorted = made.clone();
        sorted.sort_by_key(ToString::to_string);
        assert_eq!(made, sorted);
    }
}

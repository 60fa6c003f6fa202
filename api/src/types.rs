//! Ids and times in requests and answers, as the document describes them and serde parses them.

use std::{borrow::Cow, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use passerelle_jobs::{
    clock::Millis,
    ids::{
        AutoReplyId, ConsentId, ContactId, DeliveryId, EndpointId, KeyId, MediaId, MessageId,
        OptInLinkId, OrgId, ReceiptId, SessionId,
    },
};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::WRONG_ID;

/// An id type in the document.
pub trait Named: FromStr + ToString + Send + Sync {
    /// The pattern of the ids.
    const PATTERN: &'static str;
    /// An example of an id.
    const EXAMPLE: &'static str;
}

macro_rules! named {
    ($($id:ident $prefix:literal),* $(,)?) => {$(
        impl Named for $id {
            const PATTERN: &'static str = concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$");
            const EXAMPLE: &'static str = concat!($prefix, "_01kaq6h3zve9qbw4r2t8n5c7xd");
        }
    )*};
}

named!(AutoReplyId "alr", ContactId "ctc", OrgId "org", KeyId "key", SessionId "ses", MessageId "msg", MediaId "med", EndpointId "whe", DeliveryId "dlv", ReceiptId "rct",
    ConsentId "con", OptInLinkId "oil");

/// An id in a path, a query or a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<T>(pub T);

impl<T: Serialize> Serialize for Id<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de, T: Named> Deserialize<'de> for Id<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        // The error must not repeat the text: an id is not secret, but a text in its place may be.
        T::from_str(&text)
            .map(Self)
            .map_err(|_| serde::de::Error::custom(WRONG_ID))
    }
}

/// A time, written as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Millis);

impl Timestamp {
    /// Returns the text, such as `2026-11-22T08:00:00.000Z`.
    pub fn text(self) -> String {
        let moment = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        moment.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Parses RFC 3339 with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|moment| Self(moment.timestamp_millis()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected a date and time in RFC 3339 format"))
    }
}

/// Implements the traits of poem-openapi for a type that is text in JSON.
macro_rules! text_type {
    ([$($generics:tt)*] $name:ty, $title:expr, $schema:expr, $parse:expr) => {
        impl<$($generics)*> Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $title.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl<$($generics)*> ParseFromParameter for $name {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                ($parse)(value).ok_or_else(|| ParseError::custom("not of the right form"))
            }
        }

        impl<$($generics)*> ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                let text = value.as_ref().and_then(Value::as_str).and_then($parse);
                text.ok_or_else(|| ParseError::custom("not of the right form"))
            }
        }
    };
}

text_type!([] Timestamp, "date-time", MetaSchema {
    example: Some(Value::from("2026-11-22T08:00:00.000Z")),
    ..MetaSchema::new_with_format("string", "date-time")
}, Timestamp::parse);

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(Value::from(self.text()))
    }
}

fn id_schema<T: Named>() -> MetaSchema {
    MetaSchema {
        pattern: Some(T::PATTERN.to_owned()),
        example: Some(Value::from(T::EXAMPLE)),
        ..MetaSchema::new("string")
    }
}

text_type!([T: Named] Id<T>, "id", id_schema::<T>(), |text: &str| T::from_str(text).ok().map(Id));

impl<T: Named> ToJSON for Id<T> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::from(self.0.to_string()))
    }
}

/// Converts an enum of the document into the one of `jobs` that has the same variants.
macro_rules! same_variants {
    ($ours:ident => $theirs:ty: $($variant:ident)*) => {
        impl From<$ours> for $theirs {
            fn from(ours: $ours) -> Self {
                match ours {
                    $($ours::$variant => Self::$variant,)*
                }
            }
        }
    };
}
pub(crate) use same_variants;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds() {
        assert_eq!(
            Timestamp(1_795_334_400_000).text(),
            "2026-11-22T08:00:00.000Z"
        );
        assert_eq!(
            Timestamp::parse("2026-11-22T09:00:00+01:00"),
            Some(Timestamp(1_795_334_400_000))
        );
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn every_example_id_is_one() {
        assert!(OrgId::from_str(OrgId::EXAMPLE).is_ok());
        assert!(MessageId::from_str(MessageId::EXAMPLE).is_ok());
        assert!(SessionId::from_str(OrgId::EXAMPLE).is_err());
    }
}

//! A field that always holds the same word, such as the `type` of one kind of message.

use std::{borrow::Cow, marker::PhantomData};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// The word of a field.
pub trait Said: Send + Sync {
    /// The word, as a list with one item.
    const WORD: &'static [&'static str; 1];
}

/// A field that is always the word `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T>(PhantomData<T>);

impl<T> Default for Word<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Said> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(T::WORD[0])
    }
}

impl<'de, T: Said> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        if text == T::WORD[0] {
            return Ok(Self::default());
        }
        Err(D::Error::unknown_variant(&text, T::WORD))
    }
}

impl<T: Said> Type for Word<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::WORD[0].into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            enum_items: vec![Value::from(T::WORD[0])],
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: Said> ParseFromJSON for Word<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let said = value.as_ref().and_then(Value::as_str) == Some(T::WORD[0]);
        said.then(Self::default)
            .ok_or_else(|| ParseError::custom("not this word"))
    }
}

impl<T: Said> ToJSON for Word<T> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::from(T::WORD[0]))
    }
}

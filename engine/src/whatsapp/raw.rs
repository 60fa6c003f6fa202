//! The message as WhatsApp's schema has it, as JSON, for endpoints that ask for it. Names are those of the
//! schema, bytes are base64. Keys, secrets and thumbnails are left out.

use std::{cell::Cell, fmt::Display, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{
    Serialize,
    ser::{self, Impossible},
};
use serde_json::{Map, Value};
use whatsapp_rust::waproto::whatsapp::Message;

use crate::sealed::sealed_debug;

/// Maximum size of the JSON, in bytes.
pub const RAW_MAX: usize = 65_536;

/// A message in the library's form.
#[derive(Clone)]
pub struct RawMessage(pub(super) Arc<Message>);

sealed_debug!(RawMessage);

impl RawMessage {
    /// Returns the JSON. Returns `None` if it is larger than [`RAW_MAX`].
    pub fn json(&self) -> Option<Value> {
        let left = Cell::new(RAW_MAX);
        let writer = Writer {
            left: &left,
            field: "message",
        };
        let Ok(Out::Value(value)) = self.0.serialize(writer) else {
            return None;
        };
        let fits = serde_json::to_vec(&value).is_ok_and(|json| json.len() <= RAW_MAX);
        fits.then_some(value)
    }
}

/// Messages that are left out. All of them distribute keys.
const KEYS: [&str; 6] = [
    "sender_key_distribution_message",
    "fast_ratchet_key_sender_key_distribution_message",
    "app_state_sync_key_share",
    "initial_security_notification_setting_sync",
    "group_root_key_share",
    "root_secret_distribute_message",
];
/// Bytes are left out if one of these words is in the name of their field.
const SECRET_BYTES: [&str; 5] = ["key", "secret", "token", "thumb", "padding"];
/// Texts are left out if one of these words is in the name of their field.
const SECRET_TEXTS: [&str; 3] = ["secret", "token", "media_key"];

fn is_one_of(field: &str, words: &[&str]) -> bool {
    let field = field.to_ascii_lowercase();
    words.iter().any(|word| field.contains(word))
}

/// Returns the name in the schema of a name in Rust.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_next_large = false;
    for (at, char) in name.chars().enumerate() {
        match char {
            '_' => is_next_large = true,
            char if is_next_large => {
                camel.extend(char.to_uppercase());
                is_next_large = false;
            }
            // The members of a choice begin with a large letter.
            char if at == 0 => camel.extend(char.to_lowercase()),
            char => camel.push(char),
        }
    }
    camel
}

/// What a value became.
enum Out {
    /// It is absent, or left out.
    Nothing,
    Value(Value),
    /// A member of a choice, with its name.
    Member(&'static str, Value),
    Byte(u8),
}

/// Why there is no JSON: it would be too large.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoJson(String);

impl ser::Error for NoJson {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Written = Result<Out, NoJson>;

/// Writes one value. It fails as soon as more is written than may be, so a large message costs no more.
#[derive(Clone, Copy)]
struct Writer<'w> {
    left: &'w Cell<usize>,
    /// The name of the field that the value is in.
    field: &'static str,
}

impl Writer<'_> {
    fn charge(self, bytes: usize) -> Result<(), NoJson> {
        let left = self.left.get().checked_sub(bytes);
        self.left
            .set(left.ok_or_else(|| NoJson("too large".to_owned()))?);
        Ok(())
    }

    fn value(self, value: impl Into<Value>) -> Written {
        self.charge(1)?;
        Ok(Out::Value(value.into()))
    }
}

macro_rules! plain {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, value: $type) -> Written { self.value(value) })*
    };
}

impl<'w> ser::Serializer for Writer<'w> {
    type Ok = Out;
    type Error = NoJson;
    type SerializeSeq = Several<'w>;
    type SerializeTuple = Impossible<Out, NoJson>;
    type SerializeTupleStruct = Impossible<Out, NoJson>;
    type SerializeTupleVariant = Impossible<Out, NoJson>;
    type SerializeMap = Fields<'w>;
    type SerializeStruct = Fields<'w>;
    type SerializeStructVariant = Impossible<Out, NoJson>;

    plain!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64);

    /// The schema has numbers of eight bits only in bytes.
    fn serialize_u8(self, value: u8) -> Written {
        Ok(Out::Byte(value))
    }

    fn serialize_char(self, value: char) -> Written {
        self.value(value.to_string())
    }

    fn serialize_str(self, text: &str) -> Written {
        if is_one_of(self.field, &SECRET_TEXTS) {
            return Ok(Out::Nothing);
        }
        self.charge(text.len())?;
        self.value(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        if bytes.is_empty() || is_one_of(self.field, &SECRET_BYTES) {
            return Ok(Out::Nothing);
        }
        self.charge(bytes.len())?;
        self.value(BASE64_STANDARD.encode(bytes))
    }

    fn serialize_none(self) -> Written {
        Ok(Out::Nothing)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(Out::Nothing)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(Out::Nothing)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, word: &'static str) -> Written {
        self.value(word)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        member: &'static str,
        value: &T,
    ) -> Written {
        let written = value.serialize(Writer {
            field: member,
            ..self
        })?;
        Ok(match written {
            Out::Value(value) => Out::Member(member, value),
            other => other,
        })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Several<'w>, NoJson> {
        Ok(Several {
            writer: self,
            is_hidden: is_one_of(self.field, &SECRET_BYTES),
            bytes: Vec::new(),
            values: Vec::new(),
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'w>, NoJson> {
        Ok(Fields {
            writer: self,
            key: String::new(),
            written: Map::new(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w>, NoJson> {
        self.charge(2)?;
        self.serialize_map(None)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoJson> {
        Err(ser::Error::custom("not in the schema"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, NoJson> {
        Err(ser::Error::custom("not in the schema"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoJson> {
        Err(ser::Error::custom("not in the schema"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoJson> {
        Err(ser::Error::custom("not in the schema"))
    }
}

/// A repeated field, or bytes.
struct Several<'w> {
    writer: Writer<'w>,
    is_hidden: bool,
    bytes: Vec<u8>,
    values: Vec<Value>,
}

impl ser::SerializeSeq for Several<'_> {
    type Ok = Out;
    type Error = NoJson;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        match value.serialize(self.writer)? {
            Out::Byte(_) if self.is_hidden => {}
            Out::Byte(byte) => {
                self.writer.charge(1)?;
                self.bytes.push(byte);
            }
            Out::Value(value) | Out::Member(_, value) => {
                self.writer.charge(1)?;
                self.values.push(value);
            }
            Out::Nothing => {}
        }
        Ok(())
    }

    fn end(self) -> Written {
        if !self.bytes.is_empty() {
            return self.writer.value(BASE64_STANDARD.encode(self.bytes));
        }
        if self.values.is_empty() {
            return Ok(Out::Nothing);
        }
        Ok(Out::Value(Value::Array(self.values)))
    }
}

/// A message, or a map.
struct Fields<'w> {
    writer: Writer<'w>,
    /// The key of the map's next value.
    key: String,
    written: Map<String, Value>,
}

impl Fields<'_> {
    fn add(&mut self, name: String, value: Value) -> Result<(), NoJson> {
        self.writer.charge(name.len() + 4)?;
        self.written.insert(name, value);
        Ok(())
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = Out;
    type Error = NoJson;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        field: &'static str,
        value: &T,
    ) -> Result<(), NoJson> {
        if KEYS.contains(&field) {
            return Ok(());
        }
        let left = self.writer.left;
        match value.serialize(Writer { left, field })? {
            Out::Value(value) => self.add(camel(field), value),
            Out::Member(member, value) => self.add(camel(member), value),
            Out::Nothing | Out::Byte(_) => Ok(()),
        }
    }

    fn end(self) -> Written {
        Ok(Out::Value(Value::Object(self.written)))
    }
}

impl ser::SerializeMap for Fields<'_> {
    type Ok = Out;
    type Error = NoJson;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoJson> {
        self.key = match key.serialize(self.writer)? {
            Out::Value(Value::String(key)) => key,
            Out::Value(other) => other.to_string(),
            _ => String::new(),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        match value.serialize(self.writer)? {
            Out::Value(value) | Out::Member(_, value) => {
                let key = std::mem::take(&mut self.key);
                self.add(key, value)
            }
            Out::Nothing | Out::Byte(_) => Ok(()),
        }
    }

    fn end(self) -> Written {
        Ok(Out::Value(Value::Object(self.written)))
    }
}

#[cfg(test)]
mod tests;

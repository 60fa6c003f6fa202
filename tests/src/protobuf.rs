//! Protobuf messages written by field numbers, as another client writes them. The numbers are in WhatsApp's
//! `whatsapp.proto`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// A message that is being written.
#[derive(Debug, Default, Clone)]
pub struct Proto(Vec<u8>);

impl Proto {
    /// Begins a message.
    pub fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            let [low, ..] = value.to_le_bytes();
            self.0.push(low | 0x80);
            value >>= 7;
        }
        let [low, ..] = value.to_le_bytes();
        self.0.push(low);
    }

    /// Adds a field of bytes.
    #[must_use]
    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint((field << 3) | 2);
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend(bytes);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message in a field.
    #[must_use]
    pub fn message(self, field: u64, Self(message): Self) -> Self {
        self.bytes(field, &message)
    }

    /// Adds a number, a word of an enumeration, or a truth value.
    #[must_use]
    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Adds a floating-point number.
    #[must_use]
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint((field << 3) | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Returns the body of a `say` that sends it.
    pub fn said(&self) -> Value {
        let base64 = BASE64_STANDARD.encode(&self.0);
        json!({ "message": { "type": "raw", "message_base64": base64 } })
    }
}

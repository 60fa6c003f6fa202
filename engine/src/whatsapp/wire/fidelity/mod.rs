//! Every kind of content that comes in, made from the schema and read. The messages go through bytes, as
//! they come from WhatsApp.

mod odd;
mod table;
mod wrapped;

use whatsapp_rust::waproto::whatsapp::Message;

use super::read::Read;
use crate::{clock::Clock, content::Content, ids::MediaId};

/// Reads what a client encoded.
fn read(message: &Message) -> Option<Read> {
    of_bytes(&waproto::codec::message_to_vec(message))
}

fn of_bytes(bytes: &[u8]) -> Option<Read> {
    let message = waproto::codec::message_decode(bytes).unwrap();
    super::read(&message, MediaId::new(&Clock::system()))
}

/// Returns a field of bytes, a text or a message, as in protobuf.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let length = u32::try_from(bytes.len()).unwrap();
    for mut value in [(number << 3) | 2, length] {
        while value >= 0x80 {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
    }
    out.extend(bytes);
    out
}

/// Returns the JSON that the content is stored as.
fn json(content: &Content) -> serde_json::Value {
    serde_json::to_value(content).unwrap()
}

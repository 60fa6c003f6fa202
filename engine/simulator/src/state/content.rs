//! What a phone can send, in the format of the control API: `{"type": "image", …}`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use waproto::whatsapp::Message;

/// The longest text in bytes, as in WhatsApp.
const TEXT: usize = 65_536;
/// The largest generated file: WhatsApp's limit for documents.
const FILE: u64 = 2 * 1024 * 1024 * 1024;

/// The content of a message.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(TextContent),
    File(FileSource, FileContent),
    Location(Location),
    Contacts(Vec<Contact>),
    Poll(Poll),
    Vote(Vote),
    Reaction(Reaction),
    Edit(Edit),
    Revoke(Revoke),
    /// Sets after which time the chat's messages disappear.
    Timer(Timer),
    /// A kind that gateways do not support.
    Event(Event),
    /// No device can decrypt it. If there is a text, a resend delivers it.
    Undecryptable(Undecryptable),
    /// The same message again, as a forward.
    Again(Box<Message>),
    /// A message as it is.
    Raw(RawMessage),
    /// A view-once message, of which linked devices get only a notice.
    ViewOnceNotice(ViewOnceNotice),
}

/// A message and its bytes. The bytes may have fields that this schema does not know.
#[derive(Clone, Debug)]
pub(crate) struct RawMessage {
    pub(crate) message: Box<Message>,
    pub(crate) bytes: Vec<u8>,
}

impl TextContent {
    /// Returns a text without a link preview.
    pub(crate) fn plain(text: String) -> Self {
        Self {
            text,
            link: None,
            title: None,
            description: None,
            thumbnail_base64: None,
        }
    }
}

/// Where the bytes of a file come from.
#[derive(Clone)]
pub(crate) enum FileSource {
    Bytes(Vec<u8>),
    /// This many bytes. The same seed gives the same bytes.
    Seeded {
        size: u64,
        seed: u64,
    },
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Seeded { size, seed } => write!(f, "{size} bytes of seed {seed}"),
        }
    }
}

/// The kind of a file and its fields.
#[derive(Clone, Debug)]
pub(crate) enum FileContent {
    Image(Picture),
    Video(Picture),
    Audio(Sound),
    Voice(Sound),
    Document(Document),
    Sticker(Sticker),
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $name {
                $($(#[$attr])* pub(crate) $field: $type,)*
            }
        )+
    };
}

bodies! {
    /// A text, with an optional link preview.
    TextContent {
        text: String,
        /// The address that the preview is for.
        link: Option<String>,
        title: Option<String>,
        description: Option<String>,
        thumbnail_base64: Option<String>,
    }
    /// An image or a video.
    Picture {
        caption: Option<String>,
        mimetype: Option<String>,
        width: Option<u32>,
        height: Option<u32>,
        seconds: Option<u32>,
        #[serde(default)]
        gif: bool,
        #[serde(default)]
        view_once: bool,
        thumbnail_base64: Option<String>,
    }
    /// An audio file or a voice note.
    Sound {
        mimetype: Option<String>,
        seconds: Option<u32>,
        waveform_base64: Option<String>,
    }
    /// A document.
    Document {
        file_name: Option<String>,
        title: Option<String>,
        mimetype: Option<String>,
        caption: Option<String>,
        pages: Option<u32>,
        thumbnail_base64: Option<String>,
    }
    /// A sticker.
    Sticker {
        mimetype: Option<String>,
        width: Option<u32>,
        height: Option<u32>,
        #[serde(default)]
        animated: bool,
    }
    /// A place.
    Location {
        latitude: f64,
        longitude: f64,
        name: Option<String>,
        address: Option<String>,
    }
    /// A contact card.
    Contact { name: String, vcard: String, }
    /// Several contact cards.
    Contacts { contacts: Vec<Contact>, }
    /// A poll.
    Poll {
        name: String,
        options: Vec<String>,
        #[serde(default)]
        selectable: u32,
    }
    /// A vote in a poll on the phone's screen.
    Vote { target: String, options: Vec<String>, }
    /// A reaction to a message on the phone's screen. An empty text removes it.
    Reaction { target: String, text: String, }
    /// A new text for one of the phone's own messages.
    Edit { target: String, text: String, }
    /// Deletes one of the phone's own messages, or any message if the phone is a group admin.
    Revoke { target: String, }
    /// The seconds after which messages disappear; 0 if they stay.
    Timer { seconds: u32, }
    /// An invitation to an event.
    Event { name: String, }
    /// A protobuf `Message`.
    Raw { message_base64: String, }
    /// See [`Content::ViewOnceNotice`].
    ViewOnceNotice {}
    /// See [`Content::Undecryptable`].
    Undecryptable { text: Option<String>, phone_text: Option<String>, }
}

impl Content {
    /// Parses the `message` of a `say`.
    pub(crate) fn parse(value: Value) -> Result<Self, String> {
        let Value::Object(mut body) = value else {
            return Err("message is not an object".to_owned());
        };
        let Some(Value::String(kind)) = body.remove("type") else {
            return Err("message has no type".to_owned());
        };
        if let Some(shape) = FILES.iter().find(|(name, _)| *name == kind) {
            let source = FileSource::take(&mut body)?;
            return Ok(Self::File(source, (shape.1)(body)?));
        }
        let content = match kind.as_str() {
            "text" => Self::Text(body_of(body)?),
            "location" => Self::Location(body_of(body)?),
            "contact" => Self::Contacts(vec![body_of(body)?]),
            "contacts" => Self::Contacts(body_of::<Contacts>(body)?.contacts),
            "poll" => Self::Poll(body_of(body)?),
            "poll_vote" => Self::Vote(body_of(body)?),
            "reaction" => Self::Reaction(body_of(body)?),
            "edit" => Self::Edit(body_of(body)?),
            "revoke" => Self::Revoke(body_of(body)?),
            "timer" => Self::Timer(body_of(body)?),
            "event" => Self::Event(body_of(body)?),
            "undecryptable" => Self::Undecryptable(body_of(body)?),
            "view_once_unavailable" => Self::ViewOnceNotice(body_of(body)?),
            "raw" => Self::Raw(RawMessage::decode(&body_of::<Raw>(body)?.message_base64)?),
            other => return Err(format!("no message type is called {other}")),
        };
        match &content {
            Self::Text(TextContent { text, .. }) | Self::Edit(Edit { text, .. })
                if text.len() > TEXT =>
            {
                Err("text must be at most 65536 bytes".to_owned())
            }
            _ => Ok(content),
        }
    }
}

type Fields = Map<String, Value>;

type ParseFileContent = fn(Fields) -> Result<FileContent, String>;

/// The kinds that have a file.
const FILES: [(&str, ParseFileContent); 6] = [
    ("image", |body| Ok(FileContent::Image(body_of(body)?))),
    ("video", |body| Ok(FileContent::Video(body_of(body)?))),
    ("audio", |body| Ok(FileContent::Audio(body_of(body)?))),
    ("voice", |body| Ok(FileContent::Voice(body_of(body)?))),
    ("document", |body| Ok(FileContent::Document(body_of(body)?))),
    ("sticker", |body| Ok(FileContent::Sticker(body_of(body)?))),
];

fn body_of<T: DeserializeOwned>(body: Fields) -> Result<T, String> {
    serde_json::from_value(Value::Object(body)).map_err(|error| error.to_string())
}

impl RawMessage {
    fn decode(text: &str) -> Result<Self, String> {
        let bytes = base64(text)?;
        let message = waproto::codec::message_decode(&bytes);
        let message = message.map_err(|error| format!("message_base64 is no message: {error}"))?;
        Ok(Self {
            message: Box::new(message),
            bytes,
        })
    }
}

impl FileSource {
    /// Takes `bytes_base64`, or `size` and an optional `seed`.
    fn take(body: &mut Fields) -> Result<Self, String> {
        let (bytes, size, seed) = (
            body.remove("bytes_base64"),
            body.remove("size"),
            body.remove("seed"),
        );
        match (bytes, size, seed) {
            (Some(Value::String(text)), None, None) => Ok(Self::Bytes(base64(&text)?)),
            (None, Some(size), seed) => {
                let size = size.as_u64().filter(|size| *size <= FILE);
                let seed = seed.map_or(Some(0), |seed| seed.as_u64());
                match (size, seed) {
                    (Some(size), Some(seed)) => Ok(Self::Seeded { size, seed }),
                    _ => Err("size must be at most 2 GiB, and seed a number".to_owned()),
                }
            }
            _ => Err("a file needs bytes_base64, or size and an optional seed".to_owned()),
        }
    }
}

/// Decodes base64.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| format!("base64: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_message_says_why() {
        for (body, why) in [
            (json!("hi"), "not an object"),
            (json!({"text": "hi"}), "no type"),
            (json!({"type": "smoke"}), "called smoke"),
            (json!({"type": "text", "txt": "hi"}), "unknown field"),
            (json!({"type": "raw"}), "missing field"),
            (json!({"type": "raw", "message_base64": "?"}), "base64"),
            (
                json!({"type": "raw", "message_base64": "CgVo"}),
                "no message",
            ),
            (json!({"type": "image"}), "bytes_base64"),
            (json!({"type": "image", "bytes_base64": "?"}), "base64"),
            (
                json!({"type": "image", "size": 3, "latitude": 1}),
                "unknown field",
            ),
            (
                json!({"type": "document", "size": 3_000_000_000_u64}),
                "2 GiB",
            ),
            (
                json!({"type": "text", "text": "x".repeat(TEXT + 1)}),
                "65536",
            ),
        ] {
            let error = Content::parse(body).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

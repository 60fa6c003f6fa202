//! What a message carries and who it goes between, in our own words.

use serde::{Deserialize, Serialize};

mod media;

use crate::media::Remote;

pub use self::media::{Media, MediaKind};

/// The longest text, in bytes of UTF-8.
pub const TEXT_MAX: usize = 65_536;

/// What a message carries.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text, 1 to [`TEXT_MAX`] bytes.
    Text {
        /// The text itself.
        body: String,
    },
    /// A picture.
    Image(Media),
    /// A film.
    Video(Media),
    /// A recording or a piece of music, shown as a file that plays.
    Audio(Media),
    /// A recording that was spoken into the phone, shown with its waveform.
    Voice(Media),
    /// Any file.
    Document(Media),
    /// A sticker.
    Sticker(Media),
    /// Something this version does not read yet; it is told, never dropped in silence.
    Unsupported {
        /// The protobuf field that carried it, such as `imageMessage`.
        kind: String,
    },
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content[sealed]")
    }
}

impl Content {
    /// The name in the API and the store: `text`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image(_) => "image",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::Voice(_) => "voice",
            Self::Document(_) => "document",
            Self::Sticker(_) => "sticker",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// The file it carries, with how it is shown.
    pub fn media(&self) -> Option<(MediaKind, &Media)> {
        Some(match self {
            Self::Image(media) => (MediaKind::Image, media),
            Self::Video(media) => (MediaKind::Video, media),
            Self::Audio(media) => (MediaKind::Audio, media),
            Self::Voice(media) => (MediaKind::Voice, media),
            Self::Document(media) => (MediaKind::Document, media),
            Self::Sticker(media) => (MediaKind::Sticker, media),
            _ => return None,
        })
    }
}

/// A phone number in E.164: `+` and 7 to 15 digits, the first not 0 (ITU-T E.164).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Parses text from outside; `None` unless it is E.164 to the letter.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let sized = (7..=15).contains(&digits.len());
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        (sized && plain).then(|| Self(text.to_owned()))
    }

    /// With the leading `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the leading `+`, as WhatsApp writes it.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phone[sealed]")
    }
}

/// One side of a one-to-one chat. At least one of the two is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The phone number, when WhatsApp or the caller told it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phone: Option<Phone>,
    /// WhatsApp's own id of the account, digits only (`…@lid` without the server).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lid: Option<String>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peer[sealed]")
    }
}

/// A message that came in, as the durability hook hands it over.
#[derive(Clone)]
pub struct Inbound {
    /// The chat as WhatsApp names it (a JID): with `sender` and `id` it identifies the message.
    pub chat: String,
    /// The sender as WhatsApp names it (a JID).
    pub sender: String,
    /// WhatsApp's message id, unique only within chat and sender.
    pub id: String,
    /// Who wrote it.
    pub from: Peer,
    /// What it carries.
    pub content: Content,
    /// Where WhatsApp keeps the file it carries, if it can be had.
    pub remote: Option<Remote>,
    /// When WhatsApp says it was sent, milliseconds UTC.
    pub at: i64,
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbound[sealed]")
    }
}

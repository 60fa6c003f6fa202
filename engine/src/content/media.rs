//! A file in a message.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::Content;
use crate::ids::MediaId;

/// How a file is shown. It also decides how WhatsApp encrypts the file.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A video.
    Video,
    /// An audio file that can be played.
    Audio,
    /// A voice note.
    Voice,
    /// A file of any type.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the name used in the store and the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Parses the name that [`MediaKind::as_str`] returns.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the content that shows `media` in this way.
    pub fn content(self, media: Media) -> Content {
        match self {
            Self::Image => Content::Image(media),
            Self::Video => Content::Video(media),
            Self::Audio => Content::Audio(media),
            Self::Voice => Content::Voice(media),
            Self::Document => Content::Document(media),
            Self::Sticker => Content::Sticker(media),
        }
    }
}

/// A file in a message, as the API shows it. Fields that are unknown or do not apply are absent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The id to download its bytes with.
    pub media_id: MediaId,
    /// The text below it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caption: Option<String>,
    /// File name. Only documents have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_name: Option<String>,
    /// Media type, such as `image/jpeg`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mime_type: Option<String>,
    /// Size in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// SHA-256 of the bytes, as 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u32>,
    /// Duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
    /// Number of pages. Only documents have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// Whether a video plays in a loop without sound, as a GIF does.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub gif: bool,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Media[{}]", self.media_id)
    }
}

impl Media {
    /// Makes a file of which only the id is known.
    pub fn new(media_id: MediaId) -> Self {
        Self {
            media_id,
            caption: None,
            file_name: None,
            mime_type: None,
            size: None,
            sha256: None,
            width: None,
            height: None,
            seconds: None,
            pages: None,
            gif: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn each_kind_is_a_content_of_its_name() {
        for &kind in MediaKind::ALL {
            let media = Media::new(MediaId::new(&Clock::system()));
            let content = kind.content(media.clone());
            assert_eq!(content.kind(), kind.as_str());
            assert_eq!(content.media(), Some((kind, &media)));
            assert_eq!(MediaKind::parse(kind.as_str()), Some(kind));
            let json = serde_json::to_value(&content).unwrap();
            assert_eq!(json["type"], kind.as_str());
            assert_eq!(json["media_id"], media.media_id.to_string());
        }
    }
}

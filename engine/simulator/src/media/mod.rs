//! Media: senders encrypt it, the server stores it without being able to read it, recipients
//! decrypt it.

pub(crate) mod cipher;
pub(crate) mod download;
mod range;
mod server;
pub(crate) mod transfer;
pub(crate) mod upload;

/// How many seconds an address claims to be valid. Nothing checks it.
pub(crate) const GOOD_FOR: u64 = 30 * 24 * 3600;

/// The kind of media, as far as its keys depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaKind {
    /// Pictures and stickers.
    Image,
    Video,
    /// Audio files and voice notes.
    Audio,
    Document,
}

impl MediaKind {
    /// Returns the text that the media keys are derived with (Baileys 7.0.0-rc14,
    /// `MEDIA_HKDF_KEY_MAPPING`).
    pub(crate) fn key_info(self) -> &'static str {
        match self {
            Self::Image => "WhatsApp Image Keys",
            Self::Video => "WhatsApp Video Keys",
            Self::Audio => "WhatsApp Audio Keys",
            Self::Document => "WhatsApp Document Keys",
        }
    }
}

/// The folders of the media server that accept uploads (wacore 0.7.0, `MediaType::upload_path`).
pub(crate) const FOLDERS: [&str; 9] = [
    "audio",
    "document",
    "image",
    "md-app-state",
    "md-msg-hist",
    "sticker-pack",
    "thumbnail-link",
    "thumbnail-sticker-pack",
    "video",
];

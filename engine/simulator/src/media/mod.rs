//! Media: sealed by who sends it, kept by a server that cannot open it, opened by who gets it.

pub(crate) mod cipher;
pub(crate) mod download;
mod range;
mod server;
pub(crate) mod transfer;
pub(crate) mod upload;

/// Seconds that an address says it is good for; nobody checks.
pub(crate) const GOOD_FOR: u64 = 30 * 24 * 3600;

/// What media is, as far as its keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaKind {
    /// Pictures, and stickers too.
    Image,
    Video,
    /// Audio files and voice notes.
    Audio,
    Document,
}

impl MediaKind {
    /// What its keys are derived for (Baileys 7.0.0-rc14, `MEDIA_HKDF_KEY_MAPPING`).
    pub(crate) fn key_info(self) -> &'static str {
        match self {
            Self::Image => "WhatsApp Image Keys",
            Self::Video => "WhatsApp Video Keys",
            Self::Audio => "WhatsApp Audio Keys",
            Self::Document => "WhatsApp Document Keys",
        }
    }
}

/// The folders of the media server that take uploads (wacore 0.7.0, `MediaType::upload_path`).
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

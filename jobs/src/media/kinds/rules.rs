//! Which types a message of each kind carries, and what happens to them: WhatsApp's types, and the sizes
//! that its phones accept.
//!
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types>.
//! Where WhatsApp's own apps accept more than the Cloud API, their limits apply.

use passerelle_engine::content::MediaKind;

use super::iso;
use crate::media::error::{BadMedia, Needed};

const MB: u64 = 1024 * 1024;

/// The largest file inside a JSON request, in bytes.
pub const INLINE_MAX: usize = 5 * 1024 * 1024;

/// The largest video, in bytes.
pub(crate) const VIDEO_MAX: u64 = 64 * MB;

/// Returns the largest file of a kind, in bytes.
pub(crate) fn size_max(kind: MediaKind) -> u64 {
    match kind {
        // A sticker is made of it, and is smaller.
        MediaKind::Image | MediaKind::Audio | MediaKind::Voice | MediaKind::Sticker => 16 * MB,
        MediaKind::Video => VIDEO_MAX,
        MediaKind::Document => 2048 * MB,
    }
}

/// The largest file that is fetched from WhatsApp, in bytes, whatever kind it claims to be.
pub(crate) const INBOUND_MAX: u64 = 2048 * MB;

/// The types that phones show, for each kind; empty means any.
fn shown(kind: MediaKind) -> &'static [&'static str] {
    match kind {
        MediaKind::Image => &["image/jpeg", "image/png", "image/webp"],
        MediaKind::Video => &["video/mp4", "video/3gpp"],
        MediaKind::Audio => &[
            "audio/aac",
            "audio/mp4",
            "audio/3gpp",
            "audio/3gpp2",
            "audio/mpeg",
            "audio/amr",
            "audio/ogg; codecs=opus",
        ],
        // Other recordings are converted to this.
        MediaKind::Voice => &["audio/ogg; codecs=opus"],
        MediaKind::Document => &[],
        MediaKind::Sticker => &["image/webp"],
    }
}

/// The videos that ffmpeg converts; its arguments allow the same formats.
const FILMS: [&str; 11] = [
    "video/mp4",
    "video/3gpp",
    "video/3gpp2",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/x-msvideo",
    "video/mpeg",
    "video/x-flv",
    "video/x-ms-wmv",
    GIF,
];

/// A film that plays in a loop without sound.
pub(crate) const GIF: &str = "image/gif";

/// The recordings that become voice notes.
const DECODED: [&str; 13] = [
    "audio/mpeg",
    "audio/mp4",
    "audio/3gpp",
    "audio/3gpp2",
    "audio/aac",
    "audio/flac",
    "audio/wav",
    "audio/aiff",
    "audio/x-caf",
    "audio/ogg; codecs=vorbis",
    "audio/ogg; codecs=flac",
    "audio/webm",
    "audio/x-matroska",
];

/// Containers out of which Opus is taken.
const PACKED: [&str; 2] = ["audio/webm", "audio/x-matroska"];

/// What a phone plays as a video; part of the error for any other.
pub(crate) const NEEDED: Needed = Needed(
    "MP4 with H.264 and AAC (ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart OUT.mp4)",
);
/// What a phone shows as a sticker; part of the error for a picture.
pub(crate) const NEEDED_STICKER: Needed = Needed("WebP of 512 by 512 pixels, at most 100 KiB");
/// The pictures of which ffmpeg makes stickers.
const PICTURES: [&str; 3] = ["image/jpeg", "image/png", GIF];
/// What a phone plays as a recording; part of the error for any other.
const NEEDED_AUDIO: Needed =
    Needed("AAC, M4A, MP3, AMR or Ogg with Opus (ffmpeg -i IN -c:a aac OUT.m4a)");

/// What happens to a file of a type that is sent as a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The same bytes are sent.
    Unchanged,
    /// What its device and programs wrote into it is taken out.
    Stripped,
    /// It is stripped if phones play it, otherwise it is converted.
    Played,
    /// Its sound goes into another container.
    Repacked,
    /// It is converted, here or by ffmpeg.
    Converted,
    /// It is refused.
    Refused(BadMedia),
}

/// Returns what happens to a file. `films`: whether videos are converted here.
pub(super) fn fate(kind: MediaKind, mime_type: &str, films: bool) -> Fate {
    let is_shown = takes(kind, mime_type);
    let is_recorded = mime_type.starts_with("audio/");
    let unavailable = |needed| Fate::Refused(BadMedia::Transcoding(needed));
    match kind {
        MediaKind::Document => Fate::Unchanged,
        MediaKind::Image | MediaKind::Sticker if is_shown => Fate::Stripped,
        MediaKind::Sticker if PICTURES.contains(&mime_type) && films => Fate::Converted,
        MediaKind::Sticker if PICTURES.contains(&mime_type) => unavailable(NEEDED_STICKER),
        MediaKind::Audio if is_shown && iso::is(mime_type) => Fate::Stripped,
        MediaKind::Audio if is_shown => Fate::Unchanged,
        MediaKind::Audio if PACKED.contains(&mime_type) => Fate::Repacked,
        MediaKind::Audio if is_recorded => unavailable(NEEDED_AUDIO),
        MediaKind::Voice if is_shown => Fate::Repacked,
        MediaKind::Voice if DECODED.contains(&mime_type) => Fate::Converted,
        MediaKind::Video if is_shown => Fate::Played,
        MediaKind::Video if FILMS.contains(&mime_type) && films => Fate::Converted,
        MediaKind::Video if FILMS.contains(&mime_type) => unavailable(NEEDED),
        _ => Fate::Refused(BadMedia::Type),
    }
}

/// Refuses a type that cannot become a file of this kind. `films`: whether videos are converted here.
pub(crate) fn check(kind: MediaKind, mime_type: &str, films: bool) -> Result<(), BadMedia> {
    match fate(kind, mime_type, films) {
        Fate::Refused(why) => Err(why),
        _ => Ok(()),
    }
}

/// Returns whether phones show a file of this type as this kind.
pub(crate) fn takes(kind: MediaKind, mime_type: &str) -> bool {
    let shown = shown(kind);
    shown.is_empty() || shown.contains(&mime_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_takes_its_types_and_no_others() {
        assert!(takes(MediaKind::Image, "image/png"));
        assert!(!takes(MediaKind::Image, "image/gif"));
        assert!(takes(MediaKind::Audio, "audio/ogg; codecs=opus"));
        assert!(!takes(MediaKind::Audio, "audio/ogg; codecs=vorbis"));
        assert!(!takes(MediaKind::Voice, "audio/mpeg"));
        assert!(takes(MediaKind::Document, "application/x-msdownload"));
        assert!(!takes(MediaKind::Video, "text/html"));
    }

    #[test]
    fn a_refusal_says_whether_a_conversion_would_help() {
        let why = |kind, mime_type| check(kind, mime_type, false).map_err(|why| why.code());
        let (unavailable, other) = ("transcoding_unavailable", "media_type_not_supported");
        assert_eq!(why(MediaKind::Video, "video/webm"), Err(unavailable));
        assert_eq!(check(MediaKind::Video, "video/webm", true), Ok(()));
        assert_eq!(why(MediaKind::Video, GIF), Err(unavailable));
        assert_eq!(why(MediaKind::Audio, "audio/wav"), Err(unavailable));
        assert_eq!(why(MediaKind::Voice, "audio/wav"), Ok(()));
        assert_eq!(why(MediaKind::Voice, "audio/amr"), Err(other));
        assert_eq!(why(MediaKind::Voice, "video/mp4"), Err(other));
        assert_eq!(why(MediaKind::Image, "image/heif"), Err(other));
    }
}

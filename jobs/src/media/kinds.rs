//! What each kind of file may be: WhatsApp's types, and the sizes that its phones accept.
//!
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types>.
//! Where WhatsApp's own apps accept more than the Cloud API, their limits apply.

use passerelle_engine::content::MediaKind;

const MB: u64 = 1024 * 1024;

/// The largest file inside a JSON request, in bytes.
pub const INLINE_MAX: usize = 5 * 1024 * 1024;

/// The largest video, in bytes.
pub(super) const VIDEO_MAX: u64 = 64 * MB;

/// Returns the largest file of a kind, in bytes.
pub(super) fn size_max(kind: MediaKind) -> u64 {
    match kind {
        MediaKind::Image | MediaKind::Audio | MediaKind::Voice => 16 * MB,
        MediaKind::Video => VIDEO_MAX,
        MediaKind::Document => 2048 * MB,
        MediaKind::Sticker => 500 * 1024,
    }
}

/// The largest file that is fetched from WhatsApp, in bytes, whatever kind it claims to be.
pub(super) const INBOUND_MAX: u64 = 2048 * MB;

/// Returns the types that a file of a kind may have; empty means any.
fn types(kind: MediaKind) -> &'static [&'static str] {
    match kind {
        MediaKind::Image => &["image/jpeg", "image/png", "image/webp"],
        MediaKind::Video => &["video/mp4", "video/3gpp"],
        MediaKind::Audio => &[
            "audio/aac",
            "audio/mp4",
            "audio/mpeg",
            "audio/amr",
            "audio/ogg",
        ],
        // Other recordings are converted to this.
        MediaKind::Voice => &["audio/ogg; codecs=opus"],
        MediaKind::Document => &[],
        MediaKind::Sticker => &["image/webp"],
    }
}

/// How many bytes are needed to detect a type.
pub(super) const HEAD: usize = 8192;

/// Detects the type of a file from its first bytes, in WhatsApp's words.
pub(super) fn sniff(head: &[u8]) -> &'static str {
    if head.starts_with(b"OggS") {
        let opus = head.windows(8).any(|bytes| bytes == b"OpusHead");
        return if opus {
            "audio/ogg; codecs=opus"
        } else {
            "application/ogg"
        };
    }
    let Some(found) = infer::get(head) else {
        return if is_text(head) {
            "text/plain"
        } else {
            "application/octet-stream"
        };
    };
    match found.mime_type() {
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "audio/x-flac" => "audio/flac",
        "audio/x-wav" => "audio/wav",
        other => other,
    }
}

/// Returns whether the text is a type such as `text/csv`, without characters that are not allowed in a
/// header.
pub(super) fn is_type(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-; =".contains(c);
    let (main, sub) = text.split_once('/').unwrap_or_default();
    let fits = text.len() <= 100 && text.chars().all(|c| c == '/' || plain(c));
    fits && !main.is_empty() && !sub.is_empty() && !sub.contains('/')
}

/// Returns whether this is text: UTF-8 without control characters. The last character may be cut.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Returns whether a file of this type may be sent as this kind.
pub(super) fn takes(kind: MediaKind, mime_type: &str) -> bool {
    let types = types(kind);
    let bare = mime_type.split(';').next().unwrap_or_default();
    types.is_empty() || types.iter().any(|of| *of == mime_type || *of == bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_off_the_first_bytes() {
        for (head, mime) in [
            (&b"\xff\xd8\xff\xe0rest"[..], "image/jpeg"),
            (b"\x89PNG\r\n\x1a\nrest", "image/png"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (
                b"OggS\0\x02rest of the page OpusHead",
                "audio/ogg; codecs=opus",
            ),
            (b"OggS\0\x02rest of the page \x01vorbis", "application/ogg"),
            (b"ID3\x03rest", "audio/mpeg"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "audio/mp4"),
            (b"%PDF-1.7", "application/pdf"),
            (b"a, b\n1, 2\n", "text/plain"),
            ("\u{e4}\u{f6}".as_bytes(), "text/plain"),
            (b"\xc3", "application/octet-stream"),
            (b"\0\x01\x02", "application/octet-stream"),
        ] {
            assert_eq!(sniff(head), mime, "{head:?}");
        }
    }

    #[test]
    fn a_kind_takes_its_types_and_no_others() {
        assert!(takes(MediaKind::Image, "image/png"));
        assert!(!takes(MediaKind::Image, "image/gif"));
        assert!(takes(MediaKind::Audio, "audio/ogg; codecs=opus"));
        assert!(!takes(MediaKind::Voice, "audio/mpeg"));
        assert!(takes(MediaKind::Document, "application/x-msdownload"));
        assert!(!takes(MediaKind::Video, "text/html"));
    }
}

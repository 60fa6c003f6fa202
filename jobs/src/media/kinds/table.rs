//! The table of `docs/guide/media.md`: what happens to each type as each kind. Made from the rules, and
//! compared with the page.

use std::fmt::Write as _;

use passerelle_engine::content::MediaKind;

use super::rules::{Fate, fate};
use crate::media::error::BadMedia;

const KINDS: [MediaKind; 6] = [
    MediaKind::Image,
    MediaKind::Sticker,
    MediaKind::Video,
    MediaKind::Audio,
    MediaKind::Voice,
    MediaKind::Document,
];

/// Every type that is detected from the content, with a name for readers.
const TYPES: [(&str, &str); 38] = [
    ("image/jpeg", "JPEG"),
    ("image/png", "PNG"),
    ("image/webp", "WebP"),
    ("image/gif", "GIF"),
    ("image/heif", "HEIF, HEIC"),
    ("image/avif", "AVIF"),
    ("image/tiff", "TIFF"),
    ("video/mp4", "MP4 with pictures, whole or in fragments"),
    ("video/3gpp", "3GP with pictures"),
    ("video/3gpp2", "3G2 with pictures"),
    ("video/quicktime", "MOV"),
    ("video/webm", "WebM with pictures"),
    ("video/x-matroska", "Matroska with pictures"),
    ("video/x-msvideo", "AVI"),
    ("video/mpeg", "MPEG"),
    ("video/x-flv", "FLV"),
    ("video/x-ms-wmv", "WMV"),
    ("video/ogg", "Ogg with pictures"),
    ("audio/mpeg", "MP3 of any version and layer"),
    ("audio/mp4", "MP4 with sound alone (M4A)"),
    ("audio/3gpp", "3GP with sound alone"),
    ("audio/3gpp2", "3G2 with sound alone"),
    ("audio/aac", "AAC"),
    ("audio/amr", "AMR"),
    ("audio/amr-wb", "AMR wideband"),
    ("audio/ogg; codecs=opus", "Ogg with Opus"),
    ("audio/ogg; codecs=vorbis", "Ogg with Vorbis"),
    ("audio/ogg; codecs=flac", "Ogg with FLAC"),
    ("audio/ogg; codecs=speex", "Ogg with Speex"),
    ("audio/webm", "WebM with sound alone"),
    ("audio/x-matroska", "Matroska with sound alone"),
    ("audio/flac", "FLAC"),
    ("audio/wav", "WAV"),
    ("audio/aiff", "AIFF"),
    ("audio/x-caf", "CAF"),
    ("audio/midi", "MIDI"),
    ("application/pdf", "PDF"),
    ("application/zip", "anything else"),
];

fn cell(kind: MediaKind, mime_type: &str) -> String {
    let without = fate(kind, mime_type, false);
    match fate(kind, mime_type, true) {
        Fate::Unchanged => "unchanged".to_owned(),
        Fate::Stripped => "stripped".to_owned(),
        Fate::Played => "stripped, or ffmpeg".to_owned(),
        Fate::Repacked => "repacked".to_owned(),
        Fate::Converted if without == Fate::Converted => "converted".to_owned(),
        Fate::Converted => "ffmpeg".to_owned(),
        Fate::Refused(BadMedia::Type) => "–".to_owned(),
        Fate::Refused(why) => format!("`{}`", why.code()),
    }
}

fn table() -> String {
    let kinds = KINDS.map(|kind| format!("`{}`", kind.as_str())).join(" | ");
    let mut table = format!("| content | type | {kinds} |\n|{}\n", "---|".repeat(8));
    for (mime_type, name) in TYPES {
        let cells = KINDS.map(|kind| cell(kind, mime_type)).join(" | ");
        let shown = if name == "anything else" {
            String::new()
        } else {
            format!("`{mime_type}`")
        };
        let _ = writeln!(table, "| {name} | {shown} | {cells} |");
    }
    table
}

#[test]
fn the_guide_has_the_table_of_the_rules() {
    const GUIDE: &str = include_str!("../../../../docs/guide/media.md");
    let table = table();
    assert!(
        GUIDE.contains(&table),
        "docs/guide/media.md is out of date. Replace its table by:\n\n{table}"
    );
}

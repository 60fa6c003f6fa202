//! What a file is.
//!
//! | page | what it holds |
//! |---|---|
//! | here | the type of a file: its first bytes, then the rest of it |
//! | `iso`, `boxes`, `matroska` | the tracks of a film or a recording, whatever its brand |
//! | `ogg` | the logical streams of an Ogg file |
//! | `frames` | MP3 and AAC, which are frames without a header of the file |
//! | `archive`, `storage` | the directory of a ZIP archive and of an OLE storage: office documents |
//! | `text` | text and scripts |
//! | `types` | names of types that several pages use |
//! | `words` | what the sender and the file's name say, where the bytes are vague |
//! | `rules` | which types a message of each kind carries, and what happens to them |
//!
//! The structure of a file decides. A brand, a sender and a name only decide where the structure leaves
//! it open. Nothing here decodes sound or pictures.

mod archive;
#[cfg(test)]
mod bent;
mod boxes;
pub(super) mod frames;
pub(super) mod iso;
mod matroska;
pub(super) mod ogg;
mod rules;
mod storage;
#[cfg(test)]
mod table;
mod text;
mod types;
mod words;

use std::{
    borrow::Cow,
    io::{Read, Seek},
};

pub use self::rules::INLINE_MAX;
pub use self::words::clean_media_type;
pub(super) use self::{
    rules::{GIF, INBOUND_MAX, NEEDED, NEEDED_STICKER, VIDEO_MAX, check, size_max, takes},
    types::OCTETS,
    words::{by_name, named},
};

use self::{
    text::{is_shell, is_text},
    types::{OLE, SCRIPT, TEXT, ZIP},
};

/// How many bytes are needed to detect a type.
pub(super) const HEAD: usize = 8192;

/// Detects the type of a file from its first bytes, in WhatsApp's words. Where [`is_open`] says so, the
/// rest of the file may say more.
pub(super) fn sniff(head: &[u8]) -> &'static str {
    signed(head)
        .or_else(|| iso::by_brand(head))
        .or_else(|| frames::at_start(head))
        .or_else(|| inferred(head))
        .or_else(|| is_text(head).then_some(TEXT))
        .or_else(|| frames::behind_junk(head))
        .unwrap_or(OCTETS)
}

/// Returns whether a type that the first bytes suggest depends on the rest of the file.
pub(super) fn is_open(sniffed: &str) -> bool {
    matches!(sniffed, ZIP | OLE | frames::MP3) || iso::is(sniffed) || matroska::is(sniffed)
}

/// Detects the type of a whole file. `head` is its beginning.
pub(super) fn look(head: &[u8], file: &mut (impl Read + Seek)) -> Cow<'static, str> {
    let sniffed = sniff(head);
    let looked = match sniffed {
        ZIP => archive::look(file),
        OLE => storage::look(file).map(Cow::Borrowed),
        frames::MP3 => frames::behind_tag(file).map(Cow::Borrowed),
        film if iso::is(film) => iso::look(film, file).map(Cow::Borrowed),
        film if matroska::is(film) => matroska::look(film, file).map(Cow::Borrowed),
        _ => None,
    };
    looked.unwrap_or(Cow::Borrowed(sniffed))
}

/// Returns the type of a file that begins with a signature of which the library knows less than we need.
fn signed(head: &[u8]) -> Option<&'static str> {
    let form = (head.get(..4), head.get(8..12));
    Some(match head {
        [b'O', b'g', b'g', b'S', ..] => ogg::sniff(head),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => ZIP,
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => OLE,
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska::sniff(head),
        [b'c', b'a', b'f', b'f', 0, ..] => "audio/x-caf",
        _ if frames::is_tag(head) => frames::MP3,
        _ if head.starts_with(b"#!AMR-WB") => "audio/amr-wb",
        _ if head.starts_with(b"#!AMR") => "audio/amr",
        _ => match form {
            (Some(b"RIFF" | b"RF64" | b"BW64"), Some(b"WAVE")) => "audio/wav",
            (Some(b"FORM"), Some(b"AIFF" | b"AIFC")) => "audio/aiff",
            _ => return None,
        },
    })
}

/// Asks the library.
fn inferred(head: &[u8]) -> Option<&'static str> {
    // Readers accept other bytes in front of a PDF (ISO 32000-1, annex H, note 13).
    let start = &head[..head.len().min(1024)];
    let is_pdf = start.windows(5).any(|at| at == b"%PDF-");
    if is_pdf && !is_text(start) {
        return Some("application/pdf");
    }
    match infer::get(head)?.mime_type() {
        // Two bytes are too few to tell sound from anything else.
        "audio/mpeg" | "audio/aac" => None,
        "audio/x-flac" => Some("audio/flac"),
        SCRIPT => is_shell(head).then_some(SCRIPT),
        other => Some(other),
    }
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
            (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
            (b"FORM\0\0\0\x10AIFCFVER", "audio/aiff"),
            (
                b"OggS\0\x02rest of the page OpusHead",
                "audio/ogg; codecs=opus",
            ),
            (
                b"OggS\0\x02rest of the page \x01vorbis",
                "audio/ogg; codecs=vorbis",
            ),
            (b"OggS\0\x02rest of the page \x80theora", "video/ogg"),
            (b"OggS\0\x02rest of the page", "application/ogg"),
            (b"ID3\x03rest", "audio/mpeg"),
            (b"ID3 tags, and how to write them", "text/plain"),
            (b"#!AMR\n\x3c", "audio/amr"),
            (b"#!AMR-WB\n\x04", "audio/amr-wb"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "audio/mp4"),
            (b"\0\0\0\x18ftypiso5\0\0\0\0iso5hlsf", "video/mp4"),
            (b"\0\0\0\x18ftypzzzz\0\0\0\0zzzz", "video/mp4"),
            (b"\0\0\0\x18ftyp3gp4\0\0\0\x013gp4", "video/3gpp"),
            (b"\0\0\0\x18ftyp3g2a\0\0\0\x013g2a", "video/3gpp2"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heif"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "image/avif"),
            (b"%PDF-1.7", "application/pdf"),
            (b"\xef\xbb\xbf\0\x01%PDF-1.7", "application/pdf"),
            (b"a, b\n1, 2\n", "text/plain"),
            (b"\xff\xfea\0;\0b\0\n\0", "text/plain"),
            (b"#!/usr/bin/env python3\nprint(1)\n", "text/plain"),
            (b"#!/bin/sh\nexit 0\n", "text/x-shellscript"),
            ("\u{e4}\u{f6}".as_bytes(), "text/plain"),
            (b"\xc3", "application/octet-stream"),
            (b"\0\x01\x02", "application/octet-stream"),
            // One header of MP3 and nothing that fits behind it.
            (
                b"\xff\xfb\x90\0and no second frame",
                "application/octet-stream",
            ),
            (b"MZ\x90\0", "application/vnd.microsoft.portable-executable"),
            (b"PK\x03\x04rest", "application/zip"),
        ] {
            assert_eq!(sniff(head), mime, "{head:?}");
        }
    }
}

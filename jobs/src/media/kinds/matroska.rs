//! WebM and Matroska (RFC 8794, RFC 9559): which tracks there are.

use std::io::{Read, Seek, SeekFrom};

const WEBM: &str = "video/webm";
const MATROSKA: &str = "video/x-matroska";
const HEADER: u64 = 0x1a45_dfa3;
const DOC_TYPE: u64 = 0x4282;
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const CLUSTER: u64 = 0x1f43_b675;
const TRACK: u64 = 0xae;
const TRACK_TYPE: u64 = 0x83;
/// Elements that are looked at before the tracks.
const ELEMENTS_MAX: usize = 100;
/// The longest description of the tracks.
const TRACKS_MAX: u64 = 1024 * 1024;

/// Returns whether it is one of these types.
pub(super) fn is(mime_type: &str) -> bool {
    matches!(mime_type, WEBM | MATROSKA)
}

/// Reads which of the two it is off the first bytes.
pub(super) fn sniff(head: &[u8]) -> &'static str {
    let mut rest = head;
    let header = element(&mut rest).filter(|(id, _)| *id == HEADER);
    let body = header.and_then(|(_, size)| part(&mut rest, size));
    let named = body.and_then(|body| children(body).find(|(id, _)| *id == DOC_TYPE));
    if named.is_some_and(|(_, name)| name.starts_with(b"webm")) {
        WEBM
    } else {
        MATROSKA
    }
}

/// Returns the type of a file by its tracks; `None` if they say no more.
pub(super) fn look(sniffed: &str, file: &mut (impl Read + Seek)) -> Option<&'static str> {
    let tracks = tracks(file)?;
    let has = |wanted: u8| {
        let mut tracks = children(&tracks).filter(|(id, _)| *id == TRACK);
        tracks.any(|(_, track)| {
            children(track).any(|(id, is)| id == TRACK_TYPE && is.last() == Some(&wanted))
        })
    };
    let (pictures, sound) = (has(1), has(2));
    let alone = sound && !pictures;
    alone.then_some(if sniffed == WEBM {
        "audio/webm"
    } else {
        "audio/x-matroska"
    })
}

/// Reads the description of the tracks.
fn tracks(file: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    let mut at = 0;
    for _ in 0..ELEMENTS_MAX {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = Vec::new();
        file.by_ref().take(12).read_to_end(&mut head).ok()?;
        let mut rest = &head[..];
        let (id, size) = element(&mut rest)?;
        let body = at + (head.len() - rest.len()) as u64;
        match id {
            SEGMENT => at = body,
            TRACKS => {
                let size = size.filter(|size| *size <= TRACKS_MAX)?;
                file.seek(SeekFrom::Start(body)).ok()?;
                let mut tracks = Vec::new();
                file.by_ref().take(size).read_to_end(&mut tracks).ok()?;
                return Some(tracks);
            }
            CLUSTER => return None,
            _ => at = body.checked_add(size?)?,
        }
    }
    None
}

/// Reads an element's id and size; the size may be unknown.
fn element(rest: &mut &[u8]) -> Option<(u64, Option<u64>)> {
    let (id, _) = number(rest, 4, false)?;
    let (size, bits) = number(rest, 8, true)?;
    let unknown = size == (1 << bits) - 1;
    Some((id, (!unknown).then_some(size)))
}

/// Reads a number whose first byte says its length, and returns how many bits it has. An id keeps the
/// marker of its length.
fn number(rest: &mut &[u8], most: u32, bare: bool) -> Option<(u64, u32)> {
    let first = *rest.first()?;
    let length = first.leading_zeros() + 1;
    if length > most {
        return None;
    }
    let (bytes, behind) = rest.split_at_checked(length as usize)?;
    *rest = behind;
    let value = bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    let bits = 7 * length;
    Some((
        if bare {
            value & ((1 << bits) - 1)
        } else {
            value
        },
        bits,
    ))
}

fn part<'a>(rest: &mut &'a [u8], size: Option<u64>) -> Option<&'a [u8]> {
    let size = usize::try_from(size?).ok()?;
    let (body, behind) = rest.split_at_checked(size)?;
    *rest = behind;
    Some(body)
}

/// Returns the elements inside, as far as they are whole.
fn children(mut body: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, size) = element(&mut body)?;
        Some((id, part(&mut body, size)?))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(doc_type: &[u8], kinds: &[u8]) -> Vec<u8> {
        let element = |id: &[u8], body: Vec<u8>| {
            let mut bytes = id.to_vec();
            bytes.push(0x80 | u8::try_from(body.len()).unwrap());
            bytes.extend(body);
            bytes
        };
        let tracks = kinds
            .iter()
            .map(|kind| element(&[0xae], vec![0x83, 0x81, *kind]));
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], tracks.flatten().collect());
        let name = element(&[0x42, 0x82], doc_type.to_vec());
        let mut file = element(&[0x1a, 0x45, 0xdf, 0xa3], name);
        // A segment of unknown length, as a browser's recorder writes it.
        file.extend([
            0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        file.extend(element(&[0xec], vec![0; 20]));
        file.extend(tracks);
        file
    }

    #[test]
    fn sound_alone_is_known_by_its_tracks() {
        for (doc_type, kinds, sniffed, looked) in [
            (&b"webm"[..], &[2][..], WEBM, Some("audio/webm")),
            (b"webm", &[1, 2], WEBM, None),
            (b"webm\0", &[1], WEBM, None),
            (b"matroska", &[2, 2, 17], MATROSKA, Some("audio/x-matroska")),
            (b"matroska", &[], MATROSKA, None),
        ] {
            let file = of(doc_type, kinds);
            assert_eq!(sniff(&file), sniffed);
            assert_eq!(look(sniffed, &mut Cursor::new(&file)), looked, "{kinds:?}");
            for end in 0..file.len() {
                let _ = (
                    sniff(&file[..end]),
                    look(WEBM, &mut Cursor::new(&file[..end])),
                );
            }
        }
    }
}

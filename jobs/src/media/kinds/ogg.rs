//! The logical streams of an Ogg file (RFC 3533): side by side, or one behind the other.

use std::ops::Range;

use crate::media::error::BadMedia;

/// The signature of a page.
const CAPTURE: &[u8; 4] = b"OggS";
/// A page's header without its table of segments.
const HEADER: usize = 27;

/// Returns the type that the first pages name.
pub(super) fn sniff(head: &[u8]) -> &'static str {
    let names = |word: &[u8]| head.windows(word.len()).any(|at| at == word);
    for (word, mime_type) in [
        (&b"\x80theora"[..], "video/ogg"),
        (b"OpusHead", "audio/ogg; codecs=opus"),
        (b"\x01vorbis", "audio/ogg; codecs=vorbis"),
        (b"\x7fFLAC", "audio/ogg; codecs=flac"),
        (b"Speex   ", "audio/ogg; codecs=speex"),
    ] {
        if names(word) {
            return mime_type;
        }
    }
    "application/ogg"
}

struct Page {
    end: usize,
    begins: bool,
    ends: bool,
    serial: [u8; 4],
}

/// Reads the header of a page; `None` if the page is cut.
fn page(bytes: &[u8], at: usize) -> Option<Page> {
    let header = bytes.get(at..at.checked_add(HEADER)?)?;
    let table = at + HEADER;
    let segments = bytes.get(table..table + usize::from(header[26]))?;
    let body: usize = segments.iter().map(|size| usize::from(*size)).sum();
    let end = table + segments.len() + body;
    (end <= bytes.len()).then_some(Page {
        end,
        begins: header[5] & 2 != 0,
        ends: header[5] & 4 != 0,
        serial: [header[14], header[15], header[16], header[17]],
    })
}

/// Returns where each logical stream is. Streams that are joined follow each other; streams side by side
/// are refused.
pub(crate) fn links(bytes: &[u8]) -> Result<Vec<Range<usize>>, BadMedia> {
    let mut links: Vec<Range<usize>> = Vec::new();
    let (mut at, mut last): (usize, Option<Page>) = (0, None);
    while let Some(skipped) = bytes[at..].windows(4).position(|four| four == CAPTURE) {
        let start = at + skipped;
        let page = page(bytes, start).ok_or(BadMedia::Damaged)?;
        at = page.end;
        let before = last.as_ref().map(|last| (last.begins, last.serial));
        match (links.last_mut(), before) {
            (_, Some((true, serial))) if page.begins && serial != page.serial => {
                return Err(BadMedia::Mixed);
            }
            (Some(open), Some((_, serial))) if !page.begins => {
                if serial != page.serial {
                    return Err(BadMedia::Mixed);
                }
                open.end = at;
            }
            _ if page.begins => links.push(start..at),
            _ => return Err(BadMedia::Damaged),
        }
        last = Some(page);
    }
    // Other programs write tags behind the last page.
    let is_whole = at == bytes.len() || last.is_some_and(|last| last.ends);
    is_whole.then_some(links).ok_or(BadMedia::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: &[u8] = include_bytes!("../../../../tests/assets/voice.ogg");
    const VORBIS: &[u8] = include_bytes!("../../../../tests/assets/vorbis.ogg");

    #[test]
    fn joined_files_are_taken_apart_where_they_were_joined() {
        let one = 0..VOICE.len();
        assert_eq!(links(VOICE), Ok(vec![one.clone()]));
        for second in [VOICE, VORBIS] {
            let both = [VOICE, second].concat();
            assert_eq!(links(&both), Ok(vec![one.clone(), VOICE.len()..both.len()]));
        }
        let tagged = [VOICE, b"TAG of another program"].concat();
        assert_eq!(links(&tagged), Ok(vec![one]));
    }

    #[test]
    fn a_cut_page_and_streams_side_by_side_are_refused() {
        assert_eq!(links(&VOICE[..VOICE.len() - 1]), Err(BadMedia::Damaged));
        assert_eq!(links(&VOICE[..40]), Err(BadMedia::Damaged));
        let first = page(VOICE, 0).unwrap().end;
        let other = page(VORBIS, 0).unwrap().end;
        let beside = [&VOICE[..first], &VORBIS[..other], &VOICE[first..]].concat();
        assert_eq!(links(&beside), Err(BadMedia::Mixed));
    }
}

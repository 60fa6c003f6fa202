//! One walk over a JPEG, from its start to its end, that copies what is needed to show it.
//!
//! The markers and the entropy-coded data between them are followed (ITU-T T.81, annex B). So the end of
//! the picture is found even if another picture, a film or a maker's records follow it. Searching for the
//! end backwards would find chance bytes of what follows.

use super::Stripped;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DNL: u8 = 0xdc;
const TEM: u8 = 0x01;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;

/// The application segments that stay, by their first bytes, and how many of their bytes stay. Programs
/// append to them.
const STAYS: [(u8, &[u8], usize); 4] = [
    // The density of pixels, without the thumbnail that may follow it.
    (APP0, b"JFIF\0", 14),
    // A picture of a film, which uses the standard's tables.
    (APP0, b"AVI1\0", 14),
    (APP2, b"ICC_PROFILE\0", usize::MAX),
    // How the colours are coded.
    (APP14, b"Adobe", 12),
];

/// Returns the first picture of a file without its metadata; `None` if it has no end.
pub(super) fn strip(jpeg: &[u8]) -> Option<Stripped<'_>> {
    let mut rest = jpeg.strip_prefix(&[0xff, SOI])?;
    let mut kept = Vec::with_capacity(jpeg.len());
    kept.extend([0xff, SOI]);
    let (mut exif, mut height_at) = (None, None);
    loop {
        let marker = next_marker(&mut rest)?;
        match marker {
            EOI => break,
            // These have no length. A restart has no meaning here.
            TEM | 0xd0..=0xd7 => continue,
            // Another picture begins before this one ended, or a reserved marker.
            SOI | 0x02..=0xbf => return None,
            _ => {}
        }
        let segment = segment(&mut rest)?;
        match marker {
            APP1 => exif = exif.or_else(|| segment.strip_prefix(b"Exif\0\0")),
            DNL => set_height(&mut kept, height_at, segment),
            _ => {
                if is_frame(marker) {
                    // After the marker, the length and the precision.
                    height_at = Some(kept.len() + 5);
                }
                if let Some(segment) = staying(marker, segment) {
                    write(&mut kept, marker, &segment);
                }
            }
        }
        if marker == SOS {
            kept.extend_from_slice(entropy(&mut rest)?);
        }
    }
    kept.extend([0xff, EOI]);
    Some(Stripped { bytes: kept, exif })
}

/// Returns the next marker. Skips bytes that belong to nothing, as decoders do, and fill bytes.
fn next_marker(rest: &mut &[u8]) -> Option<u8> {
    loop {
        let at = rest.iter().position(|byte| *byte == 0xff)?;
        let fill = rest[at..].iter().take_while(|byte| **byte == 0xff).count();
        let (marker, after) = rest[at + fill..].split_first()?;
        *rest = after;
        if *marker != 0 {
            return Some(*marker);
        }
    }
}

/// Returns the content of a segment.
fn segment<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length)).checked_sub(2)?;
    let (content, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(content)
}

/// Returns the data of a scan: everything up to a marker that is no restart. A byte FF of the data is
/// followed by 00.
fn entropy<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        at += rest[at..].iter().position(|byte| *byte == 0xff)?;
        let fill = rest[at..].iter().take_while(|byte| **byte == 0xff).count();
        match rest.get(at + fill)? {
            0x00 | 0xd0..=0xd7 => at += fill + 1,
            _ => break,
        }
    }
    let (data, after) = rest.split_at(at);
    *rest = after;
    Some(data)
}

/// Returns whether it is the header of a frame (B.2.2), which has the size.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Returns what stays of a segment.
fn staying(marker: u8, segment: &[u8]) -> Option<Vec<u8>> {
    // Frames, tables and scans.
    if matches!(marker, 0xc0..=0xdf) {
        return Some(segment.to_vec());
    }
    let mut known = STAYS.iter();
    let (_, name, length) =
        known.find(|(of, name, _)| *of == marker && segment.starts_with(name))?;
    let mut kept = segment[..segment.len().min(*length)].to_vec();
    if *name == b"JFIF\0" {
        // The size of the thumbnail.
        kept.iter_mut().skip(12).for_each(|byte| *byte = 0);
    }
    Some(kept)
}

fn write(kept: &mut Vec<u8>, marker: u8, segment: &[u8]) {
    kept.extend([0xff, marker]);
    let length = u16::try_from(segment.len() + 2).unwrap_or(u16::MAX);
    kept.extend(length.to_be_bytes());
    kept.extend_from_slice(segment);
}

/// Writes the number of lines, which a segment after the first scan defines (B.2.5), into the frame if it
/// has none. Few decoders know that segment.
fn set_height(kept: &mut [u8], height_at: Option<usize>, defined: &[u8]) {
    let height = height_at.and_then(|at| kept.get_mut(at..at + 2));
    if let (Some(height @ &mut [0, 0]), [high, low]) = (height, defined) {
        height.copy_from_slice(&[*high, *low]);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, marker, content);
        bytes
    }

    /// A picture of 16 lines, or of a number that is only told after its first scan.
    fn frame(lines: u8) -> Vec<u8> {
        segment(0xc2, &[8, 0, lines, 0, 16, 1, 1, 0x11, 0])
    }

    fn picture(parts: &[&[u8]]) -> Vec<u8> {
        [&[0xff, SOI], &parts.concat()[..], &[0xff, EOI]].concat()
    }

    fn stripped(jpeg: &[u8]) -> Option<Vec<u8>> {
        strip(jpeg).map(|stripped| stripped.bytes)
    }

    const SCAN: &[u8] = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0";
    /// Stuffed bytes, restarts and fill bytes.
    const DATA: &[u8] = b"ab\xff\0cd\xff\xd0e\xff\xff\xd7f\xff\xff\0\xff\0";

    #[test]
    fn scans_are_followed_to_the_end_of_the_first_picture() {
        let tables = segment(0xc4, &[0; 17]);
        let whole = picture(&[
            &frame(16),
            SCAN,
            DATA,
            &tables,
            SCAN,
            b"g\xff\0",
            SCAN,
            DATA,
        ]);
        assert_eq!(stripped(&whole), Some(whole.clone()));
        for behind in [
            &b"\0\0\0\x18ftypmp42 \xff\xda chance \xff\xd8\xff\xd9 bytes \xff\xda"[..],
            &whole,
            &whole[..whole.len() / 2],
            b"\0\0SEFT",
            b"\xff",
        ] {
            let followed = [&whole[..], behind].concat();
            assert_eq!(stripped(&followed), Some(whole.clone()), "{behind:?}");
        }
        for length in 0..whole.len() {
            assert_eq!(stripped(&whole[..length]), None, "cut after {length} bytes");
        }
    }

    #[test]
    fn only_named_segments_stay() {
        let jfif = b"JFIF\0\x01\x02\x01\0\x48\0\x48\0\0";
        let profile = segment(APP2, b"ICC_PROFILE\0\x01\x01profile");
        let adobe = segment(APP14, b"Adobe\0\x64\0\0\0\0\x01");
        let kept = picture(&[
            &segment(APP0, jfif),
            &profile,
            &adobe,
            &frame(16),
            SCAN,
            DATA,
        ]);
        let with_thumbnail = segment(APP0, b"JFIF\0\x01\x02\x01\0\x48\0\x48\x01\x01CANARY");
        let gone = [
            segment(APP0, b"JFXX\0\x10CANARY"),
            segment(APP1, b"Exif\0\0MM\0*CANARY"),
            segment(APP1, b"http://ns.adobe.com/xap/1.0/\0CANARY"),
            segment(APP2, b"MPF\0CANARY"),
            segment(APP2, b"urn:iso:std:iso:ts:21496:-1\0CANARY"),
            segment(0xe4, b"SamsungUniqueID CANARY"),
            segment(0xe6, b"GoPro\0CANARY"),
            segment(0xeb, b"JP\0\x01CANARY"),
            segment(0xed, b"Photoshop 3.0\08BIMCANARY"),
            segment(APP14, b"CANARY"),
            segment(0xf0, b"CANARY"),
            segment(0xfe, b"CANARY"),
            b"\xff\xff\xff\xfe\0\x08CANARY stray".to_vec(),
        ]
        .concat();
        let adobe = segment(APP14, b"Adobe\0\x64\0\0\0\0\x01CANARY");
        let came = picture(&[
            &with_thumbnail,
            &gone,
            &profile,
            &adobe,
            &frame(16),
            &gone,
            SCAN,
            DATA,
            &gone,
        ]);
        let found = strip(&came).unwrap();
        assert_eq!(found.bytes, kept);
        assert_eq!(found.exif, Some(&b"MM\0*CANARY"[..]));
    }

    #[test]
    fn a_number_of_lines_that_comes_late_is_put_where_it_belongs() {
        let lines = segment(DNL, &[0, 16]);
        let late = picture(&[&frame(0), SCAN, DATA, &lines, SCAN, DATA]);
        let early = picture(&[&frame(16), SCAN, DATA, SCAN, DATA]);
        assert_eq!(stripped(&late), Some(early));
    }

    #[test]
    fn what_no_picture_has_is_damage() {
        for bytes in [
            &b""[..],
            b"\xff\xd8",
            b"\xff\xd8\xff\xfe\0\x01",
            b"\x89PNG",
            &picture(&[&frame(16), SCAN, b"ab", &[0xff, SOI], SCAN, DATA]),
            &picture(&[&frame(16), SCAN, b"ab\xff\x02cd"]),
        ] {
            assert_eq!(stripped(bytes), None, "{bytes:?}");
        }
    }
}

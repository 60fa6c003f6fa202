//! MP3 and AAC without a container: frames, each with a header of its own (ISO/IEC 11172-3, 2.4.1.3;
//! 13818-7, 6.2). A header is short, and chance makes many. So two that fit must follow each other.

use std::io::{self, Read, Seek, SeekFrom};

use super::types::OCTETS;

pub(super) const MP3: &str = "audio/mpeg";
const AAC: &str = "audio/aac";
/// How far frames are searched behind a tag.
const WINDOW: u64 = 64 * 1024;
/// The most tags at the start of a file. Each may cost a read from the store.
const TAGS_MAX: usize = 8;

/// Bits per second in thousands: version 1, layers I to III; then the other versions, layer I, layers II
/// and III. The first and last index mean "free" and "forbidden".
const RATES: [[usize; 14]; 5] = [
    [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    mime_type: &'static str,
    size: usize,
    /// What is the same in every frame of a recording.
    fixed: [u8; 2],
}

impl Frame {
    fn at(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, ..] = *bytes else {
            return None;
        };
        if second & 0xf6 == 0xf0 {
            return Self::aac(bytes);
        }
        // Version: 2.5, forbidden, 2, 1. Layer: AAC's, III, II, I.
        let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
        let (rate, sampling) = (third >> 4, third >> 2 & 3);
        let fits = second & 0xe0 == 0xe0 && version != 1 && layer != 0 && sampling != 3;
        if !fits {
            return None;
        }
        let table = match (version, layer) {
            (3, layer) => usize::from(3 - layer),
            (_, 3) => 3,
            _ => 4,
        };
        let rate = RATES[table].get(usize::from(rate).checked_sub(1)?)? * 1000;
        let samples = [44_100, 48_000, 32_000][usize::from(sampling)]
            >> match version {
                3 => 0,
                2 => 1,
                _ => 2,
            };
        let padding = usize::from(third >> 1 & 1);
        let size = match (layer, version) {
            (3, _) => (12 * rate / samples + padding) * 4,
            (1, 0 | 2) => 72 * rate / samples + padding,
            _ => 144 * rate / samples + padding,
        };
        let fixed = [second & 0xfe, third & 0x0c];
        Some(Self {
            mime_type: MP3,
            size,
            fixed,
        })
    }

    fn aac(bytes: &[u8]) -> Option<Self> {
        let [_, second, third, fourth, fifth, sixth, ..] = *bytes else {
            return None;
        };
        let size =
            usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
        let fits = third >> 2 & 15 < 13 && size > 7;
        fits.then_some(Self {
            mime_type: AAC,
            size,
            fixed: [second & 0xf8, third & 0xfc],
        })
    }
}

/// Returns the type if `least` frames that fit follow each other here. A recording that ends with a frame
/// before that counts, too.
fn run(bytes: &[u8], least: usize) -> Option<&'static str> {
    let first = Frame::at(bytes)?;
    let (mut at, mut frame) = (0, first);
    for n in 1..least {
        at += frame.size;
        match bytes.get(at..) {
            Some([]) if n > 1 => break,
            Some(rest) => frame = Frame::at(rest).filter(|next| next.fixed == first.fixed)?,
            None => return None,
        }
    }
    Some(first.mime_type)
}

/// Returns the type of a file that begins with a frame.
pub(super) fn at_start(head: &[u8]) -> Option<&'static str> {
    run(head, 2)
}

/// Returns the type of a file with some other bytes before its first frame.
pub(super) fn behind_junk(bytes: &[u8]) -> Option<&'static str> {
    (0..bytes.len()).find_map(|at| run(&bytes[at..], 3))
}

/// Returns whether these bytes begin an ID3 tag of a version that there is.
pub(super) fn is_tag(bytes: &[u8]) -> bool {
    matches!(bytes, [b'I', b'D', b'3', 2..=4, ..])
}

/// Returns where the ID3 tags end that a file begins with (<https://id3.org/id3v2.4.0-structure>); `None`
/// if one does not say where it ends, or if there are too many. Fails if the file ends before.
pub(crate) fn behind_tags(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut at = 0;
    for _ in 0..=TAGS_MAX {
        let mut tag = [0; 10];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut tag)?;
        if !is_tag(&tag) {
            return Ok(Some(at));
        }
        let size = tag[6..].iter().try_fold(0, |size, byte| {
            (byte & 0x80 == 0).then_some(size << 7 | u64::from(*byte))
        });
        let Some(size) = size else {
            return Ok(None);
        };
        // A footer is as long as the header.
        at += 10 + size + if tag[5] & 0x10 == 0 { 0 } else { 10 };
    }
    Ok(None)
}

/// Returns the type of a file that begins with ID3 tags or a frame. A picture may make a tag long.
pub(super) fn behind_tag(file: &mut (impl Read + Seek)) -> Option<&'static str> {
    // A file that ends with its tag was cut.
    let Some(at) = behind_tags(file).ok()? else {
        return Some(OCTETS);
    };
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes).ok()?;
    if bytes.starts_with(b"fLaC") {
        return Some("audio/flac");
    }
    // Writers leave zeros behind a tag.
    let found = at_start(&bytes).or_else(|| behind_junk(&bytes));
    Some(found.unwrap_or(OCTETS))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Returns `count` silent frames with this header.
    fn frames(head: [u8; 4], count: usize) -> Vec<u8> {
        let size = Frame::at(&head).unwrap().size;
        let mut frame = head.to_vec();
        frame.resize(size, 0);
        frame.repeat(count)
    }

    #[test]
    fn every_version_and_layer_is_known_by_its_frames() {
        for (head, size) in [
            ([0xff, 0xfb, 0x90, 0], 417),
            // With a checksum.
            ([0xff, 0xfa, 0x90, 0], 417),
            // Version 2 at 24 kHz, and 2.5 at 8 kHz as on telephone lines.
            ([0xff, 0xf3, 0x84, 0], 192),
            ([0xff, 0xe3, 0x28, 0], 144),
            // Layers II and I.
            ([0xff, 0xfd, 0x90, 0], 522),
            ([0xff, 0xff, 0x90, 0], 312),
        ] {
            assert_eq!(Frame::at(&head).unwrap().size, size, "{head:x?}");
            assert_eq!(at_start(&frames(head, 2)), Some(MP3));
            assert_eq!(at_start(&frames(head, 1)), None, "one frame is too few");
            let late = [&b"\0junk\xff\xfb"[..], &frames(head, 3)].concat();
            assert_eq!((at_start(&late), behind_junk(&late)), (None, Some(MP3)));
        }
        // Free, forbidden, reserved.
        for head in [
            [0xff, 0xfb, 0x00, 0],
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0xff, 0xeb, 0x90, 0],
            [0xff, 0xc0, 0x90, 0],
        ] {
            assert_eq!(Frame::at(&head), None, "{head:x?}");
        }
    }

    #[test]
    fn aac_is_known_by_its_frames() {
        let mut frame = vec![0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc];
        frame.resize(16, 0);
        assert_eq!(at_start(&frame.repeat(2)), Some(AAC));
    }

    #[test]
    fn a_long_tag_is_skipped() {
        let song = frames([0xff, 0xfb, 0x90, 0], 3);
        let tag = |size: u8, body: usize| {
            let mut tag = b"ID3\x04\0\0\0\0".to_vec();
            tag.extend([size, 0]);
            tag.resize(10 + body, 0);
            tag
        };
        let long = tag(100, 12_800);
        let look = |bytes: Vec<u8>| behind_tag(&mut Cursor::new(bytes));
        assert_eq!(look([&long[..], &song].concat()), Some(MP3));
        assert_eq!(look([&long[..], &long, &song].concat()), Some(MP3));
        assert_eq!(look([&long[..], &[0; 900], &song].concat()), Some(MP3));
        assert_eq!(
            look([&long[..], b"fLaC and so on"].concat()),
            Some("audio/flac")
        );
        assert_eq!(
            look([&long[..], b"MZ and so on"].concat()),
            Some("application/octet-stream")
        );
        assert_eq!(look(tag(100, 500)), None, "the tag says more than there is");
    }

    /// A file that counts how often it is read.
    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            self.0.read(into)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn a_file_of_countless_tags_is_not_followed() {
        let tags = |count: usize| b"ID3\x04\0\0\0\0\0\0".repeat(count);
        let mut file = Counted(Cursor::new(tags(1000)), 0);
        assert_eq!(behind_tag(&mut file), Some(OCTETS));
        assert_eq!(file.1, TAGS_MAX + 1, "reads");
        let song = frames([0xff, 0xfb, 0x90, 0], 3);
        let few = [tags(TAGS_MAX), song].concat();
        assert_eq!(behind_tag(&mut Cursor::new(few)), Some(MP3));
        // Eight bits of a size, of which a tag has seven.
        let other = b"ID3\x04\0\0\0\0\x80\0 and so on";
        assert_eq!(behind_tag(&mut Cursor::new(other)), Some(OCTETS));
    }
}

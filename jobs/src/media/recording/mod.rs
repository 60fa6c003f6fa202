//! Recordings for `audio` messages: counts how long they play, joins their parts, takes Opus out of other
//! containers. Nothing is decoded here.
//!
//! | page | what it holds |
//! |---|---|
//! | here | makes a recording ready to be sent |
//! | `packets` | a recording taken apart by a library |
//! | `opus` | streams of Opus out of their containers, and as one stream again |

pub(super) mod opus;
pub(crate) mod packets;

use std::io::Cursor;

use passerelle_engine::media::Looks;

use self::packets::Packets;
use super::kinds::iso;
use crate::media::{error::BadMedia, ready::plain};

/// Returns the facts of a recording, and other bytes if it cannot be sent unchanged.
pub(super) fn audio(mime_type: &str, bytes: &[u8]) -> Result<(Option<Vec<u8>>, Looks), BadMedia> {
    if let Some(streams) = opus::read(mime_type, bytes) {
        let streams = streams?;
        let is_one = streams.len() == 1 && mime_type == OPUS;
        let coded = opus::joined(streams)?;
        let anew = if is_one { None } else { Some(coded.written()?) };
        let seconds = whole_seconds(coded.seconds());
        return Ok((
            anew,
            Looks {
                seconds,
                ..plain(OPUS)
            },
        ));
    }
    let seconds = match mime_type {
        film if iso::is(film) => iso_seconds(bytes)?,
        "audio/amr" => amr_seconds(bytes)?,
        "audio/mpeg" | "audio/aac" => counted(mime_type, bytes)?,
        // Nothing but Opus is taken out of another container.
        _ => return Err(BadMedia::Codec),
    };
    let seconds = seconds.and_then(whole_seconds);
    Ok((
        None,
        Looks {
            seconds,
            ..plain(mime_type)
        },
    ))
}

const OPUS: &str = "audio/ogg; codecs=opus";

/// Returns how long an ISO media file plays, or an error if it is cut off or has no sound.
pub(super) fn iso_seconds(bytes: &[u8]) -> Result<Option<f64>, BadMedia> {
    let length = iso::length(&mut Cursor::new(bytes)).ok_or(BadMedia::Damaged)?;
    if length.is_cut || !length.has_sound {
        return Err(BadMedia::Damaged);
    }
    Ok(length.seconds)
}

/// Counts the frames of a recording. Unknown if the library is stricter than phones are.
fn counted(mime_type: &str, bytes: &[u8]) -> Result<Option<f64>, BadMedia> {
    let mut packets = match Packets::of(mime_type, bytes) {
        Ok(packets) => packets,
        // A tag, and the file ends before the first frame.
        Err(_) if bytes.starts_with(b"ID3") => return Err(BadMedia::Damaged),
        Err(_) => return Ok(None),
    };
    while packets.next()?.is_some() {}
    Ok(packets.seconds())
}

/// Bytes of a frame of 20 ms behind its first byte, by the frame's type (RFC 4867, section 5.3; 3GPP TS
/// 26.101, table 1a). The other types are reserved.
const AMR: [usize; 9] = [12, 13, 15, 17, 19, 20, 26, 31, 5];
const AMR_HEAD: &[u8] = b"#!AMR\n";

/// Counts the frames of AMR. The last one may be cut off, as recorders do that are stopped.
fn amr_seconds(bytes: &[u8]) -> Result<Option<f64>, BadMedia> {
    // Several channels are rare: their number and the order of frames are not read.
    let Some(mut rest) = bytes.strip_prefix(AMR_HEAD) else {
        return Ok(None);
    };
    let mut frames = 0_u32;
    while let Some(first) = rest.first() {
        let size = match first >> 3 & 15 {
            15 => 0,
            kind => *AMR.get(usize::from(kind)).ok_or(BadMedia::Damaged)?,
        };
        let Some(behind) = rest.get(1 + size..) else {
            break;
        };
        rest = behind;
        frames += 1;
    }
    Ok((frames > 0).then(|| f64::from(frames) / 50.0))
}

/// Rounds up to whole seconds. `None` if that is no length of a recording.
pub(super) fn whole_seconds(seconds: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number between 0 and a day"
    )]
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| seconds.ceil().max(1.0) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SONG: &[u8] = include_bytes!("../../../../tests/assets/song.mp3");
    const VOICE: &[u8] = include_bytes!("../../../../tests/assets/voice.ogg");

    fn seconds(mime_type: &str, bytes: &[u8]) -> Option<u32> {
        audio(mime_type, bytes).unwrap().1.seconds
    }

    #[test]
    fn a_recording_says_how_long_it_plays() {
        assert_eq!(seconds("audio/mpeg", SONG), Some(3));
        assert_eq!(seconds("audio/mpeg", &[SONG, SONG].concat()), Some(5));
        assert_eq!(seconds(OPUS, VOICE), Some(3));
        // It says in its first frame how many there are.
        let cut = audio("audio/mpeg", &SONG[..SONG.len() / 2]).map(|_| ());
        assert_eq!(cut, Err(BadMedia::Damaged));
        let tagged = [
            &b"ID3\x04\0\0\0\0\0\x04tags"[..],
            b"ID3\x04\0\0\0\0\0\x04tags",
            SONG,
        ]
        .concat();
        assert_eq!(seconds("audio/mpeg", &tagged), Some(3));
        let cut = audio("audio/mpeg", &tagged[..tagged.len() / 2]).map(|_| ());
        assert_eq!(cut, Err(BadMedia::Damaged));
        assert_eq!(
            audio("audio/mpeg", b"ID3\x03\0\0\0\0\x7f\0 cut").map(|_| ()),
            Err(BadMedia::Damaged)
        );
        // Nothing but a brand.
        let brand = b"\0\0\0\x14ftypM4A \0\0\0\0M4A ";
        assert_eq!(
            audio("audio/mp4", brand).map(|_| ()),
            Err(BadMedia::Damaged)
        );
        let second = [AMR_HEAD, &[0x3c; 32].repeat(100)].concat();
        assert_eq!(seconds("audio/amr", &second), Some(2));
        assert_eq!(seconds("audio/amr", AMR_HEAD), None);
        assert_eq!(
            audio("audio/amr", b"#!AMR\n\x60").map(|_| ()),
            Err(BadMedia::Damaged)
        );
    }

    #[test]
    fn one_stream_of_opus_stays_as_it_is_and_several_become_one() {
        assert_eq!(audio(OPUS, VOICE).unwrap().0, None);
        let (joined, looks) = audio(OPUS, &VOICE.repeat(2)).unwrap();
        assert_eq!(looks.seconds, Some(6));
        let streams = opus::read(OPUS, &joined.unwrap()).unwrap().unwrap();
        assert_eq!(streams.len(), 1);
    }

    proptest! {
        /// Whatever byte was changed, reading ends with an answer.
        #[test]
        fn a_bent_recording_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            for (mime_type, whole) in [("audio/mpeg", SONG), (OPUS, VOICE)] {
                let mut bent = whole.to_vec();
                // Everything that matters is in the first bytes.
                bent[at.index(600)] = byte;
                bent.truncate(cut.index(bent.len()) + 1);
                let _ = audio(mime_type, &bent);
            }
        }
    }
}

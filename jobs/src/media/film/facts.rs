//! What a video file says about itself, and whether a phone plays it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use mp4parse::{
    AudioCodecSpecific, CodecType, SampleEntry, Track, TrackType, VideoCodecSpecific,
    VideoSampleEntry,
};
use passerelle_engine::media::Looks;
use serde::{Deserialize, Serialize};

use crate::media::{kinds::iso, recording::whole_seconds};

/// The H.264 profiles that phones play, with 8 bits and 4:2:0 (ITU-T H.264, A.2: Baseline, Main, High).
const PROFILES: [u8; 3] = [66, 77, 100];
/// How many boxes are looked at before `moov` or `mdat`.
const BOXES_MAX: usize = 64;

/// What a video file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// `None` if the file does not say, as one that is cut between two fragments.
    pub(super) seconds: Option<u32>,
    /// The size as shown, after the rotation that the file asks for.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Whether a phone plays it: H.264, with AAC if there is sound.
    pub(super) plays: bool,
    /// Its description is complete and comes first, so that a phone can play it while it loads.
    pub(super) begins_at_once: bool,
}

impl Facts {
    pub(super) fn looks(self, mime_type: &str) -> Looks {
        Looks {
            mime_type: mime_type.to_owned(),
            width: Some(self.width),
            height: Some(self.height),
            seconds: self.seconds,
            ..Looks::default()
        }
    }
}

/// Why nothing could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unread {
    /// The file is cut off.
    CutOff,
    /// It is not MP4, or an MP4 that the parser does not know.
    Other,
}

/// Reads a video file. May take any time and memory, or crash: call it only in a confined process.
pub(crate) fn facts_of(film: &mut File, mime_type: &str) -> Result<Facts, Unread> {
    if !mime_type.starts_with("video/") || !iso::is(mime_type) {
        return Err(Unread::Other);
    }
    read(film)
}

fn read(film: &mut (impl Read + Seek)) -> Result<Facts, Unread> {
    let begins_at_once = describes_itself_first(film);
    film.rewind().map_err(|_| Unread::Other)?;
    let length = iso::length(film).ok_or(Unread::Other)?;
    if length.is_cut {
        return Err(Unread::CutOff);
    }
    film.rewind().map_err(|_| Unread::Other)?;
    let context = mp4parse::read_mp4(film).map_err(|error| match error {
        mp4parse::Error::UnexpectedEOF => Unread::CutOff,
        _ => Unread::Other,
    })?;
    let of = |kind: TrackType| {
        let all = context.tracks.iter();
        all.filter(move |track| track.track_type == kind)
    };
    let video = of(TrackType::Video).next().ok_or(Unread::Other)?;
    let entry = entries(video).find_map(|entry| match entry {
        SampleEntry::Video(video) => Some(video),
        _ => None,
    });
    let plays = entry.is_some() && entries(video).all(is_h264) && of(TrackType::Audio).all(is_aac);
    // There is no size for a codec that the parser does not know; a phone does not play it anyway.
    let (width, height) = entry.map_or((0, 0), |entry| shown(entry, video));
    Ok(Facts {
        seconds: length.seconds.and_then(whole_seconds),
        width,
        height,
        plays,
        // A fragmented file states its duration only as it goes on.
        begins_at_once: begins_at_once && context.mvex.is_none(),
    })
}

fn entries(track: &Track) -> impl Iterator<Item = &SampleEntry> {
    let stsd = track.stsd.iter();
    stsd.flat_map(|stsd| stsd.descriptions.iter())
}

fn is_h264(entry: &SampleEntry) -> bool {
    let SampleEntry::Video(video) = entry else {
        return false;
    };
    // ISO/IEC 14496-15, 5.3.3.1: the profile is the second byte.
    let VideoCodecSpecific::AVCConfig(config) = &video.codec_specific else {
        return false;
    };
    video.codec_type == CodecType::H264
        && config
            .get(1)
            .is_some_and(|profile| PROFILES.contains(profile))
}

fn is_aac(track: &Track) -> bool {
    let aac = |entry: &SampleEntry| match entry {
        SampleEntry::Audio(audio) => {
            audio.codec_type == CodecType::AAC
                && matches!(audio.codec_specific, AudioCodecSpecific::ES_Descriptor(_))
        }
        _ => false,
    };
    entries(track).next().is_some() && entries(track).all(aac)
}

/// Returns the size as shown. A camera that is held upright writes landscape pictures and a matrix that
/// rotates them (ISO/IEC 14496-12, 8.3.2).
fn shown(entry: &VideoSampleEntry, track: &Track) -> (u32, u32) {
    let (width, height) = (entry.width.into(), entry.height.into());
    let matrix = track.tkhd.as_ref().map(|tkhd| tkhd.matrix);
    let turned = matrix.is_some_and(|by| by.a == 0 && by.d == 0 && by.b != 0);
    if turned {
        (height, width)
    } else {
        (width, height)
    }
}

/// Returns whether `moov` comes before `mdat` (ISO/IEC 14496-12, 6.2.3).
fn describes_itself_first(film: &mut (impl Read + Seek)) -> bool {
    for _ in 0..BOXES_MAX {
        let mut head = [0; 8];
        if film.read_exact(&mut head).is_err() {
            return false;
        }
        let [a, b, c, d, name @ ..] = head;
        match &name {
            b"moov" => return true,
            b"mdat" => return false,
            _ => {}
        }
        let rest = match u32::from_be_bytes([a, b, c, d]) {
            1 => {
                let mut long = [0; 8];
                let read = film.read_exact(&mut long).ok();
                read.and_then(|()| u64::from_be_bytes(long).checked_sub(16))
            }
            short => u64::from(short).checked_sub(8),
        };
        let rest = rest.and_then(|rest| i64::try_from(rest).ok());
        let Some(rest) = rest else {
            return false;
        };
        if film.seek(SeekFrom::Current(rest)).is_err() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const FILM: &[u8] = include_bytes!("../../../../tests/assets/film.mp4");
    const HEVC: &[u8] = include_bytes!("../../../../tests/assets/hevc.mp4");

    fn of(bytes: &[u8]) -> Result<Facts, Unread> {
        read(&mut Cursor::new(bytes))
    }

    #[test]
    fn a_film_says_how_long_it_plays_and_its_size() {
        let expected = Facts {
            seconds: Some(2),
            width: 160,
            height: 120,
            plays: true,
            begins_at_once: true,
        };
        assert_eq!(of(FILM), Ok(expected));
        assert!(!of(HEVC).unwrap().plays);
        assert_eq!(of(&FILM[..1000]), Err(Unread::CutOff));
        assert!(of(b"").is_err());
    }

    fn place(of: &[u8]) -> usize {
        FILM.windows(4).position(|name| name == of).unwrap()
    }

    #[test]
    fn a_film_that_no_phone_shows_well_is_known() {
        // Ten bits per sample: the profile is the sixth byte of `avcC`, counted with its size and name.
        let mut deep = FILM.to_vec();
        deep[place(b"avcC") + 5] = 110;
        assert!(!of(&deep).unwrap().plays);
        // A matrix on the first track that rotates by 90 degrees.
        let mut turned = FILM.to_vec();
        let at = place(b"tkhd") + 4 + 40;
        turned[at..at + 20].copy_from_slice(&[
            0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0,
        ]);
        let facts = of(&turned).unwrap();
        assert_eq!((facts.width, facts.height), (120, 160));
        // A file whose `moov` comes last.
        let (moov, mdat) = (place(b"moov") - 4, place(b"mdat") - 4);
        assert!(moov < mdat, "the test's film is a good one");
        let late = [&FILM[..moov], &FILM[mdat..], &FILM[moov..mdat]].concat();
        let facts = of(&late).unwrap();
        assert!(facts.plays && !facts.begins_at_once);
    }

    proptest! {
        /// Whatever byte was changed, reading ends with an answer.
        #[test]
        fn a_bent_film_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bent = FILM.to_vec();
            // Everything that matters is in the first bytes.
            bent[at.index(600)] = byte;
            bent.truncate(cut.index(bent.len()) + 1);
            let _ = of(&bent);
        }
    }
}

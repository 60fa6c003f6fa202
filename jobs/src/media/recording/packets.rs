//! A recording taken apart into the packets of its first sound track.

use std::io::{Cursor, ErrorKind};

use symphonia::core::{
    audio::Channels,
    codecs::{CODEC_TYPE_NULL, CodecParameters},
    errors::Error,
    formats::{FormatOptions, FormatReader, Packet},
    io::MediaSourceStream,
    meta::MetadataOptions,
    probe::Hint,
};

use crate::media::{error::BadMedia, kinds::frames};

/// How much shorter than announced a recording may be, in hundredths. Encoders round.
const MISSING_MAX: u64 = 2;
/// How far the first frame of an MP3 is searched behind its tag: it has at most 1441 bytes.
const FIRST_FRAME: usize = 4096;
/// Packets of one file: it has no more bytes, but may announce empty packets without end.
const PACKETS_MAX: usize = 16 * 1024 * 1024;

/// The most samples a second, channels, and samples of one channel in a packet. Decoders make room for
/// as many as a file announces.
pub const RATE_MAX: u32 = 384_000;
pub const CHANNELS_MAX: usize = 8;
const PACKET_MAX: u64 = 1024 * 1024;

/// Returns an error if a recording announces more than a recorder writes.
pub(crate) fn in_bounds(
    rate: Option<u32>,
    channels: Option<usize>,
    packet: Option<u64>,
) -> Result<(), BadMedia> {
    let fits = rate.is_none_or(|rate| (1..=RATE_MAX).contains(&rate))
        && channels.is_none_or(|channels| (1..=CHANNELS_MAX).contains(&channels))
        && packet.is_none_or(|packet| packet <= PACKET_MAX);
    fits.then_some(()).ok_or(BadMedia::Damaged)
}

/// The packets of a recording, in order.
pub(crate) struct Packets {
    format: Box<dyn FormatReader>,
    track: u32,
    pub(crate) codec: CodecParameters,
    /// Where the sound ends that was read so far, in ticks of the track.
    end: u64,
    announced: Option<u64>,
    count: usize,
}

impl Packets {
    /// Opens a recording of a type that is known.
    pub(crate) fn of(mime_type: &str, bytes: &[u8]) -> Result<Self, BadMedia> {
        let source = MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), <_>::default());
        let (formats, metadata) = (FormatOptions::default(), MetadataOptions::default());
        let probe = symphonia::default::get_probe();
        let probed = probe.format(&Hint::new(), source, &formats, &metadata);
        let format = probed.map_err(|error| why(&error))?.format;
        let tracks = format.tracks();
        let mut sounds = tracks.iter();
        let track = sounds.find(|track| track.codec_params.codec != CODEC_TYPE_NULL);
        let track = track.or(tracks.first()).ok_or(BadMedia::Damaged)?;
        let (id, codec) = (track.id, track.codec_params.clone());
        in_bounds(
            codec.sample_rate,
            codec.channels.map(Channels::count),
            codec.max_frames_per_packet,
        )?;
        let announced = codec.n_frames.filter(|_| announces(mime_type, bytes));
        Ok(Self {
            format,
            track: id,
            codec,
            end: 0,
            announced,
            count: 0,
        })
    }

    /// Returns the next packet; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, BadMedia> {
        loop {
            self.count += 1;
            if self.count > PACKETS_MAX {
                return Err(BadMedia::Damaged);
            }
            match self.format.next_packet() {
                Ok(packet) if packet.track_id() == self.track => {
                    self.end = self.end.max(packet.ts().saturating_add(packet.dur()));
                    return Ok(Some(packet));
                }
                Ok(_) => {}
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return if self.is_cut() {
                        Err(BadMedia::Damaged)
                    } else {
                        Ok(None)
                    };
                }
                Err(error) => return Err(why(&error)),
            }
        }
    }

    /// Returns how long the packets play that were read so far.
    pub(crate) fn seconds(&self) -> Option<f64> {
        let base = self.codec.time_base?;
        let time = base.calc_time(self.end);
        #[expect(clippy::cast_precision_loss, reason = "seconds, rounded anyway")]
        let seconds = time.seconds as f64 + time.frac;
        (self.end > 0).then_some(seconds)
    }

    /// Returns whether there is less sound than the file announces.
    fn is_cut(&self) -> bool {
        self.announced.is_some_and(|announced| {
            let least = announced - announced / 100 * MISSING_MAX;
            self.end < least && self.end > 0
        })
    }
}

/// Returns whether such a file says how long it plays. The library estimates it for other files.
fn announces(mime_type: &str, bytes: &[u8]) -> bool {
    match mime_type {
        "audio/flac" | "audio/aiff" => true,
        "audio/mpeg" => has_header(bytes),
        // Recorders that cannot go back leave the largest number as the length.
        "audio/wav" => bytes
            .get(4..8)
            .is_some_and(|size| size[3] < 0x7f && size != [0; 4]),
        _ => false,
    }
}

/// Returns whether the first frame of an MP3 is a header that says how many there are. It follows the side
/// information, whose size depends on version and channels.
fn has_header(bytes: &[u8]) -> bool {
    let Ok(Some(tags)) = frames::behind_tags(&mut Cursor::new(bytes)) else {
        return false;
    };
    let tags = usize::try_from(tags).unwrap_or(usize::MAX);
    let start = bytes.get(tags..).unwrap_or_default();
    let start = &start[..start.len().min(FIRST_FRAME)];
    let words = start.windows(4).enumerate();
    let mut marks = words.filter(|(_, word)| matches!(*word, b"Xing" | b"Info"));
    marks.any(|(at, _)| {
        let begins = |side: usize| {
            let frame = at.checked_sub(side).and_then(|at| start.get(at..at + 2));
            frame.is_some_and(|frame| frame[0] == 0xff && frame[1] & 0xe0 == 0xe0)
        };
        [13, 21, 36, 15, 23, 38].into_iter().any(begins)
    })
}

/// Returns what an error of the library means.
pub(crate) fn why(error: &Error) -> BadMedia {
    match error {
        Error::Unsupported(_) => BadMedia::Codec,
        _ => BadMedia::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_announces_is_bounded() {
        let most = |rate, channels, packet| in_bounds(Some(rate), Some(channels), Some(packet));
        assert!(most(RATE_MAX, CHANNELS_MAX, PACKET_MAX).is_ok());
        assert!(
            in_bounds(None, None, None).is_ok(),
            "not every header says it"
        );
        for (rate, channels, packet) in [
            (RATE_MAX + 1, 1, 1),
            (0, 1, 1),
            (8_000, CHANNELS_MAX + 1, 1),
            (8_000, 0, 1),
            (8_000, 1, PACKET_MAX + 1),
        ] {
            assert_eq!(most(rate, channels, packet), Err(BadMedia::Damaged));
        }
    }

    /// Returns a tenth of a second of silence as a WAV file of one channel.
    fn wav(rate: u32) -> Vec<u8> {
        let sound = vec![0; rate as usize / 10 * 2];
        let size = u32::try_from(sound.len()).unwrap();
        let mut wav = b"RIFF".to_vec();
        wav.extend((36 + size).to_le_bytes());
        wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wav.extend(rate.to_le_bytes());
        wav.extend((rate * 2).to_le_bytes());
        wav.extend(b"\x02\0\x10\0data");
        wav.extend(size.to_le_bytes());
        [wav, sound].concat()
    }

    #[test]
    fn a_recording_just_beyond_the_bound_is_refused_before_it_is_decoded() {
        let fits = Packets::of("audio/wav", &wav(RATE_MAX));
        assert!(fits.is_ok());
        let beyond = Packets::of("audio/wav", &wav(RATE_MAX + 1));
        assert_eq!(beyond.err(), Some(BadMedia::Damaged));
    }
}

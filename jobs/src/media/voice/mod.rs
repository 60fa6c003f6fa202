//! Voice notes: one channel of Opus in Ogg, as phones record them, with a waveform of the loudness.
//!
//! | page | what it holds |
//! |---|---|
//! | here | converts a recording to a voice note |
//! | `decode` | any recording as one channel of 16,000 samples a second |
//! | `opus` | decodes and encodes Opus, and makes packets that every phone plays |

mod decode;
mod opus;

use passerelle_engine::media::Looks;

use crate::media::{
    error::BadMedia,
    ready::Ready,
    recording::{
        opus::{self as opus_streams, Coded, Stream},
        whole_seconds,
    },
};

/// Samples a second of a voice note.
const RATE: u32 = 16_000;
/// The longest voice note, in seconds.
const SECONDS_MAX: usize = 15 * 60;
/// How many numbers make up the waveform, as WhatsApp's clients draw it.
const WAVEFORM: usize = 64;

/// One channel, [`RATE`] samples a second.
type Pcm = Vec<f32>;

/// Converts a recording to a voice note. One channel of Opus keeps its frames.
pub(super) fn voice(mime_type: &str, bytes: &[u8]) -> Result<Ready, BadMedia> {
    let (coded, pcm) = if let Some(streams) = opus_streams::read(mime_type, bytes) {
        of_opus(streams?)?
    } else {
        let pcm = decode::decoded(mime_type, bytes)?;
        (opus::encoded(&pcm)?, pcm)
    };
    if pcm.is_empty() {
        return Err(BadMedia::Damaged);
    }
    let looks = Looks {
        mime_type: "audio/ogg; codecs=opus".to_owned(),
        seconds: whole_seconds(coded.seconds()),
        waveform: waveform(&pcm),
        ..Looks::default()
    };
    Ok(Ready {
        bytes: coded.written()?.into(),
        looks,
    })
}

/// Returns the streams as one, and their sound. Several channels become one.
fn of_opus(streams: Vec<Stream>) -> Result<(Coded, Pcm), BadMedia> {
    let mut pcm = Pcm::new();
    for stream in &streams {
        opus::decode(stream, &mut pcm)?;
    }
    let is_mono = streams.iter().all(|stream| stream.head.channel_count == 1);
    let coded = if is_mono {
        opus::repacked(opus_streams::joined(streams)?)?
    } else {
        opus::encoded(&pcm)?
    };
    Ok((coded, pcm))
}

/// Returns an error once the recording is too long.
fn holds(pcm: &Pcm) -> Result<(), BadMedia> {
    let most = SECONDS_MAX * RATE as usize;
    let fits = pcm.len() <= most;
    fits.then_some(()).ok_or(BadMedia::TooLong(SECONDS_MAX))
}

/// Returns the loudness as 64 numbers from 0 to 100; the loudest part is 100.
fn waveform(pcm: &Pcm) -> Vec<u8> {
    let loudness = |part: usize| {
        let (from, to) = (
            part * pcm.len() / WAVEFORM,
            (part + 1) * pcm.len() / WAVEFORM,
        );
        let part = &pcm[from..to];
        #[expect(clippy::cast_precision_loss, reason = "at most some millions")]
        let count = part.len().max(1) as f32;
        part.iter().map(|sample| sample.abs()).sum::<f32>() / count
    };
    let loudness: Vec<_> = (0..WAVEFORM).map(loudness).collect();
    let loudest = loudness.iter().copied().fold(f32::EPSILON, f32::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of 0 to 100"
    )]
    let scaled = |loudness: f32| (loudness / loudest * 100.0).round().clamp(0.0, 100.0) as u8;
    loudness.into_iter().map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: &[u8] = include_bytes!("../../../../tests/assets/voice.ogg");
    const SONG: &[u8] = include_bytes!("../../../../tests/assets/song.mp3");
    const VORBIS: &[u8] = include_bytes!("../../../../tests/assets/vorbis.ogg");

    const OPUS: &str = "audio/ogg; codecs=opus";

    #[test]
    fn a_voice_note_keeps_its_sound_and_says_how_loud_it_is() {
        let ready = voice(OPUS, VOICE).unwrap();
        assert_eq!(ready.looks.seconds, Some(3));
        let again = voice(OPUS, &ready.bytes).unwrap();
        assert_eq!(again.bytes, ready.bytes, "what is ready stays as it is");
        let waveform = &ready.looks.waveform;
        assert_eq!(waveform.len(), 64);
        assert!(waveform.contains(&100) && waveform.iter().all(|loud| *loud <= 100));
        // The sound swells once a second.
        let (loudest, softest) = (waveform.iter().max(), waveform.iter().min());
        assert!(loudest.unwrap() - softest.unwrap() > 50, "{waveform:?}");
    }

    /// Returns the seconds of a voice note, which must be one channel.
    fn heard(ready: &Ready) -> usize {
        let streams = opus_streams::read(OPUS, &ready.bytes).unwrap().unwrap();
        assert_eq!((streams.len(), streams[0].head.channel_count), (1, 1));
        let mut pcm = Pcm::new();
        opus::decode(&streams[0], &mut pcm).unwrap();
        assert!(pcm.iter().any(|sample| sample.abs() > 0.05), "silence");
        pcm.len() / RATE as usize
    }

    #[test]
    fn other_recordings_become_voice_notes() {
        let vorbis = "audio/ogg; codecs=vorbis";
        for (mime_type, bytes, seconds) in [
            ("audio/mpeg", SONG, 2),
            (vorbis, VORBIS, 1),
            // Joined, as the standards of both allow.
            (vorbis, &VORBIS.repeat(3), 3),
            (OPUS, &VOICE.repeat(2), 6),
        ] {
            let ready = voice(mime_type, bytes).unwrap();
            let heard = heard(&ready);
            assert!((seconds - 1..=seconds + 1).contains(&heard), "{heard} s");
        }
    }

    #[test]
    fn what_is_no_recording_is_damaged() {
        for (mime_type, bytes) in [
            (OPUS, &b"OggS\0\x02 cut off"[..]),
            (OPUS, &VOICE[..60]),
            (OPUS, &VOICE[..VOICE.len() / 2]),
            ("audio/ogg; codecs=vorbis", &VORBIS[..VORBIS.len() / 2]),
        ] {
            assert_eq!(voice(mime_type, bytes).map(|_| ()), Err(BadMedia::Damaged));
        }
        let both = [VOICE, VORBIS].concat();
        assert_eq!(voice(OPUS, &both).map(|_| ()), Err(BadMedia::Mixed));
    }

    #[test]
    fn silence_has_a_flat_picture() {
        assert_eq!(waveform(&vec![0.0; 1000]), vec![0; 64]);
        assert_eq!(waveform(&vec![0.5; 10]).len(), 64);
    }
}

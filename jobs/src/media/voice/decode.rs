//! Decodes any recording to one channel of 16,000 samples a second.

use rubato::{Fft, FixedSync, Resampler as _, audioadapter_buffers::direct::InterleavedSlice};
use symphonia::core::{
    audio::SampleBuffer,
    codecs::{Decoder, DecoderOptions},
    errors::Error,
    formats::Packet,
};

use super::{BadMedia, Pcm, RATE, holds, opus::mix};
use crate::media::{
    kinds::{iso, ogg},
    recording::{
        iso_seconds,
        packets::{Packets, in_bounds, why},
    },
};

/// Samples that are resampled at once.
const CHUNK: usize = 1024;
/// Damaged packets in a row after which the recording counts as damaged.
const DAMAGED_MAX: usize = 100;

/// Decodes a recording in one of the supported formats.
pub(super) fn decoded(mime_type: &str, bytes: &[u8]) -> Result<Pcm, BadMedia> {
    if !mime_type.starts_with("audio/ogg") {
        if iso::is(mime_type) {
            iso_seconds(bytes)?;
        }
        return decoded_part(mime_type, bytes);
    }
    let mut all = Pcm::new();
    for part in ogg::links(bytes)? {
        all.extend(decoded_part(mime_type, &bytes[part])?);
        holds(&all)?;
    }
    Ok(all)
}

fn decoded_part(mime_type: &str, bytes: &[u8]) -> Result<Pcm, BadMedia> {
    let mut packets = Packets::of(mime_type, bytes)?;
    let codecs = symphonia::default::get_codecs();
    let decoder = codecs.make(&packets.codec, &DecoderOptions::default());
    let mut decoder = decoder.map_err(|_| BadMedia::Codec)?;
    let (mut sound, mut bad) = (Sound::default(), 0);
    while let Some(packet) = packets.next()? {
        if decode_packet(&mut *decoder, &packet, &mut sound)? {
            bad = 0;
        } else {
            bad += 1;
            if bad > DAMAGED_MAX {
                return Err(BadMedia::Damaged);
            }
        }
    }
    sound.end()
}

/// Decodes a packet; returns whether that was possible. A damaged packet is left out, as players do.
fn decode_packet(
    decoder: &mut dyn Decoder,
    packet: &Packet,
    sound: &mut Sound,
) -> Result<bool, BadMedia> {
    let heard = match decoder.decode(packet) {
        Ok(heard) => heard,
        Err(Error::DecodeError(_)) => return Ok(false),
        Err(error) => return Err(why(&error)),
    };
    let (spec, room) = (*heard.spec(), heard.capacity() as u64);
    in_bounds(Some(spec.rate), Some(spec.channels.count()), Some(room))?;
    let mut samples = SampleBuffer::<f32>::new(room, spec);
    samples.copy_interleaved_ref(heard);
    sound.add(samples.samples(), spec.channels.count(), spec.rate)?;
    Ok(true)
}

/// What was decoded so far.
#[derive(Default)]
struct Sound {
    /// One channel at the recording's rate: the samples that do not fill a chunk yet.
    waiting: Pcm,
    at_rate: Option<AtRate>,
    done: Pcm,
}

struct AtRate {
    resampler: Fft<f32>,
    /// Samples a second of the recording.
    rate: u32,
    taken: usize,
}

impl Sound {
    fn add(&mut self, samples: &[f32], channels: usize, rate: u32) -> Result<(), BadMedia> {
        if channels == 0 || rate == 0 {
            return Err(BadMedia::Damaged);
        }
        mix(samples, channels, &mut self.waiting);
        if self.at_rate.is_none() {
            let (from, to) = (
                usize::try_from(rate).map_err(BadMedia::damaged)?,
                RATE as usize,
            );
            self.at_rate = Some(AtRate {
                resampler: Fft::new(from, to, CHUNK, 1, FixedSync::Input)
                    .map_err(BadMedia::damaged)?,
                rate,
                taken: 0,
            });
        }
        self.bring_to_rate()?;
        holds(&self.done)
    }

    fn bring_to_rate(&mut self) -> Result<(), BadMedia> {
        let Some(at) = &mut self.at_rate else {
            return Ok(());
        };
        let chunk = at.resampler.input_frames_next();
        let whole = self.waiting.len() / chunk * chunk;
        for part in self.waiting[..whole].chunks_exact(chunk) {
            let part = InterleavedSlice::new(part, 1, chunk).map_err(BadMedia::damaged)?;
            let part = at
                .resampler
                .process(&part, None)
                .map_err(BadMedia::damaged)?;
            self.done.extend(part.take_data());
        }
        at.taken += whole;
        self.waiting.drain(..whole);
        Ok(())
    }

    /// Returns all of it, without the resampler's delay.
    fn end(mut self) -> Result<Pcm, BadMedia> {
        let Some(at) = &self.at_rate else {
            return Err(BadMedia::Damaged);
        };
        let (rate, delay) = (u64::from(at.rate), at.resampler.output_delay());
        let chunk = at.resampler.input_frames_next();
        let sound = (at.taken + self.waiting.len()) as u64 * u64::from(RATE) / rate;
        let sound = usize::try_from(sound).map_err(BadMedia::damaged)?;
        // Feeds silence until the last sample has come out of the resampler.
        while self.done.len() < sound + delay {
            let filled = self.waiting.len().next_multiple_of(chunk).max(chunk);
            self.waiting.resize(filled, 0.0);
            self.bring_to_rate()?;
        }
        self.done.drain(..delay);
        self.done.truncate(sound);
        Ok(self.done)
    }
}

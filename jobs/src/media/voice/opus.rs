//! Opus: decoded, encoded, and in packets that every phone plays.
//!
//! Phones record voice notes as packets of several frames, of code 3 (RFC 6716, section 3.2.5). Encoders
//! write one frame a packet; for such a file an iPhone was reported to say that it is no longer
//! available (<https://github.com/WhiskeySockets/Baileys/pull/2648>). We have no iPhone to check this.
//! So frames are gathered into packets of 60 ms; no frame is changed.

use opus_pure::{
    Application, MAX_PACKET_BYTES, MAX_PACKET_SAMPLES, OpusDecoder, OpusEncoder, OpusHead,
    OpusMSDecoder, Repacketizer, Trim, packet::samples_48k, repacketizer::pad_packet,
};

use super::{BadMedia, Pcm, RATE, holds};
use crate::media::recording::opus::{Coded, Stream};

/// Samples in 60 ms, at the 48,000 a second that Ogg counts in.
const PACKET: usize = 2880;
/// Samples of a frame of 20 ms.
const FRAME: usize = RATE as usize / 50;
/// Bits a second for encoding, as phones record.
const BITRATE: i32 = 20_000;

/// A decoder of one stream, or of several that together make many channels.
enum Decoder {
    Single(Box<OpusDecoder>),
    Many(OpusMSDecoder),
}

impl Decoder {
    fn of(head: &OpusHead, rate: i32) -> Result<Self, BadMedia> {
        if head.mapping_family == 0 {
            let decoder = head.decoder(rate).map_err(BadMedia::damaged)?;
            return Ok(Self::Single(Box::new(decoder)));
        }
        let channels = usize::from(head.channel_count);
        let decoder = OpusMSDecoder::new(rate, channels, head.mapping_family);
        let mut decoder = decoder.map_err(|_| BadMedia::Codec)?;
        let layout = decoder.layout();
        let standard = layout.nb_streams == usize::from(head.stream_count)
            && layout.nb_coupled_streams == usize::from(head.coupled_count)
            && layout.mapping == head.channel_mapping;
        for stream in decoder.streams_mut() {
            stream.gain_q8 = head.output_gain_q8.into();
        }
        standard
            .then_some(Self::Many(decoder))
            .ok_or(BadMedia::Codec)
    }

    fn decode(&mut self, packet: &[u8], into: &mut [f32]) -> Result<usize, BadMedia> {
        match self {
            Self::Single(decoder) => decoder.decode(packet, MAX_PACKET_SAMPLES, into),
            Self::Many(decoder) => decoder.decode(packet, MAX_PACKET_SAMPLES, into),
        }
        .map_err(BadMedia::damaged)
    }
}

/// Decodes one stream and appends its sound, as one channel.
pub(super) fn decode(stream: &Stream, pcm: &mut Pcm) -> Result<(), BadMedia> {
    let head = &stream.head;
    let channels = usize::from(head.channel_count);
    let rate = i32::try_from(RATE).map_err(BadMedia::damaged)?;
    let mut decoder = Decoder::of(head, rate)?;
    let mut trim = Trim::new(head, rate, channels).map_err(BadMedia::damaged)?;
    let mut block = vec![0.0; MAX_PACKET_SAMPLES * channels];
    for packet in &stream.packets {
        let heard = decoder.decode(&packet.data, &mut block)? * channels;
        mix(trim.keep(packet, &block[..heard]), channels, pcm);
        holds(pcm)?;
    }
    Ok(())
}

/// Appends the mean of the channels.
pub(super) fn mix(samples: &[f32], channels: usize, into: &mut Pcm) {
    #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
    let share = 1.0 / channels as f32;
    let frames = samples.chunks_exact(channels);
    into.extend(frames.map(|frame| frame.iter().sum::<f32>() * share));
}

/// Returns the same frames in packets of 60 ms.
pub(super) fn repacked(read: Coded) -> Result<Coded, BadMedia> {
    let packets = gathered(&read.packets)?;
    Ok(Coded { packets, ..read })
}

/// Gathers frames of one kind into packets of code 3 of at most 60 ms.
fn gathered(packets: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, BadMedia> {
    let (mut done, mut open, mut held) = (Vec::new(), Repacketizer::new(), 0);
    for packet in packets {
        let samples = samples_48k(packet).map_err(BadMedia::damaged)?;
        let fits = held + samples <= PACKET;
        // The open packet refuses frames of another kind, such as those of a pause.
        if !fits || open.cat(packet).is_err() {
            close(&mut open, &mut done)?;
            open.cat(packet).map_err(BadMedia::damaged)?;
            held = 0;
        }
        held += samples;
    }
    close(&mut open, &mut done)?;
    Ok(done)
}

fn close(open: &mut Repacketizer, done: &mut Vec<Vec<u8>>) -> Result<(), BadMedia> {
    if open.nb_frames() == 0 {
        return Ok(());
    }
    let mut packet = open.out().map_err(BadMedia::damaged)?;
    if packet[0] & 3 != 3 {
        // One or two frames: padding, even of length zero, exists only in code 3.
        let padded = packet.len() + 2;
        pad_packet(&mut packet, padded).map_err(BadMedia::damaged)?;
    }
    done.push(packet);
    open.clear();
    Ok(())
}

/// Encodes the sound.
pub(super) fn encoded(pcm: &Pcm) -> Result<Coded, BadMedia> {
    let rate = i32::try_from(RATE).map_err(BadMedia::damaged)?;
    let mut encoder = OpusEncoder::new(rate, 1, Application::Voip).map_err(BadMedia::damaged)?;
    encoder.bitrate_bps = BITRATE;
    let head = OpusHead::for_encoder(&encoder, RATE);
    let ticks = 48_000 / RATE as usize;
    // Silence flushes the encoder's delay (RFC 7845, section 4.4).
    let behind = usize::from(head.pre_skip).div_ceil(ticks);
    let frames = (pcm.len() + behind).div_ceil(FRAME);
    let mut packets = Vec::with_capacity(frames);
    let mut packet = vec![0; MAX_PACKET_BYTES];
    for n in 0..frames {
        let from = (n * FRAME).min(pcm.len());
        let mut frame = pcm[from..(from + FRAME).min(pcm.len())].to_vec();
        frame.resize(FRAME, 0.0);
        let size = encoder
            .encode(&frame, FRAME, &mut packet)
            .map_err(BadMedia::damaged)?;
        packets.push(packet[..size].to_vec());
    }
    let sound = usize::from(head.pre_skip) + pcm.len() * ticks;
    repacked(Coded {
        head,
        packets,
        surplus: (frames * FRAME * ticks).saturating_sub(sound) as u64,
        sound: (pcm.len() * ticks) as u64,
    })
}

#[cfg(test)]
mod tests {
    use opus_pure::packet::frame_count;
    use proptest::prelude::*;

    use super::*;
    use crate::media::recording::opus;

    const OPUS: &str = "audio/ogg; codecs=opus";

    /// Returns packets of one frame each: a kind (RFC 6716, table 2) and its bytes.
    fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let kind = prop_oneof![4 => Just(9_u8), 1 => 0..32_u8];
        let packet = (kind, prop::collection::vec(any::<u8>(), 1..400));
        prop::collection::vec(packet, 1..60).prop_map(|packets| {
            let packets = packets.into_iter();
            packets
                .map(|(kind, frame)| [&[kind << 3][..], &frame].concat())
                .collect()
        })
    }

    /// Returns each frame, with its kind.
    fn frames(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for packet in packets {
            let mut open = Repacketizer::new();
            open.cat(packet).unwrap();
            for n in 0..open.nb_frames() {
                frames.push(open.out_range(n, n + 1).unwrap());
            }
        }
        frames
    }

    proptest! {
        #[test]
        fn no_frame_is_touched_and_every_packet_is_of_code_3(packets in packets()) {
            let gathered = gathered(&packets).unwrap();
            prop_assert_eq!(frames(&gathered), packets.clone());
            for packet in &gathered {
                prop_assert_eq!(packet[0] & 3, 3);
                prop_assert!(samples_48k(packet).unwrap() <= PACKET);
            }
            // Frames of one kind are gathered as far as possible.
            let of_one = packets.iter().all(|packet| packet[0] == packets[0][0]);
            if of_one && packets[0][0] >> 3 == 9 {
                prop_assert_eq!(gathered.len(), packets.len().div_ceil(3));
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = opus::read(OPUS, &bytes);
        }
    }

    #[test]
    fn what_is_encoded_is_heard_again_sample_by_sample_in_length() {
        let pcm: Pcm = (0_u16..20_000)
            .map(|n| (f32::from(n) * 0.2).sin() * 0.5)
            .collect();
        let written = encoded(&pcm).unwrap().written().unwrap();
        let streams = opus::read(OPUS, &written).unwrap().unwrap();
        let mut heard = Pcm::new();
        decode(&streams[0], &mut heard).unwrap();
        assert_eq!(heard.len(), pcm.len());
        let packets = opus::joined(streams).unwrap();
        assert!(
            packets
                .packets
                .iter()
                .all(|packet| frame_count(packet).unwrap() <= 3)
        );
        let loud = |pcm: &Pcm| pcm.iter().map(|sample| sample.abs()).sum::<f32>();
        assert!((loud(&heard) / loud(&pcm) - 1.0).abs() < 0.2);
        let mut decoder = OpusDecoder::new(16_000, 1).unwrap();
        let mut block = vec![0.0; MAX_PACKET_SAMPLES];
        for packet in &packets.packets {
            decoder
                .decode(packet, MAX_PACKET_SAMPLES, &mut block)
                .unwrap();
        }
    }
}

//! Opus streams: out of Ogg (RFC 7845), one or several joined ones, and out of WebM and MP4; and as one
//! stream in Ogg again. No frame is changed.

use std::io::Cursor;

use opus_pure::{OggOpusReader, OggOpusWriter, OggPacket, OpusHead, packet::samples_48k};
use symphonia::core::codecs::CODEC_TYPE_OPUS;

use super::packets::Packets;
use crate::media::{error::BadMedia, kinds::ogg};

/// One logical stream as it was in its file.
pub(crate) struct Stream {
    pub(crate) head: OpusHead,
    pub(crate) packets: Vec<OggPacket>,
}

/// Reads the streams of a file; `None` if it holds no Opus.
pub(crate) fn read(mime_type: &str, bytes: &[u8]) -> Option<Result<Vec<Stream>, BadMedia>> {
    match mime_type {
        "audio/ogg; codecs=opus" => Some(from_ogg(bytes)),
        "audio/webm" | "audio/x-matroska" | "audio/mp4" => from_container(mime_type, bytes),
        _ => None,
    }
}

/// Reads every stream. They must be alike, because one stream has one header.
fn from_ogg(bytes: &[u8]) -> Result<Vec<Stream>, BadMedia> {
    let mut streams: Vec<Stream> = Vec::new();
    for link in ogg::links(bytes)? {
        let link = &bytes[link];
        let mut reader = match OggOpusReader::new(Cursor::new(link)) {
            Ok(reader) => reader,
            Err(_) if streams.is_empty() => return Err(BadMedia::Damaged),
            Err(_) => return Err(BadMedia::Mixed),
        };
        let head = reader.head().clone();
        if streams
            .first()
            .is_some_and(|first| !alike(&first.head, &head))
        {
            return Err(BadMedia::Mixed);
        }
        let packets = reader.packets().collect::<Result<Vec<_>, _>>();
        let packets = packets.map_err(BadMedia::damaged)?;
        streams.push(Stream { head, packets });
    }
    Ok(streams)
}

/// Returns whether packets of both play with one header. The rate of the source is only a note, and what
/// is skipped at the start is handled in [`joined`].
fn alike(one: &OpusHead, other: &OpusHead) -> bool {
    let same = |head: &OpusHead| OpusHead {
        pre_skip: 0,
        input_sample_rate: 0,
        ..head.clone()
    };
    same(one) == same(other)
}

/// Reads the Opus of a container other than Ogg.
fn from_container(mime_type: &str, bytes: &[u8]) -> Option<Result<Vec<Stream>, BadMedia>> {
    let packets = Packets::of(mime_type, bytes).ok()?;
    let is_opus = packets.codec.codec == CODEC_TYPE_OPUS;
    is_opus.then(|| Ok(vec![all(packets, mime_type == "audio/mp4")?]))
}

fn all(mut packets: Packets, is_mp4: bool) -> Result<Stream, BadMedia> {
    let header = packets.codec.extra_data.as_deref().unwrap_or_default();
    let head = head(header, is_mp4).ok_or(BadMedia::Damaged)?;
    let mut all = Vec::new();
    while let Some(packet) = packets.next()? {
        all.push(OggPacket::new(packet.data.into_vec(), -1, false));
    }
    Ok(Stream { head, packets: all })
}

/// Reads a header as WebM has it (RFC 7845, section 5.1), and as MP4 has it: with the same fields the other
/// way round.
fn head(bytes: &[u8], is_big_endian: bool) -> Option<OpusHead> {
    let fields = bytes.strip_prefix(b"OpusHead")?;
    let two = |at: usize| -> Option<[u8; 2]> {
        let mut two: [u8; 2] = fields.get(at..at + 2)?.try_into().ok()?;
        if is_big_endian {
            two.reverse();
        }
        Some(two)
    };
    let (channel_count, mapping_family) = (*fields.get(1)?, *fields.get(10)?);
    let several = (mapping_family != 0).then(|| fields.get(11..13)).flatten();
    let mapping = fields.get(13..13 + usize::from(channel_count));
    let (stream_count, coupled_count, channel_mapping) = match (mapping_family, several, mapping) {
        (0, ..) if (1..=2).contains(&channel_count) => (1, channel_count - 1, Vec::new()),
        (1.., Some(&[streams, coupled]), Some(mapping)) => (streams, coupled, mapping.to_vec()),
        _ => return None,
    };
    Some(OpusHead {
        channel_count,
        pre_skip: u16::from_le_bytes(two(2)?),
        input_sample_rate: 48_000,
        output_gain_q8: i16::from_le_bytes(two(8)?),
        mapping_family,
        stream_count,
        coupled_count,
        channel_mapping,
    })
}

/// One stream, ready to be written.
pub(crate) struct Coded {
    pub(crate) head: OpusHead,
    pub(crate) packets: Vec<Vec<u8>>,
    /// Samples at the end that are no sound, because the file holds whole packets.
    pub(crate) surplus: u64,
    /// Samples that are sound. A joint adds less than a packet that is none.
    pub(crate) sound: u64,
}

/// Makes one stream of several that are alike. Packets that only hold what players skip at the start and
/// the end of a stream are left out at the joints; the rest of it, less than a packet, stays.
pub(crate) fn joined(streams: Vec<Stream>) -> Result<Coded, BadMedia> {
    let streams = streams.into_iter().filter(|one| !one.packets.is_empty());
    let mut coded: Option<Coded> = None;
    for Stream { head, packets } in streams {
        let lengths = packets.iter().map(|packet| samples_48k(&packet.data));
        let lengths = lengths
            .collect::<Result<Vec<_>, _>>()
            .map_err(BadMedia::damaged)?;
        let length = |n: usize| lengths[n] as u64;
        let said = packets.iter().rev().find(|packet| packet.page_granule >= 0);
        let said = said.and_then(|packet| u64::try_from(packet.page_granule).ok());
        let total: u64 = lengths.iter().map(|length| *length as u64).sum();
        let (mut from, mut to) = (0, packets.len());
        let mut surplus = said.map_or(0, |said| total.saturating_sub(said));
        let sound = total.saturating_sub(surplus + u64::from(head.pre_skip));
        while to > 1 && length(to - 1) <= surplus {
            to -= 1;
            surplus -= length(to);
        }
        let mut skipped = u64::from(head.pre_skip);
        while coded.is_some() && from + 1 < to && length(from) <= skipped {
            skipped -= length(from);
            from += 1;
        }
        let kept = packets.into_iter().take(to).skip(from);
        let kept = kept.map(|packet| packet.data);
        let open = coded.get_or_insert_with(|| Coded {
            head,
            packets: Vec::new(),
            surplus: 0,
            sound: 0,
        });
        open.packets.extend(kept);
        open.sound += sound;
        open.surplus = surplus;
    }
    coded.ok_or(BadMedia::Damaged)
}

impl Coded {
    /// Returns how long it plays.
    pub(crate) fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "seconds, rounded anyway")]
        let ticks = self.sound as f64;
        ticks / 48_000.0
    }

    /// Writes it as Ogg.
    pub(crate) fn written(&self) -> Result<Vec<u8>, BadMedia> {
        let mut writer =
            OggOpusWriter::new(Vec::new(), self.head.clone()).map_err(BadMedia::damaged)?;
        let last = self.packets.len().saturating_sub(1);
        for (n, packet) in self.packets.iter().enumerate() {
            let coded = samples_48k(packet).map_err(BadMedia::damaged)? as u64;
            let sound = coded.saturating_sub(if n == last { self.surplus } else { 0 });
            let sound = u32::try_from(sound).map_err(BadMedia::damaged)?;
            writer
                .write_packet_with_duration(packet, sound)
                .map_err(BadMedia::damaged)?;
        }
        writer.finish().map_err(BadMedia::damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: &[u8] = include_bytes!("../../../../tests/assets/voice.ogg");
    const VORBIS: &[u8] = include_bytes!("../../../../tests/assets/vorbis.ogg");
    const OPUS: &str = "audio/ogg; codecs=opus";

    fn of(bytes: &[u8]) -> Result<Coded, BadMedia> {
        read(OPUS, bytes).unwrap().and_then(joined)
    }

    #[test]
    fn joined_streams_become_one_that_is_as_long_as_all_of_them() {
        let one = of(VOICE).unwrap();
        let three = of(&VOICE.repeat(3)).unwrap();
        let (one, all) = (one.seconds(), three.seconds());
        assert!((all - 3.0 * one).abs() < 0.001, "{one} {all}");
        let written = three.written().unwrap();
        assert_eq!(ogg::links(&written).unwrap().len(), 1);
        let again = of(&written).unwrap();
        assert_eq!(again.packets, three.packets);
        // What is skipped and surplus at the two joints is heard now.
        assert!((all..all + 0.1).contains(&again.seconds()));
    }

    #[test]
    fn streams_that_do_not_fit_each_other_are_refused() {
        let mut stereo = of(VOICE).unwrap();
        stereo.head.channel_count = 2;
        stereo.head.coupled_count = 1;
        let mut louder = of(VOICE).unwrap();
        louder.head.output_gain_q8 = 256;
        for other in [
            stereo.written().unwrap(),
            louder.written().unwrap(),
            VORBIS.to_vec(),
        ] {
            let both = [VOICE, &other].concat();
            assert_eq!(of(&both).map(|_| ()), Err(BadMedia::Mixed));
        }
        // What is only a note may differ.
        let mut noted = of(VOICE).unwrap();
        noted.head.input_sample_rate = 8_000;
        noted.head.pre_skip = 1_000;
        assert!(of(&[VOICE, &noted.written().unwrap()].concat()).is_ok());
    }

    #[test]
    fn what_is_skipped_at_a_joint_is_left_out_as_far_as_whole_packets_go() {
        let mut late = of(VOICE).unwrap();
        let each = samples_48k(&late.packets[0]).unwrap();
        late.head.pre_skip = u16::try_from(each * 2 + 5).unwrap();
        let count = late.packets.len();
        let late = late.written().unwrap();
        assert_eq!(of(&late).unwrap().packets.len(), count);
        assert_eq!(
            of(&[VOICE, &late].concat()).unwrap().packets.len(),
            count * 2 - 2
        );
    }

    #[test]
    fn a_header_is_read_in_both_byte_orders() {
        let mono = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
        assert_eq!(head(mono, false).unwrap().pre_skip, 312);
        let turned = b"OpusHead\0\x02\x01\x38\0\0\xbb\x80\0\0\0";
        let turned = head(turned, true).unwrap();
        assert_eq!((turned.pre_skip, turned.channel_count), (312, 2));
        let several = b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\x01\x02\x01\0\x02\x01";
        assert_eq!(head(several, false).unwrap().channel_mapping, [0, 2, 1]);
        for end in 0..several.len() {
            assert_eq!(head(&several[..end], false), None);
        }
    }
}

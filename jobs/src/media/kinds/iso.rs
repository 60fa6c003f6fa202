//! ISO media files (ISO/IEC 14496-12): MP4, 3GP, QuickTime, in one piece or in fragments. The tracks say
//! what a file is; brands only name the family.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

use super::{
    boxes::{Boxes, child, inside, number, versioned},
    text::is_text,
};

const MP4: &str = "video/mp4";
const QUICKTIME: &str = "video/quicktime";
/// Boxes that are looked at before the description of tracks. Each may cost a read from the store.
const BOXES_BEFORE: usize = 100;
/// Boxes that are looked at in one file: fragments come in pairs, about one a second.
const BOXES_MAX: usize = 200_000;

/// Returns the type of an ISO media file by its brand, before its tracks are known.
pub(super) fn by_brand(head: &[u8]) -> Option<&'static str> {
    let kind = head.get(4..8)?;
    if [&b"moov"[..], b"mdat", b"wide", b"pnot"].contains(&kind) {
        // Old QuickTime files have no brand.
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let fits = size == 1 || size >= 8;
        return (fits && !is_text(head)).then_some(QUICKTIME);
    }
    if kind != b"ftyp" {
        return None;
    }
    let brand = head.get(8..12)?;
    // Pictures have the structure, too, but no tracks; the library knows them by all of their brands.
    let drawn = infer::get(head).map(|found| found.mime_type());
    let drawn = drawn.filter(|found| found.starts_with("image/"));
    Some(match brand {
        b"crx " => "image/x-canon-cr3",
        b"mif1" | b"msf1" | b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"avif" | b"avis"
        | b"miaf" | b"MiHE" => drawn.unwrap_or("image/heif"),
        b"jp2 " | b"jpx " | b"jpm " => "image/jp2",
        [b'3', b'g', b'2', _] => "video/3gpp2",
        [b'3', b'g', ..] => "video/3gpp",
        b"qt  " => QUICKTIME,
        b"M4A " | b"M4B " | b"M4P " => "audio/mp4",
        _ => MP4,
    })
}

/// Returns whether it is one of the types that [`look`] tells apart.
pub(crate) fn is(mime_type: &str) -> bool {
    matches!(
        mime_type,
        MP4 | QUICKTIME | "video/3gpp" | "video/3gpp2" | "audio/mp4" | "audio/3gpp" | "audio/3gpp2"
    )
}

/// Returns the type of a file by its tracks; `None` if it has none that can be read.
pub(super) fn look(by_brand: &'static str, file: &mut (impl Read + Seek)) -> Option<&'static str> {
    let mut boxes = Boxes::of(file)?;
    let mut before = 0;
    let moov = loop {
        let next = boxes.next()?;
        if &next.name == b"moov" {
            break boxes.body(&next)?;
        }
        before += 1;
        if before > BOXES_BEFORE {
            return None;
        }
    };
    let tracks = tracks(&moov);
    let has = |handler: &[u8; 4]| tracks.values().any(|track| track.handler == *handler);
    Some(match (has(b"vide"), has(b"soun"), by_brand) {
        (false, true, "video/3gpp") => "audio/3gpp",
        (false, true, "video/3gpp2") => "audio/3gpp2",
        (false, true, _) => "audio/mp4",
        (true, _, "audio/mp4") => MP4,
        _ => by_brand,
    })
}

/// How long a file plays, and whether it is whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Length {
    /// `None` if it does not say.
    pub(crate) seconds: Option<f64>,
    /// Whether it ends before its last box does.
    pub(crate) is_cut: bool,
    pub(crate) has_sound: bool,
}

/// Reads how long the pictures play, or the sound where it is alone: what the index says, or else all
/// fragments together.
pub(crate) fn length(file: &mut (impl Read + Seek)) -> Option<Length> {
    let mut boxes = Boxes::of(file)?;
    let (mut tracks_of, mut is_whole) = (BTreeMap::new(), false);
    let mut is_cut = false;
    for _ in 0..BOXES_MAX {
        if boxes.is_done() {
            is_whole = true;
            break;
        }
        let Some(next) = boxes.next() else {
            break;
        };
        is_cut |= next.end > boxes.size;
        match (&next.name, boxes.is_within(&next)) {
            (b"moov", true) => tracks_of = tracks(&boxes.body(&next)?),
            (b"moof", true) => add_fragment(&mut tracks_of, &boxes.body(&next)?),
            _ => {}
        }
    }
    let has = |handler: &[u8; 4]| tracks_of.values().any(|track| track.handler == *handler);
    let (is_film, has_sound) = (has(b"vide"), has(b"soun"));
    let played = tracks_of
        .values()
        .filter(|track| !is_film || &track.handler == b"vide");
    let seconds = played.filter_map(Track::seconds).fold(0.0, f64::max);
    Some(Length {
        seconds: (is_whole && !is_cut && seconds > 0.0).then_some(seconds),
        is_cut,
        has_sound,
    })
}

/// A track: its kind and its length.
#[derive(Debug, Default)]
struct Track {
    handler: [u8; 4],
    /// Ticks in a second.
    scale: u32,
    /// Ticks of the track without its fragments.
    listed: u64,
    /// Ticks of the samples that the index lists.
    in_index: u64,
    /// Ticks of the samples in fragments.
    in_fragments: u64,
    /// Ticks of a sample in a fragment that says nothing else.
    each: u64,
}

impl Track {
    fn seconds(&self) -> Option<f64> {
        let ticks = self.listed.checked_add(self.in_fragments)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds, rounded anyway")]
        (self.scale > 0).then(|| ticks as f64 / f64::from(self.scale))
    }
}

/// Returns the tracks of a `moov`, by their ids.
fn tracks(moov: &[u8]) -> BTreeMap<u32, Track> {
    let mut tracks = BTreeMap::new();
    for (_, track) in inside(moov).filter(|(name, _)| name == b"trak") {
        let Some(id) = child(track, *b"tkhd").and_then(|header| {
            let (version, rest) = versioned(header)?;
            number(rest, if version == 1 { 16 } else { 8 })
        }) else {
            continue;
        };
        let Some(media) = child(track, *b"mdia") else {
            continue;
        };
        let handler = child(media, *b"hdlr").and_then(|handler| handler.get(8..12));
        let (scale, listed) = child(media, *b"mdhd").and_then(times).unwrap_or_default();
        tracks.insert(
            id,
            Track {
                handler: handler
                    .and_then(|name| name.try_into().ok())
                    .unwrap_or_default(),
                scale,
                listed,
                in_index: in_index(media).unwrap_or_default(),
                ..Track::default()
            },
        );
    }
    let extends = child(moov, *b"mvex").unwrap_or_default();
    for (_, header) in inside(extends).filter(|(name, _)| name == b"trex") {
        let track = number(header, 4).and_then(|id| tracks.get_mut(&id));
        if let (Some(track), Some(each)) = (track, number(header, 12)) {
            track.each = each.into();
            // Some writers say the length of all fragments in the header, others nothing.
            track.listed = track.in_index;
        }
    }
    tracks
}

/// Reads the time scale and the duration of an `mdhd`.
fn times(header: &[u8]) -> Option<(u32, u64)> {
    let (version, rest) = versioned(header)?;
    if version == 1 {
        let long = rest.get(20..28)?.try_into().ok()?;
        let ticks = u64::from_be_bytes(long);
        return Some((number(rest, 16)?, if ticks == u64::MAX { 0 } else { ticks }));
    }
    let ticks = number(rest, 12)?;
    Some((
        number(rest, 8)?,
        if ticks == u32::MAX { 0 } else { ticks.into() },
    ))
}

/// Adds up the samples of an `stts`.
fn in_index(media: &[u8]) -> Option<u64> {
    let table = child(child(media, *b"minf")?, *b"stbl")?;
    let entries = child(table, *b"stts")?.get(8..)?.chunks_exact(8);
    let ticks = entries.map(|entry| {
        let (count, each) = (number(entry, 0), number(entry, 4));
        u64::from(count.unwrap_or_default()).saturating_mul(each.unwrap_or_default().into())
    });
    Some(ticks.fold(0, u64::saturating_add))
}

/// Adds the samples of a `moof` to its tracks.
fn add_fragment(tracks: &mut BTreeMap<u32, Track>, moof: &[u8]) {
    for (_, fragment) in inside(moof).filter(|(name, _)| name == b"traf") {
        let Some(header) = child(fragment, *b"tfhd") else {
            continue;
        };
        let Some(track) = number(header, 4).and_then(|id| tracks.get_mut(&id)) else {
            continue;
        };
        let flags = number(header, 0).unwrap_or_default();
        // An offset and an index may come before the duration (8.8.7).
        let before = 8 * usize::from(flags & 1 != 0) + 4 * usize::from(flags & 2 != 0);
        let own = (flags & 8 != 0)
            .then(|| number(header, 8 + before))
            .flatten();
        let each = own.map_or(track.each, u64::from);
        for (_, run) in inside(fragment).filter(|(name, _)| name == b"trun") {
            let ticks = run_ticks(run, each).unwrap_or_default();
            track.in_fragments = track.in_fragments.saturating_add(ticks);
        }
    }
}

/// Returns the ticks of the samples of a `trun` (8.8.8).
fn run_ticks(run: &[u8], each: u64) -> Option<u64> {
    let (flags, count) = (number(run, 0)?, number(run, 4)?);
    if flags & 0x100 == 0 {
        return u64::from(count).checked_mul(each);
    }
    let size = 4 * [0x100, 0x200, 0x400, 0x800]
        .iter()
        .filter(|flag| flags & **flag != 0)
        .count();
    let first = 8 + 4 * usize::from(flags & 1 != 0) + 4 * usize::from(flags & 4 != 0);
    let samples = run.get(first..)?.chunks_exact(size).take(count as usize);
    Some(
        samples
            .filter_map(|sample| number(sample, 0))
            .map(u64::from)
            .sum(),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(name: [u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes()[..], &name, body].concat()
    }

    fn track(id: u32, handler: [u8; 4], scale: u32, ticks: u32) -> Vec<u8> {
        let header = [&[0; 12][..], &id.to_be_bytes(), &[0; 68]].concat();
        let times = [
            &[0; 12][..],
            &scale.to_be_bytes(),
            &ticks.to_be_bytes(),
            &[0; 4],
        ]
        .concat();
        let kind = [&[0; 8][..], &handler, &[0; 13]].concat();
        let media = [boxed(*b"mdhd", &times), boxed(*b"hdlr", &kind)].concat();
        boxed(
            *b"trak",
            &[boxed(*b"tkhd", &header), boxed(*b"mdia", &media)].concat(),
        )
    }

    fn file(brand: [u8; 4], tracks: &[Vec<u8>]) -> Vec<u8> {
        let brand = boxed(*b"ftyp", &[&brand[..], &[0; 4], b"isom"].concat());
        [
            brand,
            boxed(*b"mdat", &[0; 40]),
            boxed(*b"moov", &tracks.concat()),
        ]
        .concat()
    }

    fn sound() -> Vec<u8> {
        track(1, *b"soun", 8_000, 20_000)
    }

    fn looked(bytes: &[u8]) -> Option<&'static str> {
        look(by_brand(bytes)?, &mut Cursor::new(bytes))
    }

    #[test]
    fn the_tracks_decide_whatever_the_brand() {
        let film = || track(2, *b"vide", 600, 1200);
        for brand in [b"mp42", b"iso5", b"isom", b"M4A ", b"dash", b"zzzz"] {
            assert_eq!(looked(&file(*brand, &[sound()])), Some("audio/mp4"));
            assert_eq!(looked(&file(*brand, &[sound(), film()])), Some("video/mp4"));
        }
        assert_eq!(looked(&file(*b"3gp5", &[sound()])), Some("audio/3gpp"));
        assert_eq!(looked(&file(*b"3g2a", &[sound()])), Some("audio/3gpp2"));
        assert_eq!(looked(&file(*b"3gp5", &[film()])), Some("video/3gpp"));
        assert_eq!(looked(&file(*b"qt  ", &[film()])), Some("video/quicktime"));
        let unbranded = file(*b"qt  ", &[film(), sound()])[20..].to_vec();
        assert_eq!(looked(&unbranded), Some("video/quicktime"));
        assert_eq!(looked(&file(*b"mp42", &[])), Some("video/mp4"));
        assert_eq!(
            by_brand(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
            Some("image/heif")
        );
    }

    #[test]
    fn a_length_is_said_by_the_index_or_counted_over_fragments() {
        let of = |bytes: &[u8]| length(&mut Cursor::new(bytes)).unwrap();
        let whole = file(*b"mp42", &[sound()]);
        assert_eq!(of(&whole).seconds, Some(2.5));
        let cut = of(&whole[..whole.len() - 1]);
        assert!(cut.is_cut && cut.seconds.is_none());
        let extends = boxed(
            *b"trex",
            &[
                &[0; 4][..],
                &1_u32.to_be_bytes(),
                &[0; 4],
                &160_u32.to_be_bytes(),
                &[0; 8],
            ]
            .concat(),
        );
        let mut live = file(
            *b"iso5",
            &[track(1, *b"soun", 8_000, 0), boxed(*b"mvex", &extends)],
        );
        // No fragment yet: nothing is known.
        assert_eq!(
            of(&live),
            Length {
                seconds: None,
                is_cut: false,
                has_sound: true
            }
        );
        let fragment = |header: Vec<u8>, run: Vec<u8>| {
            let traf = [boxed(*b"tfhd", &header), boxed(*b"trun", &run)].concat();
            [
                boxed(*b"moof", &boxed(*b"traf", &traf)),
                boxed(*b"mdat", &[0; 9]),
            ]
            .concat()
        };
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        // 50 samples of the default length, 25 of the fragment's own, and two that say it themselves.
        live.extend(fragment(numbers(&[0, 1]), numbers(&[0, 50])));
        live.extend(fragment(numbers(&[8, 1, 320]), numbers(&[0, 25])));
        live.extend(fragment(
            numbers(&[0, 1]),
            numbers(&[0x301, 2, 0, 4_000, 7, 4_000, 7]),
        ));
        assert_eq!(of(&live).seconds, Some(3.0));
        for end in 0..live.len() {
            let _ = (length(&mut Cursor::new(&live[..end])), looked(&live[..end]));
        }
    }
}

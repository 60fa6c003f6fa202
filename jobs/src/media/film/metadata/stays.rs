//! What of a video file stays.

use crate::media::film::boxes::MediaBox;

/// The boxes that stay, of those around them. `free`, `skip` and `wide` stay everywhere, emptied.
pub(super) const TOP: [&[u8; 4]; 9] = [
    b"ftyp", b"styp", b"pdin", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"ssix",
];
pub(super) const MOVIE: [&[u8; 4]; 4] = [b"mvhd", b"trak", b"mvex", b"iods"];
pub(super) const TRACK: [&[u8; 4]; 4] = [b"tkhd", b"edts", b"tapt", b"mdia"];
pub(super) const MEDIA: [&[u8; 4]; 4] = [b"mdhd", b"hdlr", b"minf", b"elng"];
pub(super) const MEDIA_INFORMATION: [&[u8; 4]; 6] =
    [b"vmhd", b"smhd", b"gmhd", b"hdlr", b"dinf", b"stbl"];
pub(super) const SAMPLE_TABLE: [&[u8; 4]; 20] = [
    b"stsd", b"stts", b"ctts", b"cslg", b"stss", b"stps", b"stsz", b"stz2", b"stsc", b"stco",
    b"co64", b"stsh", b"sdtp", b"padb", b"stdp", b"subs", b"sgpd", b"sbgp", b"saiz", b"saio",
];
pub(super) const FRAGMENT: [&[u8; 4]; 2] = [b"mfhd", b"traf"];
pub(super) const TRACK_FRAGMENT: [&[u8; 4]; 9] = [
    b"tfhd", b"tfdt", b"trun", b"sdtp", b"subs", b"sgpd", b"sbgp", b"saiz", b"saio",
];
pub(super) const PADDING: [&[u8; 4]; 3] = [b"free", b"skip", b"wide"];

/// The kinds of tracks that stay; others hold positions, sensors or texts.
pub(super) const TRACKS: [&[u8]; 2] = [b"vide", b"soun"];
/// How brands begin that name a format.
pub(super) const BRANDS: [&[u8]; 11] = [
    b"iso", b"mp4", b"avc", b"M4", b"qt", b"3g", b"dash", b"msd", b"msi", b"cmf", b"f4v",
];
/// What ffmpeg writes: its version, and names that it gives to all tracks.
const FFMPEG: [&[u8]; 5] = [b"Lavf", b"Lavc", b"FFMP", b"VideoHandler", b"SoundHandler"];

/// Returns whether it is one of ffmpeg's names, perhaps after its length.
pub(super) fn names_ffmpeg(text: &[u8]) -> bool {
    let begins = |text: &[u8]| FFMPEG.iter().any(|name| text.starts_with(name));
    begins(text) || text.get(1..).is_some_and(begins)
}

/// Returns whether `udta` holds nothing but ffmpeg's version.
pub(super) fn is_of_ffmpeg(user_data: &MediaBox<'_>) -> bool {
    let mut inside = user_data.children();
    let (Some(meta), None) = (inside.next(), inside.next()) else {
        return false;
    };
    let is_version = |item: &MediaBox<'_>| {
        let text = item.child(*b"data");
        let text = text.and_then(|text| Some(text.content.get(8..)?.starts_with(b"Lavf")));
        item.name() == b"\xa9too" && text == Some(true)
    };
    let says_no_more = |part: MediaBox<'_>| match part.name() {
        b"hdlr" => true,
        b"ilst" => part.children().all(|item| is_version(&item)),
        _ => false,
    };
    meta.name() == b"meta" && meta.children_after(4).all(says_no_more)
}

//! What of a film stays.

use std::io::{Read as _, Write as _};

use super::*;

const FILM: &[u8] = include_bytes!("../../../../../tests/assets/film.mp4");

/// Returns the film afterwards; `None` if it is left as it is.
fn removed(film: &[u8]) -> Option<Vec<u8>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(film).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let told = runtime.block_on(remove(&file, true)).unwrap();
    let mut after = Vec::new();
    file.read_to_end(&mut after).unwrap();
    assert_eq!(after.len(), film.len(), "no offset changes");
    assert_eq!(after != film, told);
    told.then_some(after)
}

fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&length, name, content].concat()
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// Puts a box at the end of the film's `moov`. The film is one whose data comes first, so that no
/// offset changes.
fn with_in_movie(more: &[u8]) -> Vec<u8> {
    let moov = FILM.windows(4).position(|name| name == b"moov").unwrap() - 4;
    let mdat = FILM.windows(4).position(|name| name == b"mdat").unwrap() - 4;
    let movie = [&FILM[moov + 8..mdat - 8], more].concat();
    let filler = boxed(b"free", &vec![0; mdat - moov - 8]);
    [
        &FILM[..moov],
        &filler,
        &FILM[mdat..],
        &boxed(b"moov", &movie),
    ]
    .concat()
}

#[test]
fn a_film_that_names_only_ffmpeg_is_left_as_it_is() {
    assert_eq!(removed(FILM), None);
    assert_eq!(removed(&with_in_movie(b"")), None);
    assert_eq!(removed(b""), None);
}

#[test]
fn boxes_that_are_not_needed_become_free_space() {
    for name in [
        b"udta", b"meta", b"uuid", b"\xa9xyz", b"loci", b"newx", b"free", b"skip",
    ] {
        let more = boxed(name, b"\0\0\0\0CANARY in it");
        for film in [
            with_in_movie(&more),
            [FILM, &more].concat(),
            [&FILM[..32], &with_in_movie(&more)[32..]].concat(),
        ] {
            let after = removed(&film).unwrap();
            assert!(!holds(&after, b"CANARY") && holds(&after, b"avcC"));
        }
    }
}

#[test]
fn what_is_no_box_at_the_end_becomes_one() {
    let after = removed(&[FILM, b"CANARY of its maker"].concat()).unwrap();
    assert!(after.ends_with(&boxed(b"free", &[0; 11])));
    let after = removed(&[FILM, b"CANARY"].concat()).unwrap();
    assert!(after.ends_with(&[0; 6]), "too short for a box");
}

#[test]
fn only_what_is_no_part_of_a_film_is_enclosed() {
    let enclosed = |behind: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[FILM, behind].concat()).unwrap();
        let enclosed = enclose_trailer(&file).unwrap();
        assert_eq!(enclosed, boxes::top(&file).unwrap().1.is_empty());
        enclosed
    };
    assert!(enclosed(b"CANARY of its maker"));
    for cut in [
        &b"\0\0\x10\0moof and so on"[..],
        b"\0\0\x10\0moov",
        b"short",
    ] {
        assert!(!enclosed(cut), "{cut:?}");
    }
}

#[test]
fn a_brand_of_a_maker_becomes_a_common_one() {
    let mut film = FILM.to_vec();
    film[8..12].copy_from_slice(b"XAVC");
    film[20..24].copy_from_slice(b"niko");
    let after = removed(&film).unwrap();
    assert_eq!(&after[8..12], b"isom");
    assert_eq!(&after[20..24], &[0; 4]);
    assert_eq!(&after[24..32], &FILM[24..32]);
}

#[test]
fn a_file_without_pictures_and_sound_is_left_as_it_is() {
    let mut film = FILM.to_vec();
    for kind in [b"vide", b"soun"] {
        let at = film.windows(4).position(|name| name == kind).unwrap();
        film[at..at + 4].copy_from_slice(b"text");
    }
    assert_eq!(removed(&film), None);
}

#[test]
fn data_that_no_picture_or_sound_uses_is_emptied() {
    // A film whose data has a gap at its end.
    let mdat = FILM.windows(4).position(|name| name == b"mdat").unwrap() - 4;
    let data = [&FILM[mdat + 8..], b"freeGPS CANARY"].concat();
    let film = [&FILM[..mdat], &boxed(b"mdat", &data)].concat();
    let after = removed(&film).unwrap();
    assert!(!holds(&after, b"CANARY"));
    let (data, before) = (mdat + 8..FILM.len(), &FILM[mdat + 8..]);
    assert!(after[data] == *before, "pictures and sound are not touched");
}

#[test]
fn a_file_of_countless_boxes_is_refused() {
    let many = boxed(b"mdat", b"").repeat(boxes::BOXES_MAX + 1);
    for film in [[FILM, &many].concat(), with_in_movie(&many)] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&film).unwrap();
        let error = Found::in_file(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn sound_that_cannot_be_judged_is_not_left_as_it_is() {
    let many = boxed(b"mdat", b"").repeat(boxes::BOXES_MAX + 1);
    let brand = boxed(b"ftyp", b"M4A \0\0\0\0M4A ");
    for sound in [with_in_movie(&many), brand] {
        let error = without(&sound).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    assert_eq!(without(FILM).unwrap(), None);
    let told = [FILM, &boxed(b"udta", b"CANARY")].concat();
    assert!(!holds(&without(&told).unwrap().unwrap(), b"CANARY"));
}

#[test]
fn a_track_of_positions_goes_with_its_samples() {
    // The film's sound becomes a track of another kind.
    let mut film = FILM.to_vec();
    let sound = film.windows(4).position(|name| name == b"soun").unwrap();
    film[sound..sound + 4].copy_from_slice(b"meta");
    let after = removed(&film).unwrap();
    assert!(!holds(&after, b"mp4a"));
    let mdat = FILM.windows(4).position(|name| name == b"mdat").unwrap() - 4;
    assert!(after[mdat + 8..].windows(500).any(|part| part == [0; 500]));
}

proptest::proptest! {
    /// Whatever byte was changed, the length stays.
    #[test]
    fn a_bent_film_stays_as_long(
        at in proptest::prelude::any::<proptest::sample::Index>(),
        byte in proptest::prelude::any::<u8>(),
    ) {
        let mut film = FILM.to_vec();
        film[at.index(2300)] = byte;
        let _ = removed(&film);
    }
}

use proptest::prelude::*;
use wacore::download::{DownloadUtils, MediaType};

use super::*;

fn sealed(class: MediaClass, plain: &[u8], chunk: usize) -> (Vec<u8>, SealedFile) {
    let mut sealer = Sealer::new(class);
    let mut bytes = Vec::new();
    for chunk in plain.chunks(chunk) {
        bytes.extend(sealer.update(chunk));
    }
    let (last, file) = sealer.finish();
    bytes.extend(last);
    (bytes, file)
}

fn opened(file: &SealedFile, sealed: &[u8], chunk: usize) -> Result<(Vec<u8>, bool), BadFile> {
    let mut opener = Opener::new(&file.key, file.class);
    let mut plain = Vec::new();
    for chunk in sealed.chunks(chunk) {
        plain.extend(opener.update(chunk));
    }
    let (last, found) = opener.finish()?;
    plain.extend(last);
    Ok((plain, found.is(file)))
}

fn part(file: &SealedFile, sealed: &[u8], from: u64, to: u64, chunk: usize) -> Vec<u8> {
    let mut part = Part::new(file.clone(), from..to);
    let range = part.sealed();
    let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
    sealed[range]
        .chunks(chunk)
        .flat_map(|chunk| part.update(chunk))
        .collect()
}

proptest! {
    #[test]
    fn a_file_opens_to_what_was_sealed(plain in proptest::collection::vec(any::<u8>(), 0..4096), a in 1_usize..700, b in 1_usize..700) {
        let (bytes, file) = sealed(MediaClass::Document, &plain, a);
        prop_assert_eq!(bytes.len() as u64, SealedFile::sealed_size(plain.len() as u64));
        prop_assert_eq!(opened(&file, &bytes, b), Ok((plain.clone(), true)));
        let theirs = DownloadUtils::verify_and_decrypt(&bytes, file.key.bytes(), MediaType::Document);
        prop_assert_eq!(theirs.unwrap(), plain);
    }

    #[test]
    fn any_part_of_a_file_can_be_read(plain in proptest::collection::vec(any::<u8>(), 0..2048), from in 0_u64..2100, len in 0_u64..2100, chunk in 1_usize..300) {
        let (bytes, file) = sealed(MediaClass::Image, &plain, 512);
        let wanted: Vec<u8> = plain.iter().copied().skip(usize::try_from(from).unwrap()).take(usize::try_from(len).unwrap()).collect();
        prop_assert_eq!(part(&file, &bytes, from, from + len, chunk), wanted);
    }

    #[test]
    fn a_changed_or_shortened_file_does_not_open(plain in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let (mut bytes, file) = sealed(MediaClass::Video, &plain, 64);
        if cut {
            bytes.truncate(at.index(bytes.len()));
        } else {
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
        }
        prop_assert!(opened(&file, &bytes, 100).is_err());
    }
}

#[test]
fn another_class_or_another_key_does_not_open_it() {
    let (bytes, file) = sealed(MediaClass::Audio, b"hello", 5);
    let mut other = file.clone();
    other.class = MediaClass::Document;
    assert_eq!(opened(&other, &bytes, 64), Err(BadFile::Changed));
    let mut other = file;
    other.key = FileKey::new(&[7; 32]).unwrap();
    assert_eq!(opened(&other, &bytes, 64), Err(BadFile::Changed));
    assert_eq!(FileKey::new(b"short"), None);
}

#[test]
fn what_plays_has_a_sidecar_and_all_of_it_survives_json() {
    let (_, film) = sealed(MediaClass::Video, &vec![1; 200_000], 1 << 16);
    assert_eq!(film.sidecar.len(), 40);
    let json = serde_json::to_string(&film).unwrap();
    assert_eq!(serde_json::from_str::<SealedFile>(&json).unwrap(), film);
    let (_, picture) = sealed(MediaClass::Image, &vec![1; 200_000], 1 << 16);
    assert!(picture.sidecar.is_empty());
    assert!(!format!("{film:?}").contains("key"));
}

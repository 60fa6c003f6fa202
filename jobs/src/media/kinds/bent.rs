//! Whatever the bytes are, detecting a type ends with a type.

use std::io::{Cursor, Write as _};

use proptest::{collection::vec, prelude::*, sample::Index};
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::*;

/// How the formats begin whose files are read beyond their first bytes.
const BEGINNINGS: [&[u8]; 9] = [
    b"",
    b"OggS\0\x02",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67",
    b"\0\0\0\x14ftypmp42\0\0\0\0mp42",
    b"\0\0\0\x08wide\0\0\0\x08moov",
    b"ID3\x04\0\0\0\0\0\0",
    b"\xff\xfb\x90\0",
];

fn archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut bytes);
    for name in ["[Content_Types].xml", "mimetype", "word/document.xml"] {
        let file = archive
            .new_file(name)
            .compression_method(CompressionMethod::STORE);
        let (mut entry, config) = file.start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(b"application/epub+zip").unwrap();
        let descriptor = writer.finish().unwrap().1;
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

fn storage() -> Vec<u8> {
    let mut storage = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    storage.create_stream("/WordDocument").unwrap();
    storage.into_inner().into_inner()
}

/// Valid files of the formats that are read beyond their first bytes.
fn files() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../../../tests/assets/film.mp4")[..],
        include_bytes!("../../../../tests/assets/hevc.mp4"),
        include_bytes!("../../../../tests/assets/song.mp3"),
        include_bytes!("../../../../tests/assets/voice.ogg"),
        include_bytes!("../../../../tests/assets/vorbis.ogg"),
        &archive(),
        &storage(),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Returns whether the type of these bytes can be written into a header.
fn is_type(bytes: &[u8]) -> bool {
    let found = look(&bytes[..bytes.len().min(HEAD)], &mut Cursor::new(bytes));
    found.contains('/') && found.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

proptest! {
    #[test]
    fn noise_has_a_type(begins in 0..BEGINNINGS.len(), noise in vec(any::<u8>(), 0..4096)) {
        prop_assert!(is_type(&[BEGINNINGS[begins], &noise].concat()));
    }

    #[test]
    fn a_bent_file_has_a_type(
        bends in vec((any::<Index>(), any::<u8>()), 1..20),
        early in any::<bool>(),
        cut in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        for mut bent in files() {
            // What describes a file is often at its beginning.
            let most = if early { bent.len().min(1000) } else { bent.len() };
            for (at, byte) in &bends {
                bent[at.index(most)] = *byte;
            }
            if is_cut {
                bent.truncate(cut.index(bent.len()));
            }
            prop_assert!(is_type(&bent));
        }
    }
}

//! OLE storages: the documents of old office programs, and others, known by the streams in them
//! (MS-CFB, and MS-DOC 2.1, MS-XLS 2.1, MS-PPT 2.1, MS-OXMSG 2.2).

use std::io::{Read, Seek, SeekFrom};

/// A storage that is longer is not looked into: its table of sectors is held in memory.
const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// Streams by which a document is known.
const STREAMS: [(&str, &str); 7] = [
    ("/WordDocument", "application/msword"),
    ("/Workbook", "application/vnd.ms-excel"),
    ("/Book", "application/vnd.ms-excel"),
    ("/PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("/__properties_version1.0", "application/vnd.ms-outlook"),
    ("/VisioDocument", "application/vnd.visio"),
    ("/BodyText", "application/x-hwp"),
];

/// Returns the type of a storage; `None` if its streams say nothing.
pub(super) fn look(file: &mut (impl Read + Seek)) -> Option<&'static str> {
    let size = file.seek(SeekFrom::End(0)).ok()?;
    file.rewind().ok()?;
    if size > SIZE_MAX {
        return None;
    }
    let storage = cfb::CompoundFile::open(file).ok()?;
    let known = STREAMS.iter().find(|(path, _)| storage.exists(path));
    known.map(|(_, mime_type)| *mime_type)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn storage(streams: &[&str]) -> Vec<u8> {
        let mut storage = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        for path in streams {
            storage.create_stream(path).unwrap();
        }
        storage.into_inner().into_inner()
    }

    #[test]
    fn a_document_is_known_by_its_streams() {
        for (path, mime_type) in STREAMS {
            let bytes = storage(&["/\u{5}SummaryInformation", path]);
            assert_eq!(look(&mut Cursor::new(&bytes)), Some(mime_type));
        }
        let other = storage(&["/EncryptedPackage", "/EncryptionInfo"]);
        assert_eq!(look(&mut Cursor::new(&other)), None);
        assert_eq!(look(&mut Cursor::new(&other[..600])), None);
    }
}

//! ZIP archives: office documents, books, apps and others, known by the archive's own directory. The
//! order of the entries and their compression make no difference.

use std::{
    borrow::Cow,
    io::{Read, Seek},
};

use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder,
};

use super::words;

/// Entries that are looked at; an office document has some hundreds.
const ENTRIES_MAX: usize = 20_000;
/// How much of an entry is read, in bytes.
const ENTRY_MAX: u64 = 256 * 1024;

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// The content type of the main part of a package (ECMA-376, part 2, 7.2.3), without what all of them
/// have in front, and the type of the file.
const MAIN_PARTS: [(&str, &str); 16] = [
    ("wordprocessingml.document.main+xml", DOCX),
    (
        "wordprocessingml.template.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    ),
    (
        "ms-word.document.macroEnabled.main+xml",
        "application/vnd.ms-word.document.macroEnabled.12",
    ),
    (
        "ms-word.template.macroEnabledTemplate.main+xml",
        "application/vnd.ms-word.template.macroEnabled.12",
    ),
    ("spreadsheetml.sheet.main+xml", XLSX),
    (
        "spreadsheetml.template.main+xml",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
    ),
    (
        "ms-excel.sheet.macroEnabled.main+xml",
        "application/vnd.ms-excel.sheet.macroEnabled.12",
    ),
    (
        "ms-excel.sheet.binary.macroEnabled.main",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    ),
    (
        "ms-excel.template.macroEnabled.main+xml",
        "application/vnd.ms-excel.template.macroEnabled.12",
    ),
    ("presentationml.presentation.main+xml", PPTX),
    (
        "presentationml.slideshow.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    ),
    (
        "presentationml.template.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.template",
    ),
    (
        "ms-powerpoint.presentation.macroEnabled.main+xml",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    ),
    (
        "ms-powerpoint.slideshow.macroEnabled.main+xml",
        "application/vnd.ms-powerpoint.slideshow.macroEnabled.12",
    ),
    (
        "ms-visio.drawing.main+xml",
        "application/vnd.ms-visio.drawing",
    ),
    (
        "ms-package.xps-fixeddocumentsequence+xml",
        "application/vnd.ms-xpsdocument",
    ),
];

/// What an entry's name says, where the package itself says nothing that can be read.
const NAMES: [(&[u8], &str); 6] = [
    (b"word/document", DOCX),
    (b"xl/workbook", XLSX),
    (b"ppt/presentation", PPTX),
    (
        b"AndroidManifest.xml",
        "application/vnd.android.package-archive",
    ),
    (b"META-INF/MANIFEST.MF", "application/java-archive"),
    (b"doc.kml", "application/vnd.google-earth.kmz"),
];

/// What the directory of an archive says.
#[derive(Default)]
struct Directory {
    /// The entry by which documents of the Open Document Format and books name their type.
    mimetype: Option<(ZipArchiveEntryWayfinder, CompressionMethod)>,
    /// The entry that lists the types of the parts of a package.
    parts: Option<(ZipArchiveEntryWayfinder, CompressionMethod)>,
    /// The first of [`NAMES`] that there is.
    named: Option<usize>,
}

/// Returns the type of an archive; `None` if it is just an archive, or cannot be read.
pub(super) fn look(file: &mut (impl Read + Seek)) -> Option<Cow<'static, str>> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_seekable(file, &mut buffer).ok()?;
    let directory = directory(&archive, &mut buffer)?;
    if let Some(found) = directory.mimetype.and_then(|at| entry(&archive, at)) {
        let said = std::str::from_utf8(&found).ok().map(str::trim);
        if let Some(said) = said.filter(|said| names_itself(said)) {
            return Some(Cow::Owned(said.to_owned()));
        }
    }
    let parts = directory.parts.and_then(|at| entry(&archive, at));
    let parts = String::from_utf8_lossy(parts.as_deref().unwrap_or_default()).into_owned();
    let main = MAIN_PARTS.iter().find(|(part, _)| parts.contains(part));
    let named = || NAMES.get(directory.named?);
    let found = main.map(|(_, found)| *found);
    let found = found.or_else(|| named().map(|(_, found)| *found));
    found.map(Cow::Borrowed)
}

/// Returns whether an archive may give itself this type.
fn names_itself(said: &str) -> bool {
    let families = ["application/vnd.", "application/x-", "application/epub+zip"];
    words::is_type(said) && families.iter().any(|family| said.starts_with(family))
}

fn directory<R: ReaderAt>(archive: &ZipArchive<R>, buffer: &mut [u8]) -> Option<Directory> {
    let mut found = Directory::default();
    let mut entries = archive.entries(buffer);
    for _ in 0..ENTRIES_MAX {
        let Some(entry) = entries.next_entry().ok()? else {
            break;
        };
        let at = (entry.wayfinder(), entry.compression_method());
        let path = entry.file_path();
        let path: &[u8] = path.as_ref();
        // Some generators write the separator of Windows, or begin with one.
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let same = |name: &[u8]| {
            let pairs = path.iter().zip(name);
            pairs
                .into_iter()
                .all(|(a, b)| a == b || (*a == b'\\' && *b == b'/'))
        };
        match path {
            b"mimetype" => found.mimetype = Some(at),
            b"[Content_Types].xml" => found.parts = Some(at),
            _ => {
                let known = NAMES
                    .iter()
                    .position(|(name, _)| path.len() >= name.len() && same(name));
                found.named = [found.named, known].into_iter().flatten().min();
            }
        }
    }
    Some(found)
}

/// Reads an entry; `None` if it is compressed in a rare way.
fn entry<R: ReaderAt>(
    archive: &ZipArchive<R>,
    (at, method): (ZipArchiveEntryWayfinder, CompressionMethod),
) -> Option<Vec<u8>> {
    let reader = archive.get_entry(at).ok()?.reader();
    let mut bytes = Vec::new();
    match method {
        CompressionMethod::STORE => reader.take(ENTRY_MAX).read_to_end(&mut bytes).ok()?,
        CompressionMethod::DEFLATE => DeflateDecoder::new(reader)
            .take(ENTRY_MAX)
            .read_to_end(&mut bytes)
            .ok()?,
        _ => return None,
    };
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use rawzip::ZipArchiveWriter;

    use super::*;

    fn archive(entries: &[(&str, &str)], method: CompressionMethod) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut bytes);
        for (name, content) in entries {
            let file = archive.new_file(name).compression_method(method);
            let (mut entry, config) = file.start().unwrap();
            let descriptor = if method == CompressionMethod::DEFLATE {
                let level = flate2::Compression::default();
                let encoder = flate2::write::DeflateEncoder::new(&mut entry, level);
                let mut writer = config.wrap(encoder);
                writer.write_all(content.as_bytes()).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            } else {
                let mut writer = config.wrap(&mut entry);
                writer.write_all(content.as_bytes()).unwrap();
                writer.finish().unwrap().1
            };
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    fn of(entries: &[(&str, &str)], method: CompressionMethod) -> Option<String> {
        let bytes = archive(entries, method);
        look(&mut Cursor::new(bytes)).map(Cow::into_owned)
    }

    #[test]
    fn a_document_is_known_in_any_order_and_compression() {
        let parts = |main: &str| {
            format!(
                "<Types><Default Extension=\"xml\" ContentType=\"application/xml\"/>\
                 <Override PartName=\"/a\" ContentType=\"application/vnd.{main}\"/></Types>"
            )
        };
        for (main, found) in MAIN_PARTS {
            let parts = parts(main);
            let mut entries = [
                ("docProps/app.xml", "<a/>"),
                ("[Content_Types].xml", &parts),
            ];
            for method in [CompressionMethod::STORE, CompressionMethod::DEFLATE] {
                assert_eq!(of(&entries, method).as_deref(), Some(found), "{main}");
                entries.reverse();
            }
        }
    }

    #[test]
    fn names_are_enough_where_the_list_of_parts_cannot_be_read() {
        // Bytes that say they are compressed in a way that is not read here.
        let method = CompressionMethod::DEFLATE64;
        for (name, found) in [
            ("word/document.xml", DOCX),
            ("xl\\workbook.bin", XLSX),
            ("/ppt/presentation.xml", PPTX),
            (
                "AndroidManifest.xml",
                "application/vnd.android.package-archive",
            ),
            ("META-INF/MANIFEST.MF", "application/java-archive"),
        ] {
            let entries = [("[Content_Types].xml", "x"), (name, "x")];
            assert_eq!(of(&entries, method).as_deref(), Some(found), "{name}");
        }
        assert_eq!(of(&[("a.txt", "x"), ("wordy/document", "x")], method), None);
    }

    #[test]
    fn an_archive_may_name_its_type_if_it_is_one_of_archives() {
        for (said, found) in [
            ("application/epub+zip", true),
            ("application/vnd.oasis.opendocument.text\n", true),
            ("text/html", false),
            ("application/vnd.x\r\nSet-Cookie: a", false),
        ] {
            let entries = [("content.xml", "x"), ("mimetype", said)];
            let named = of(&entries, CompressionMethod::STORE);
            assert_eq!(named.as_deref(), found.then_some(said.trim()));
        }
    }

    #[test]
    fn an_archive_that_is_cut_says_nothing() {
        let whole = archive(&[("word/document.xml", "x")], CompressionMethod::STORE);
        for end in 0..whole.len() {
            let _ = look(&mut Cursor::new(&whole[..end]));
        }
        assert_eq!(look(&mut Cursor::new(&whole[..whole.len() - 30])), None);
    }
}

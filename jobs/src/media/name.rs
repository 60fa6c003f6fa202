//! The name of a document that was sent without one. Without a name a phone shows "untitled".
//!
//! A web server may say the name, else the address may have it, else the document has its date. The extension fits
//! the type, because the phone of the recipient opens the file by it.

use std::borrow::Cow;

use chrono::DateTime;
use mailparse::parse_content_disposition;
use passerelle_engine::{clock::Millis, whatsapp::clean_file_name};
use percent_encoding::percent_decode_str;
use url::Url;

use super::kinds::{self, OCTETS};

/// The longest name that is taken from a web server, in bytes.
const LONGEST: usize = 1024;
/// The longest extension, in bytes.
const EXTENSION_MAX: usize = 12;
/// The usual extension, where the first one in the alphabet is another.
const USUAL: [(&str, &str); 14] = [
    ("application/msword", "doc"),
    ("application/vnd.apple.pages", "pages"),
    ("application/vnd.microsoft.portable-executable", "exe"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/xml", "xml"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("image/jpeg", "jpg"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/vcard", "vcf"),
    ("text/xml", "xml"),
];

/// Returns the name that the answer of a web server has: its `Content-Disposition`, else the last part of the path of
/// the address that was asked, or of the one that it led to if only that has an extension.
pub(super) fn of_answer(disposition: Option<&[u8]>, asked: &Url, answered: &Url) -> Option<String> {
    let said = disposition.and_then(said);
    let in_paths = || {
        let [first, last] = [asked, answered].map(in_path);
        let has_extension = |name: &Option<String>| {
            name.as_deref()
                .is_some_and(|name| extension(name).is_some())
        };
        if has_extension(&last) && !has_extension(&first) {
            return last;
        }
        first.or(last)
    };
    said.or_else(in_paths)
}

/// Returns the name of a document of this type: the name that is known of it, with an extension that fits, or one made
/// of its date.
pub(super) fn of_document(known: Option<&str>, mime_type: &str, at: Millis) -> String {
    let essence = mime_type.split(';').next().unwrap_or_default().trim();
    let dated = || {
        let date = DateTime::from_timestamp_millis(at).unwrap_or_default();
        date.format("document-%Y-%m-%d").to_string()
    };
    let name = known.map_or_else(dated, ToOwned::to_owned);
    let Some(usual) = usual_extension(essence) else {
        return name;
    };
    let stem = match extension(&name) {
        Some((_, extension)) if fits(extension, essence) => return name,
        // It says another type.
        Some((stem, extension)) if kinds::by_name(&format!("x.{extension}")).is_some() => stem,
        // A dot in the name: `report.v2`.
        _ => &name,
    };
    let named = format!("{stem}.{usual}");
    clean_file_name(&named).unwrap_or(named)
}

/// Reads the header `Content-Disposition` (RFC 6266).
fn said(header: &[u8]) -> Option<String> {
    let header = header.get(..LONGEST.min(header.len()))?;
    let header = String::from_utf8_lossy(header);
    let said = parse_content_disposition(&header).params;
    // `filename*` is preferred to `filename`, in whatever order they are.
    let extended = said.get("filename*").and_then(|raw| {
        let alone = parse_content_disposition(&format!("attachment; filename*={raw}"));
        alone.params.get("filename").cloned()
    });
    let plain = || {
        let plain = said.get("filename")?;
        Some(decoded(plain.trim_matches(['"', '\''])))
    };
    extended.or_else(plain).as_deref().and_then(clean_file_name)
}

fn in_path(url: &Url) -> Option<String> {
    let last = url.path_segments()?.rfind(|part| !part.is_empty())?;
    let last = last.get(..LONGEST).unwrap_or(last);
    clean_file_name(&decoded(last))
}

/// Decodes `%20`. What is no UTF-8 then stays as it is.
fn decoded(text: &str) -> String {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// Splits a name into what is before its extension, and the extension.
fn extension(name: &str) -> Option<(&str, &str)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let sized = (1..=EXTENSION_MAX).contains(&extension.len()) && !stem.is_empty();
    let plain = extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (sized && plain).then_some((stem, extension))
}

fn fits(extension: &str, essence: &str) -> bool {
    let lower = extension.to_ascii_lowercase();
    let known = mime_guess::get_mime_extensions_str(essence).unwrap_or_default();
    known.contains(&&*lower)
        || usual_extension(essence) == Some(&lower)
        || kinds::by_name(&format!("x.{lower}")) == Some(essence)
}

/// Returns `None` for bytes of an unknown type: every extension fits them.
fn usual_extension(essence: &str) -> Option<&'static str> {
    if essence == OCTETS {
        return None;
    }
    let usual = USUAL.iter().find(|(known, _)| *known == essence);
    let first = || {
        mime_guess::get_mime_extensions_str(essence)?
            .first()
            .copied()
    };
    usual.map(|(_, extension)| *extension).or_else(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = 1_796_000_000_000;

    fn answer(disposition: Option<&str>, asked: &str, answered: &str) -> Option<String> {
        let [asked, answered] = [asked, answered].map(|url| Url::parse(url).unwrap());
        of_answer(disposition.map(str::as_bytes), &asked, &answered)
    }

    #[test]
    fn fidelity_a_web_server_says_the_name_of_a_document() {
        let page = "https://shop.example/download?id=7";
        for (disposition, name) in [
            (
                "attachment; filename=\"Invoice 1042.pdf\"",
                "Invoice 1042.pdf",
            ),
            ("attachment; filename=Invoice.pdf", "Invoice.pdf"),
            ("ATTACHMENT;FILENAME=Invoice.pdf", "Invoice.pdf"),
            (
                "inline; filename*=UTF-8''Rechnung%20%C3%A4.pdf",
                "Rechnung ä.pdf",
            ),
            (
                "attachment; filename=\"R.pdf\"; filename*=UTF-8''Rechnung%20%C3%A4.pdf",
                "Rechnung ä.pdf",
            ),
            (
                "attachment; filename*=UTF-8''Rechnung%20%C3%A4.pdf; filename=\"R.pdf\"",
                "Rechnung ä.pdf",
            ),
            (
                "attachment; filename*=iso-8859-1'en'%A3%20rates.pdf",
                "£ rates.pdf",
            ),
            ("attachment; filename=\"a;b.pdf\"", "a;b.pdf"),
            ("attachment; filename=\"a%20b.pdf\"", "a b.pdf"),
            ("attachment; filename=\"Rechnung ä.pdf\"", "Rechnung ä.pdf"),
            ("attachment; filename='single.pdf'", "single.pdf"),
            ("attachment; filename=\"unclosed.pdf", "unclosed.pdf"),
            // Folders never count.
            ("attachment; filename=\"../../etc/passwd\"", "passwd"),
            ("attachment; filename=\"C:\\\\x\\\\y.doc\"", "y.doc"),
            // It says nothing, so the path counts.
            ("attachment", "download"),
            ("attachment; filename=", "download"),
            ("attachment; filename=\"..\"", "download"),
            (";;;", "download"),
        ] {
            assert_eq!(
                answer(Some(disposition), page, page).as_deref(),
                Some(name),
                "{disposition}"
            );
        }
    }

    #[test]
    fn fidelity_the_address_names_a_document_where_the_server_does_not() {
        let cdn = "https://cdn.example/9f86d081";
        for (asked, answered, name) in [
            (
                "https://a.example/x/Invoice%201042.pdf?token=7#page",
                cdn,
                Some("Invoice 1042.pdf"),
            ),
            (
                "https://a.example/x/Invoice%C3%A4.pdf/",
                cdn,
                Some("Invoiceä.pdf"),
            ),
            (
                "https://a.example/latest",
                "https://a.example/report-7.pdf",
                Some("report-7.pdf"),
            ),
            ("https://a.example/latest", cdn, Some("latest")),
            ("https://a.example/", cdn, Some("9f86d081")),
            ("https://a.example", "https://a.example/", None),
            ("https://a.example/a%2Fb.pdf", cdn, Some("b.pdf")),
            ("https://a.example/%ff.pdf", cdn, Some("%ff.pdf")),
        ] {
            assert_eq!(answer(None, asked, answered).as_deref(), name, "{asked}");
        }
        let long = format!("https://a.example/{}.pdf", "x".repeat(600));
        let long = answer(None, &long, cdn).unwrap();
        assert!(
            long.len() <= 255 && long.strip_suffix(".pdf").is_some(),
            "{long}"
        );
    }

    #[test]
    fn fidelity_the_extension_of_a_document_fits_its_type() {
        let pdf = "application/pdf";
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        for (known, mime_type, name) in [
            (Some("Invoice.pdf"), pdf, "Invoice.pdf"),
            (Some("Invoice.PDF"), pdf, "Invoice.PDF"),
            (Some("Invoice"), pdf, "Invoice.pdf"),
            (Some("download.php"), pdf, "download.pdf"),
            (Some("file.bin"), pdf, "file.pdf"),
            (Some("report.v2"), pdf, "report.v2.pdf"),
            (Some("Report 1.2"), pdf, "Report 1.2.pdf"),
            (Some("Contract"), docx, "Contract.docx"),
            (Some("photo.jpeg"), "image/jpeg", "photo.jpeg"),
            (Some("photo"), "image/jpeg", "photo.jpg"),
            (Some("prices"), "text/csv; charset=utf-8", "prices.csv"),
            (Some("notes.conf"), "text/plain", "notes.conf"),
            (Some("notes"), "text/plain", "notes.txt"),
            (Some("plan.dwg"), "application/octet-stream", "plan.dwg"),
            (Some("plan"), "application/octet-stream", "plan"),
            (None, pdf, "document-2026-11-30.pdf"),
            (None, "text/csv", "document-2026-11-30.csv"),
            (None, "application/octet-stream", "document-2026-11-30"),
        ] {
            assert_eq!(of_document(known, mime_type, AT), name);
        }
    }
}

//! What the sender of a file and its name say about its type. It counts where the bytes are vague.

use std::borrow::Cow;

use super::types::{OCTETS, OLE, SCRIPT, TEXT, ZIP};

/// The longest type, in bytes.
const LONGEST: usize = 127;

/// Types with a structure of their own. Bytes without that structure are of another type, no matter
/// what the sender says.
const SIGNED: [&str; 14] = [
    "application/pdf",
    "application/gzip",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/vnd.microsoft.portable-executable",
    "application/x-executable",
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "audio/flac",
    "audio/ogg",
    "audio/amr",
    "video/webm",
];

/// Returns whether the text is a type such as `text/csv; charset=utf-8` (RFC 2045, section 5.1; RFC 6838,
/// section 4.2), without characters that have a meaning in a header.
pub(super) fn is_type(text: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(name)
    };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().and_then(|essence| essence.split_once('/'));
    let is_named = essence.is_some_and(|(main, sub)| is_name(main) && is_name(sub));
    let has_values = parts.all(|parameter| {
        let value = parameter.split_once('=');
        value.is_some_and(|(name, value)| is_name(name) && is_name(value.trim_matches('"')))
    });
    let is_plain = text.chars().all(|c| (' '..='~').contains(&c));
    text.len() <= LONGEST && is_plain && is_named && has_values
}

/// Returns a media type in the form that is stored, with its name in lower case. Returns `None` if the text
/// is not a media type.
pub fn clean_media_type(text: &str) -> Option<String> {
    let text = text.trim();
    if !is_type(text) {
        return None;
    }
    let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
    Some(essence.trim().to_ascii_lowercase() + parameters)
}

/// Returns the type that the extension of a name means.
pub(crate) fn by_name(file_name: &str) -> Option<&'static str> {
    mime_guess::from_path(file_name).first_raw()
}

/// Returns the type of a file whose bytes say `found`: what its sender said, or else its name, if they are
/// more precise.
pub(crate) fn named<'a>(
    found: &'a str,
    said: Option<&'a str>,
    file_name: Option<&str>,
) -> Cow<'a, str> {
    let said = said.filter(|said| is_type(said) && refines(found, said));
    let named = || file_name.and_then(by_name);
    let named = || named().filter(|named| refines(found, named));
    said.or_else(named).unwrap_or(found).into()
}

/// Returns a type without its parameters.
fn bare(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

/// Returns whether a word is more precise than what was found, and not in contradiction to it.
fn refines(found: &str, word: &str) -> bool {
    let essence = bare(word).to_ascii_lowercase();
    let main = essence.split('/').next().unwrap_or_default();
    if essence == found {
        return word.contains(';');
    }
    if SIGNED.contains(&&*essence) || [OCTETS, TEXT].contains(&&*essence) {
        return false;
    }
    let of_archives = essence == ZIP
        || essence.ends_with("+zip")
        || essence.contains("openxmlformats")
        || essence.contains("opendocument");
    match found {
        OCTETS => !of_archives,
        TEXT | SCRIPT | "text/xml" | "text/html" => {
            let is_drawn = ["image/svg+xml", "audio/x-mpegurl"].contains(&&*essence);
            let is_text = !["image", "audio", "video", "font"].contains(&main) && !of_archives;
            is_drawn || is_text
        }
        ZIP => ["application", "model"].contains(&main) || essence == "image/openraster",
        // An office document with a password is a storage.
        OLE => main == "application" && essence != ZIP,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_one_that_a_header_can_carry() {
        for text in [
            "text/csv",
            "Application/PDF",
            "text/csv; charset=utf-8",
            "text/csv;charset=\"utf-8\"; header=present",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ] {
            assert!(is_type(text), "{text}");
        }
        for text in [
            "",
            "pdf",
            "/pdf",
            "text/",
            "a/b/c",
            "text/plain\r\nx: y",
            "text/plain\r\n; a=b",
            "text/plain; charset",
            "text/plain;",
            "*/*",
            "t\u{e9}xt/plain",
        ] {
            assert!(!is_type(text), "{text:?}");
        }
        assert!(!is_type(&format!("text/{}", "x".repeat(200))));
        let clean = clean_media_type(" Text/CSV; charset=UTF-8 ");
        assert_eq!(clean.as_deref(), Some("text/csv; charset=UTF-8"));
    }

    #[test]
    fn a_word_counts_where_the_bytes_are_vague() {
        let pages = "application/vnd.apple.pages";
        for (found, said, name, right) in [
            (TEXT, Some("text/csv"), None, "text/csv"),
            (TEXT, None, Some("a.CSV"), "text/csv"),
            (TEXT, None, Some("a"), TEXT),
            (TEXT, Some("no type"), Some("a.json"), "application/json"),
            (TEXT, Some(OCTETS), Some("a.ics"), "text/calendar"),
            (TEXT, Some("image/png"), None, TEXT),
            (TEXT, Some("application/pdf"), Some("a.pdf"), TEXT),
            ("text/xml", Some("image/svg+xml"), None, "image/svg+xml"),
            (SCRIPT, Some("application/x-sh"), None, "application/x-sh"),
            (ZIP, Some(pages), None, pages),
            (ZIP, None, Some("a.zip"), ZIP),
            (ZIP, Some("text/html"), None, ZIP),
            (
                OLE,
                Some("application/vnd.ms-excel"),
                None,
                "application/vnd.ms-excel",
            ),
            (OCTETS, None, Some("a.dwg"), "application/acad"),
            (OCTETS, Some("image/png"), Some("a.png"), OCTETS),
            (OCTETS, Some("text/csv"), None, "text/csv"),
            // What is known stays.
            (
                "application/x-executable",
                Some("image/png"),
                Some("a.png"),
                "application/x-executable",
            ),
            (
                "application/pdf",
                Some("text/csv"),
                Some("a.csv"),
                "application/pdf",
            ),
            (
                "audio/ogg; codecs=opus",
                Some("audio/ogg"),
                None,
                "audio/ogg; codecs=opus",
            ),
            // The same type, more precisely.
            (
                "text/html",
                Some("text/html; charset=utf-8"),
                None,
                "text/html; charset=utf-8",
            ),
            (
                "audio/mp4",
                Some("audio/mp4; codecs=mp4a.40.2"),
                None,
                "audio/mp4; codecs=mp4a.40.2",
            ),
        ] {
            assert_eq!(named(found, said, name), right, "{found} {said:?} {name:?}");
        }
    }
}

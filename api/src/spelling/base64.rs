//! Files in base64: plain, as a data URI, with line breaks, without padding, or in the alphabet for URLs.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode_str;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const OF_TEXTS: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const OF_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// The scheme of a data URI (RFC 2397).
const DATA: &str = "data:";

/// What is expected where a text is not base64.
pub(crate) const WANTED: &str =
    "base64 (RFC 4648), or a data URI such as data:image/png;base64,iVBORw0KGgo=";

/// A file that was given in base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    /// The media type that a data URI says, if it says more than "some bytes".
    pub(crate) media_type: Option<String>,
}

/// Decodes base64 in any of its forms. Returns `None` if it is not base64, or cut off.
pub(crate) fn decode(text: &str) -> Option<Decoded> {
    let text = text.trim_ascii();
    let (media_type, text) = match text.split_at_checked(DATA.len()) {
        Some((scheme, uri)) if scheme.eq_ignore_ascii_case(DATA) => of_data_uri(uri)?,
        _ => (None, Cow::Borrowed(text)),
    };
    let text = without_breaks(&text);
    let is_of_urls = text.contains(['-', '_']);
    let engine = if is_of_urls { OF_URLS } else { OF_TEXTS };
    let bytes = engine.decode(text.as_bytes()).ok()?;
    Some(Decoded { bytes, media_type })
}

/// Splits what follows the scheme of a data URI into its type and its base64. Returns `None` if its content is not base64.
fn of_data_uri(uri: &str) -> Option<(Option<String>, Cow<'_, str>)> {
    let (head, content) = uri.split_once(',')?;
    let (media_type, last) = head.rsplit_once(';')?;
    let content = percent_decode_str(content).decode_utf8().ok()?;
    let is_base64 = last.trim().eq_ignore_ascii_case("base64");
    is_base64.then(|| (stated(media_type), content))
}

/// Programs that do not know the type of a file write `application/octet-stream`.
fn stated(media_type: &str) -> Option<String> {
    let media_type = media_type.trim();
    let bare = media_type.split(';').next().unwrap_or_default();
    let says = !bare.is_empty() && !bare.eq_ignore_ascii_case("application/octet-stream");
    says.then(|| media_type.to_owned())
}

fn without_breaks(text: &str) -> Cow<'_, str> {
    if text.contains(|char: char| char.is_ascii_whitespace()) {
        Cow::Owned(text.split_ascii_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{
        BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
    };
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Option<Vec<u8>> {
        decode(text).map(|decoded| decoded.bytes)
    }

    #[test]
    fn every_spelling_of_base64_is_the_same_file() {
        // It has both letters in which the alphabets differ, and needs padding.
        let file = [0xfb_u8, 0xff, 0xbf, 0x00];
        for text in [
            "+/+/AA==",
            "+/+/AA",
            "+/+/AA=",
            "-_-_AA==",
            "-_-_AA",
            " +/+/AA==\n",
            "+/+/\r\nAA==\r\n",
            "+/+/\nAA\n==",
            "+/ +/\tAA==",
            "data:image/png;base64,+/+/AA==",
            "data:;base64,+/+/AA==",
            "DATA:image/png;BASE64,-_-_AA",
            "data:image/png;charset=utf-8;base64,+/+/AA",
            "data:image/png;base64, +/+/\n AA==",
            "data:image/png;base64,%2B/%2B/AA%3D%3D",
        ] {
            assert_eq!(bytes(text).as_deref(), Some(&file[..]), "{text:?}");
        }
    }

    #[test]
    fn a_spelling_that_is_no_base64_is_refused() {
        for text in [
            "!",
            "A",
            "+/+/A",
            "+/-_",
            "+/+/AA===",
            "=AAA",
            "AA==AA==",
            // Bits behind the end: something was cut off.
            "AB==",
            "AB",
            "data:image/png,AAAA",
            "data:image/png;base64",
            "data:text/plain;charset=utf-8,hello",
            "data:image/png;base64,AAAA,AAAA",
            "data:image/png;base64,%ff",
            "file:///tmp/a.png",
            "https://example.org/a.png",
            "ÄÄÄÄ",
        ] {
            assert_eq!(bytes(text), None, "{text:?}");
        }
        assert_eq!(bytes(""), Some(Vec::new()));
    }

    #[test]
    fn the_type_of_a_data_uri_is_a_hint() {
        for (text, media_type) in [
            ("data:text/csv;base64,AAAA", Some("text/csv")),
            (
                "data:text/csv;charset=utf-8;base64,AAAA",
                Some("text/csv;charset=utf-8"),
            ),
            ("data:application/octet-stream;base64,AAAA", None),
            ("data:;base64,AAAA", None),
            ("AAAA", None),
        ] {
            assert_eq!(decode(text).unwrap().media_type.as_deref(), media_type);
        }
    }

    proptest! {
        #[test]
        fn a_spelling_of_any_bytes_decodes_to_them(
            file in prop::collection::vec(any::<u8>(), 0..300),
            engine in 0..4_usize,
            width in 1..80_usize,
            line_end in prop::sample::select(vec!["", "\n", "\r\n", " "]),
            head in prop::sample::select(vec!["", "data:image/png;base64,", "data:;base64,"]),
        ) {
            let text = match engine {
                0 => BASE64_STANDARD.encode(&file),
                1 => BASE64_STANDARD_NO_PAD.encode(&file),
                2 => BASE64_URL_SAFE.encode(&file),
                _ => BASE64_URL_SAFE_NO_PAD.encode(&file),
            };
            let lines: Vec<_> = text.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            let text = format!("{head}{}", lines.join(line_end));
            prop_assert_eq!(bytes(&text), Some(file));
        }

        #[test]
        fn a_spelling_of_anything_is_base64_or_refused(text in "(data:)?\\PC{0,60}") {
            let _ = decode(&text);
        }
    }
}

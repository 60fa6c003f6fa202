//! What a message shows of the web page behind its link.

use serde::{Deserialize, Serialize};

/// Maximum lengths of title and description, in characters. A phone shows far less.
const TITLE_MAX: usize = 300;
const DESCRIPTION_MAX: usize = 600;
/// Maximum length of the link, in bytes.
const URL_MAX: usize = 2048;

/// A preview of a link. Without a title nothing is shown: the page was not fetched or has no title.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// The link, exactly as in the text.
    pub url: String,
    /// The page's title.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// The page's own description.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// A small JPEG. Empty if there is none.
    #[serde(
        with = "crate::media::text",
        skip_serializing_if = "Vec::is_empty",
        default
    )]
    pub thumbnail: Vec<u8>,
}

impl LinkPreview {
    /// Makes a preview without any details. Returns `None` if the link is too long or has control
    /// characters.
    pub fn of(url: &str) -> Option<Self> {
        let fits = (1..=URL_MAX).contains(&url.len()) && !url.contains(char::is_control);
        fits.then(|| Self {
            url: url.to_owned(),
            title: None,
            description: None,
            thumbnail: Vec::new(),
        })
    }

    /// Sets title and description, after cleaning and shortening them.
    #[must_use]
    pub fn saying(mut self, title: Option<&str>, description: Option<&str>) -> Self {
        self.title = title.and_then(|text| line(text, TITLE_MAX));
        self.description = description.and_then(|text| line(text, DESCRIPTION_MAX));
        self
    }

    /// Returns whether there is something to show.
    pub fn is_shown(&self) -> bool {
        self.title.is_some()
    }
}

/// Returns the text as one line, without control characters and without characters that change the
/// reading direction. Runs of white space become one space. Returns `None` if nothing is left.
fn line(text: &str, max: usize) -> Option<String> {
    let shows = |c: char| {
        let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !turns && (c.is_whitespace() || !c.is_control())
    };
    // Reading twice as many characters as are kept leaves room for white space.
    let plain: String = text.chars().filter(|c| shows(*c)).take(max * 2).collect();
    let words: Vec<_> = plain.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(max).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_title_is_one_line_that_hides_nothing() {
        let shown = |title| {
            LinkPreview::of("https://a.example")
                .unwrap()
                .saying(Some(title), None)
                .title
        };
        assert_eq!(shown("  Order\n\t 1042 ").as_deref(), Some("Order 1042"));
        assert_eq!(
            shown("inv\u{202e}fdp\u{0}.exe").as_deref(),
            Some("invfdp.exe")
        );
        assert_eq!(shown(" \n "), None);
    }

    #[test]
    fn a_link_has_bounds() {
        assert!(LinkPreview::of("").is_none());
        assert!(LinkPreview::of("https://a.example/\u{1}").is_none());
        assert!(LinkPreview::of(&"a".repeat(2049)).is_none());
    }

    proptest! {
        #[test]
        fn a_line_is_bounded_and_stays_as_it_is(text in any::<String>()) {
            if let Some(once) = line(&text, 10) {
                prop_assert!((1..=10).contains(&once.chars().count()));
                // If the cut is between two words, the line may end with a space.
                let again = line(&once, 10);
                prop_assert_eq!(again.as_deref(), Some(once.trim_end()));
            }
        }
    }
}

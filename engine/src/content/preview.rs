//! What is shown of a page beside the link that leads to it.

use serde::{Deserialize, Serialize};

/// The longest title and description, in characters; a phone shows far fewer.
const TITLE_MAX: usize = 300;
const DESCRIPTION_MAX: usize = 600;
/// The longest link, in bytes.
const URL_MAX: usize = 2048;

/// A preview of a link. Without a title nothing is shown: the page was not fetched, or says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// The link, as it stands in the text.
    pub url: String,
    /// What the page is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// A small JPEG; empty without one.
    #[serde(
        with = "crate::media::text",
        skip_serializing_if = "Vec::is_empty",
        default
    )]
    pub thumbnail: Vec<u8>,
}

impl LinkPreview {
    /// Of this link, of which nothing is known yet; none when it is no link that could be shown.
    pub fn of(url: &str) -> Option<Self> {
        let fits = (1..=URL_MAX).contains(&url.len()) && !url.contains(char::is_control);
        fits.then(|| Self {
            url: url.to_owned(),
            title: None,
            description: None,
            thumbnail: Vec::new(),
        })
    }

    /// With what the page is called and says, made fit to be shown.
    #[must_use]
    pub fn saying(mut self, title: Option<&str>, description: Option<&str>) -> Self {
        self.title = title.and_then(|text| line(text, TITLE_MAX));
        self.description = description.and_then(|text| line(text, DESCRIPTION_MAX));
        self
    }

    /// Whether there is something to show.
    pub fn is_shown(&self) -> bool {
        self.title.is_some()
    }
}

/// The text as one line: no control characters, nothing that turns the reading direction, white space
/// once; none when nothing is left.
fn line(text: &str, max: usize) -> Option<String> {
    let shows = |c: char| {
        let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !turns && (c.is_whitespace() || !c.is_control())
    };
    // Twice as much as is kept leaves room for white space; what is beyond is not looked at.
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
                // Cut between two words, a blank may stand at its end.
                let again = line(&once, 10);
                prop_assert_eq!(again.as_deref(), Some(once.trim_end()));
            }
        }
    }
}

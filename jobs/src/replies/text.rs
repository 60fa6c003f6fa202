//! The text of a message, and whether it is what a rule wants.

use passerelle_engine::content::Content;
use regex::{Regex, RegexBuilder};

use crate::{
    model::auto_reply::{COMPILED_MAX, PATTERN_MAX, REGEX_TEXT_MAX, TextTest},
    plain::spelled,
};

/// What the search of one regular expression may remember, in bytes.
const DFA_MAX: usize = 64 * 1024;

/// The types of messages that may have a text.
pub(super) const WITH_TEXT: &[&str] = &[
    "text",
    "image",
    "video",
    "document",
    "button_reply",
    "list_reply",
    "order",
];

/// Returns the text of a message: of a file its caption, of a button or a row what is on it.
pub(super) fn of(content: &Content) -> Option<&str> {
    let text = match content {
        Content::Text { body, .. } => Some(body.as_str()),
        Content::ButtonReply(tap) | Content::ListReply(tap) => Some(tap.title.as_str()),
        Content::Order(order) => order.text.as_deref(),
        other => other
            .media()
            .and_then(|(_, media)| media.caption.as_deref()),
    };
    text.filter(|text| !text.is_empty())
}

/// Returns the beginning of a text, of at most so many bytes.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// What a text has to be, ready to be compared.
#[derive(Debug)]
pub(super) enum Wanted {
    Keywords(Vec<String>),
    Exact(Vec<String>),
    Prefixes(Vec<String>),
    Regex(Regex),
}

/// The regular expression does not compile, or is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadPattern;

impl Wanted {
    pub(super) fn parse(test: &TextTest) -> Result<Self, BadPattern> {
        Ok(match test {
            TextTest::Keywords(words) => {
                Self::Keywords(words.iter().map(|word| spelled(word)).collect())
            }
            TextTest::Exact(texts) => Self::Exact(texts.iter().map(|text| folded(text)).collect()),
            TextTest::Prefixes(texts) => {
                Self::Prefixes(texts.iter().map(|text| lowered(text)).collect())
            }
            TextTest::Regex(pattern) => Self::Regex(compile(pattern)?),
        })
    }

    /// Returns whether a text is what is wanted.
    pub(super) fn is(&self, text: &str) -> bool {
        match self {
            Self::Keywords(words) => {
                let said = spelled(text);
                words.iter().any(|word| has_word(&said, word))
            }
            Self::Exact(texts) => texts.contains(&folded(text)),
            Self::Prefixes(texts) => {
                let said = lowered(text);
                texts.iter().any(|start| said.starts_with(start))
            }
            Self::Regex(pattern) => pattern.is_match(beginning(text, REGEX_TEXT_MAX)),
        }
    }
}

/// Returns whether a keyword can be compared: it has a letter or a digit.
pub(super) fn is_word(text: &str) -> bool {
    !spelled(text).is_empty()
}

fn compile(pattern: &str) -> Result<Regex, BadPattern> {
    if pattern.is_empty() || pattern.len() > PATTERN_MAX {
        return Err(BadPattern);
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(DFA_MAX)
        .nest_limit(50)
        .build()
        .map_err(|_| BadPattern)
}

fn lowered(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Returns the text without case, accents and punctuation; as it is if nothing else is in it.
fn folded(text: &str) -> String {
    let folded = spelled(text);
    if folded.is_empty() {
        lowered(text)
    } else {
        folded
    }
}

/// Returns whether a word is in a text: between others, or, in a script without spaces between words, anywhere.
fn has_word(text: &str, word: &str) -> bool {
    if word.chars().any(is_of_script_without_spaces) {
        return text.contains(word);
    }
    let ends = |rest: Option<char>| rest.is_none_or(|next| next == ' ');
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + found.len()..);
        ends(before) && ends(after.and_then(|after| after.chars().next()))
    })
}

/// Chinese, Japanese, Thai, Lao, Khmer and Burmese.
fn is_of_script_without_spaces(char: char) -> bool {
    matches!(char, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(test: &TextTest, text: &str) -> bool {
        Wanted::parse(test).unwrap().is(text)
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn replies_find_keywords_as_whole_words_however_they_are_written() {
        let prices =
            TextTest::Keywords(list(&["price", "Öffnungszeiten", "opening hours", "价格"]));
        for text in [
            "price",
            "What is the PRICE?",
            "price: how much",
            "offnungszeiten bitte",
            "your opening  hours, please",
            "请问价格是多少",
        ] {
            assert!(is(&prices, text), "{text}");
        }
        for text in ["prices", "pricey", "the opening", "hours opening", "", "💸"] {
            assert!(!is(&prices, text), "{text}");
        }
    }

    #[test]
    fn replies_compare_whole_texts_and_beginnings() {
        let one = TextTest::Exact(list(&["1", "Menü", "?"]));
        for text in ["1", " 1. ", "MENU", "menü!", "?"] {
            assert!(is(&one, text), "{text}");
        }
        for text in ["11", "the menu", "!", "1 2"] {
            assert!(!is(&one, text), "{text}");
        }
        let order = TextTest::Prefixes(list(&["/order", "Bestellung "]));
        assert!(is(&order, "/Order 1042") && is(&order, "  /order"));
        assert!(is(&order, "bestellung 7"));
        assert!(!is(&order, "order 1042") && !is(&order, "my /order"));
    }

    #[test]
    fn replies_patterns_are_linear_and_bounded() {
        let number = TextTest::Regex(r"(?i)^order\s+#?\d{4}$".into());
        assert!(is(&number, "Order #1042") && !is(&number, "order 10421"));
        // With a search that backtracks this would never end.
        let evil = Wanted::parse(&TextTest::Regex("(a+)+$".into())).unwrap();
        assert!(!evil.is(&format!("{}b", "a".repeat(REGEX_TEXT_MAX - 1))));
        // Only the beginning of a long text is searched.
        let late = format!("{}x", " ".repeat(REGEX_TEXT_MAX));
        assert!(!is(&TextTest::Regex("x".into()), &late));
        for bad in [
            "(",
            "",
            "a{1000000}",
            r"\w{200}",
            r"(?=a)",
            r"(a)\1",
            &"a".repeat(PATTERN_MAX + 1),
            &"(".repeat(PATTERN_MAX),
        ] {
            let parsed = Wanted::parse(&TextTest::Regex(bad.into()));
            assert!(parsed.is_err(), "{bad}");
        }
        assert!(Wanted::parse(&TextTest::Regex("a".repeat(PATTERN_MAX))).is_ok());
        assert!(Wanted::parse(&TextTest::Regex(r"\w+ \w+ \d+".into())).is_ok());
    }

    #[test]
    fn replies_read_captions_and_buttons() {
        use passerelle_engine::{
            clock::Clock,
            content::{Media, MediaKind, Tap},
            ids::MediaId,
        };
        let tap = Tap {
            id: None,
            title: "Opening hours".into(),
            description: None,
            params: None,
        };
        assert_eq!(of(&Content::ButtonReply(tap)), Some("Opening hours"));
        let mut media = Media::new(MediaId::new(&Clock::system()));
        assert_eq!(of(&MediaKind::Image.content(media.clone())), None);
        media.caption = Some("price?".into());
        assert_eq!(of(&MediaKind::Image.content(media)), Some("price?"));
        assert_eq!(beginning("aä", 2), "a");
    }
}

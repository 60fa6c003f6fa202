//! Text as it is compared: without case, accents, invisible characters, punctuation and extra white space.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Removes case, accents, invisible characters, punctuation and extra white space.
pub(crate) fn plain(text: &str) -> String {
    letters(text.nfkd().filter(|char| !is_combining_mark(*char)))
}

/// As [`plain`], for words of which each letter counts. The vowel signs of Devanagari are combining marks, but tell words
/// apart. Letters that keyboards of other languages write in another way become one: the Persian and the Arabic form of
/// yeh, kaf and heh, and the Turkish i without a dot.
pub(crate) fn spelled(text: &str) -> String {
    const DEVANAGARI: std::ops::RangeInclusive<char> = '\u{900}'..='\u{97f}';
    const TATWEEL: char = '\u{640}';
    let counts =
        |char: &char| *char != TATWEEL && (!is_combining_mark(*char) || DEVANAGARI.contains(char));
    let one_form = |char| match char {
        '\u{64a}' | '\u{649}' => '\u{6cc}',
        '\u{643}' => '\u{6a9}',
        '\u{647}' => '\u{6c1}',
        'ı' => 'i',
        other => other,
    };
    letters(text.nfkd().filter(counts).map(one_form))
}

fn letters(text: impl Iterator<Item = char>) -> String {
    let letters: String = text
        .filter(|char| char.is_alphanumeric() || char.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

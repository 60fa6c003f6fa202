//! Text as it is compared: without case, accents, invisible characters, punctuation and extra white space.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Removes case, accents, invisible characters, punctuation and extra white space.
pub(crate) fn plain(text: &str) -> String {
    let letters: String = text
        .nfkd()
        .filter(|char| !is_combining_mark(*char))
        .filter(|char| char.is_alphanumeric() || char.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! The digits of a phone number, without what people and programs write between and around them.

use super::phone::NoPhone;

/// The zeros of other scripts. The nine digits above follow each of them.
const ZEROS: [char; 19] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}',
    '\u{17e0}', '\u{1810}', '\u{ff10}',
];

/// What is in a number as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// Whether a `+` precedes them.
    pub(super) plus: bool,
    /// Its ASCII digits.
    pub(super) digits: String,
    /// The digits without a zero that was written as `(0)`.
    pub(super) without_zero: Option<String>,
    /// Whether it was `+` and ASCII digits only.
    pub(super) is_exact: bool,
}

impl Plain {
    /// Digits that begin with a country code.
    pub(super) fn international(digits: &str) -> Self {
        Self {
            plus: true,
            digits: digits.to_owned(),
            without_zero: None,
            is_exact: false,
        }
    }
}

/// Reads a number with separators.
pub(super) fn plain(text: &str) -> Result<Plain, NoPhone> {
    let visible: String = text.chars().filter(|char| !is_invisible(*char)).collect();
    let quotes = |char: char| {
        char.is_whitespace() || "\"'`,;\u{2018}\u{2019}\u{201c}\u{201d}".contains(char)
    };
    let text = visible.trim_matches(quotes);
    let exact = text.strip_prefix('+');
    let is_exact = exact.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if is_decimal(text) {
        return Err(NoPhone::NotANumber);
    }
    let (mut plus, mut digits, mut zero) = (false, String::new(), None);
    for (at, char) in text.char_indices() {
        if let Some(digit) = digit(char) {
            let in_brackets = digit == 0
                && text[..at].ends_with('(')
                && text[at + char.len_utf8()..].starts_with(')');
            if in_brackets && !digits.is_empty() && zero.is_none() {
                zero = Some(digits.len());
            }
            digits.push(char::from(b'0' + digit));
        } else if matches!(char, '+' | '\u{ff0b}') {
            if plus || !digits.is_empty() {
                return Err(NoPhone::NotANumber);
            }
            plus = true;
        } else if !is_separator(char) {
            return Err(NoPhone::NotANumber);
        }
    }
    if digits.is_empty() {
        return Err(NoPhone::NotANumber);
    }
    let without_zero = zero.map(|at| format!("{}{}", &digits[..at], &digits[at + 1..]));
    Ok(Plain {
        plus,
        digits,
        without_zero,
        is_exact,
    })
}

fn digit(char: char) -> Option<u8> {
    let of = |zero: char| u32::from(char).checked_sub(u32::from(zero));
    let zeros = std::iter::once('0').chain(ZEROS);
    let value = zeros.filter_map(of).find(|value| *value < 10)?;
    u8::try_from(value).ok()
}

/// What people write between the digits: spaces, brackets, dots, slashes, and dashes of any kind.
fn is_separator(char: char) -> bool {
    char.is_whitespace()
        || matches!(
            char,
            '(' | ')' | '[' | ']' | '.' | '/' | '-' | '~' | '\u{b7}'
        )
        || matches!(
            char,
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{30fc}'
        )
}

/// Marks of direction and joiners, which address books put around a number.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether a spreadsheet made a number of it: `33612345678.0`. Its last digits are none of the number.
fn is_decimal(text: &str) -> bool {
    let parts = text.strip_prefix('+').unwrap_or(text).split_once('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.is_some_and(|(whole, fraction)| {
        whole.len() >= 7 && is_number(whole) && fraction.len() <= 2 && is_number(fraction)
    })
}

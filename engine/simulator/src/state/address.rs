//! Phone numbers, and the devices behind them.

use std::sync::Arc;

/// Digits of a phone number; names an account everywhere inside.
pub(crate) type Pn = Arc<str>;

/// A device of an account; device 0 is the phone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) pn: Pn,
    pub(crate) device: u16,
}

/// `+` and digits, as everybody outside writes a number.
pub(crate) fn plus(pn: &str) -> String {
    format!("+{pn}")
}

/// The digits of a phone number: 5 to 17 of them, behind an optional `+`.
pub(crate) fn parse_phone(text: &str) -> Option<Pn> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let fits = (5..=17).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_behind_an_optional_plus() {
        assert_eq!(
            parse_phone("+491510000001").as_deref(),
            Some("491510000001")
        );
        assert_eq!(parse_phone("491510000001").as_deref(), Some("491510000001"));
        for bad in [
            "",
            "+",
            "0491510000001",
            "+49 151",
            "++4915100",
            "123456789012345678",
        ] {
            assert!(parse_phone(bad).is_none(), "{bad}");
        }
    }
}

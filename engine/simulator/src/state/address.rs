//! Phone numbers and devices.

use std::sync::Arc;

/// The digits of a phone number. They identify an account in the simulator.
pub(crate) type Pn = Arc<str>;

/// A device of an account. Device 0 is the phone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) pn: Pn,
    pub(crate) device: u16,
}

/// Returns `+` and the digits, the public form of a number.
pub(crate) fn plus(pn: &str) -> String {
    format!("+{pn}")
}

/// Parses a phone number: 5 to 17 digits after an optional `+`.
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

//! Phone numbers as people write them and as other systems name them.
//!
//! What begins with `+` or `00` says its country. Digits alone do not: they are accepted if they are a number that
//! exists with its country code in front, and refused if they may be a national number.

use passerelle_jobs::content::Phone;
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

use super::plain::{Plain, plain};

/// The longest text that is read as a phone number. A whole contact card is longer.
const LONGEST: usize = 4096;
/// The country code of North America. Behind it, national numbers of São Paulo and of China look like numbers too.
const NORTH_AMERICA: i32 = 1;

/// Why a text is not taken as a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPhone {
    /// It may be a number without its country code.
    NoCountry,
    /// It says its country, and no number of that country is as long.
    Length,
    /// It is something else.
    NotANumber,
}

impl NoPhone {
    /// Returns what is expected in its place.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::NoCountry => {
                "a phone number with its country code, such as +33612345678 for the French number 06 12 34 56 78"
            }
            Self::Length => {
                "a phone number that is as long as those of its country, such as +33612345678"
            }
            Self::NotANumber => "a phone number in international form, such as +33612345678",
        }
    }
}

/// Reads a phone number in any spelling that names one number only.
pub(crate) fn phone(text: &str) -> Result<Phone, NoPhone> {
    phone_in(text, None)
}

/// Reads a phone number. A national number is one of this country.
pub(crate) fn phone_in(text: &str, home: Option<Region>) -> Result<Phone, NoPhone> {
    if text.len() > LONGEST {
        return Err(NoPhone::NotANumber);
    }
    let written = written(text).ok_or(NoPhone::NotANumber)?;
    match written {
        // WhatsApp's own name of the account. Its form may differ from the one of the country.
        Written::Account(digits) => of_digits(&digits).or_else(|_| number(&plain(&digits)?, home)),
        Written::Number(text) => number(&plain(&text)?, home),
    }
}

/// The part of a text that has the number.
enum Written {
    Account(String),
    Number(String),
}

/// Comes before the account in a contact card.
const WAID: &str = "waid=";

/// Takes the number out of an address, a link or a contact card. Returns `None` if there is none, or more than one.
fn written(text: &str) -> Option<Written> {
    let text = text.trim();
    if text.to_ascii_lowercase().contains(WAID) {
        return of_card(text).map(Written::Account);
    }
    if let Some((user, server)) = text.rsplit_once('@') {
        let known = matches!(
            server.to_ascii_lowercase().as_str(),
            "s.whatsapp.net" | "c.us"
        );
        // `:` precedes the number of a device.
        let user = user.split([':', '.']).next().unwrap_or_default();
        return known.then(|| Written::Account(user.to_owned()));
    }
    if let Some(link) = link(text) {
        return of_link(&link).map(Written::Number);
    }
    let bare = ["tel:", "whatsapp:"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    Some(Written::Number(bare.unwrap_or(text).to_owned()))
}

/// Returns the account that the `waid` of a contact card names. Returns `None` if the card names several.
fn of_card(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut named = lower.match_indices(WAID).map(|(at, mark)| {
        let value = &text[at + mark.len()..];
        let digits = value.split(|char: char| !char.is_ascii_digit()).next();
        digits.unwrap_or_default().to_owned()
    });
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

/// Returns the whole address of a link. Returns `None` if the text is no link.
fn link(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let is_short = ["wa.me/", "api.whatsapp.com/"]
        .iter()
        .any(|host| lower.starts_with(host));
    if is_short {
        Some(format!("https://{text}"))
    } else {
        lower.contains("://").then(|| text.to_owned())
    }
}

/// Returns the number in a link that opens a chat. Returns `None` if it is another link.
fn of_link(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok()?;
    let asked = url.query_pairs().find(|(name, _)| name == "phone");
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some("wa.me")) => {
            let mut parts = url.path_segments()?;
            let first = parts.next()?.trim_start_matches("%2B").to_owned();
            let digits = first.trim_start_matches('+');
            let named = parts.all(str::is_empty) && is_digits(digits);
            named.then(|| format!("+{digits}"))
        }
        ("http" | "https", Some("api.whatsapp.com" | "web.whatsapp.com"))
        | ("whatsapp", Some("send")) => {
            // A `+` in a query is a space.
            let digits = asked?.1.trim().trim_start_matches('+').to_owned();
            is_digits(&digits).then(|| format!("+{digits}"))
        }
        _ => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(written: &Plain, home: Option<Region>) -> Result<Phone, NoPhone> {
    if !written.plus {
        if let Some(home) = home {
            return at_home(&written.digits, home);
        }
        return match written.digits.strip_prefix("00") {
            Some(rest) => abroad(&Plain::international(rest)),
            None => alone(&written.digits),
        };
    }
    if written.is_exact {
        // Numbering plans change faster than the lists of them: what is exactly E.164 is never refused.
        return abroad(written).or_else(|_| of_digits(&written.digits));
    }
    // A zero in brackets is dialled only inside the country.
    let without = written.without_zero.as_deref();
    let without = without.map(|digits| abroad(&Plain::international(digits)));
    match (without, abroad(written)) {
        (Some(Ok(phone)), Ok(other)) if !exists(&phone) && exists(&other) => Ok(other),
        (Some(Ok(phone)), _) => Ok(phone),
        (_, with) => with,
    }
}

/// Reads a number that begins with its country code.
fn abroad(written: &Plain) -> Result<Phone, NoPhone> {
    let parsed = parse(&written.digits).ok_or(NoPhone::NotANumber)?;
    let as_written = of_digits(&written.digits);
    if PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
        return shown(&parsed).ok_or(NoPhone::NotANumber);
    }
    let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&parsed);
    if possible == Ok(NumberLengthType::IsPossible) || is_older_mexican(&written.digits) {
        return as_written;
    }
    Err(NoPhone::Length)
}

/// Reads digits that may be a number with or without its country code.
fn alone(digits: &str) -> Result<Phone, NoPhone> {
    let parsed = parse(digits).filter(|_| !digits.starts_with('0'));
    let parsed = parsed.ok_or(NoPhone::NoCountry)?;
    if PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
        return shown(&parsed).ok_or(NoPhone::NotANumber);
    }
    let mobile = || PHONE_NUMBER_UTIL.is_possible_number_for_type(&parsed, PhoneNumberType::Mobile);
    let country = parsed.country_code;
    if is_older_mexican(digits) || (country != NORTH_AMERICA && mobile()) {
        return of_digits(digits).map_err(|_| NoPhone::NoCountry);
    }
    Err(NoPhone::NoCountry)
}

/// Reads what is dialled in this country.
fn at_home(digits: &str, home: Region) -> Result<Phone, NoPhone> {
    let parsed = PHONE_NUMBER_UTIL.parse(digits, Some(home));
    let parsed = parsed.map_err(|_| NoPhone::NotANumber)?;
    let possible = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&parsed);
    if possible != Ok(NumberLengthType::IsPossible) {
        return Err(NoPhone::Length);
    }
    shown(&parsed).ok_or(NoPhone::NotANumber)
}

/// Until 2019 a Mexican mobile number had a 1 behind the country code. WhatsApp still names accounts so.
fn is_older_mexican(digits: &str) -> bool {
    let today = digits.strip_prefix("521").map(|rest| format!("52{rest}"));
    let parsed = today.and_then(|today| parse(&today));
    parsed.is_some_and(|parsed| PHONE_NUMBER_UTIL.is_valid_number(&parsed))
}

/// Returns the country with these two letters, if it has phone numbers of its own.
pub(crate) fn country(letters: &str) -> Option<Region> {
    let region = letters.trim().to_ascii_uppercase().parse().ok()?;
    let known = PHONE_NUMBER_UTIL.get_country_code_for_region(region);
    known.map(|_| region)
}

/// Whether the numbering plan of its country has this number.
pub(crate) fn exists(phone: &Phone) -> bool {
    parse(phone.digits()).is_some_and(|parsed| PHONE_NUMBER_UTIL.is_valid_number(&parsed))
}

/// Returns the number in groups, as it is printed, and the two letters of its country if the number tells it.
pub(crate) fn printed(phone: &Phone) -> (Option<String>, Option<String>) {
    let Some(parsed) = parse(phone.digits()) else {
        return (None, None);
    };
    let printed = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::International);
    let country = PHONE_NUMBER_UTIL.get_region_for_number(&parsed);
    let country = country.map(|country| country.to_string());
    // Some numbers belong to the world, which is 001.
    let country = country.filter(|letters| letters.len() == 2);
    (Some(printed.into_owned()), country)
}

fn parse(digits: &str) -> Option<PhoneNumber> {
    PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()
}

fn shown(parsed: &PhoneNumber) -> Option<Phone> {
    Phone::parse(&PHONE_NUMBER_UTIL.format(parsed, PhoneNumberFormat::E164))
}

fn of_digits(digits: &str) -> Result<Phone, NoPhone> {
    Phone::parse(&format!("+{digits}")).ok_or(NoPhone::NotANumber)
}

#[cfg(test)]
mod tests;

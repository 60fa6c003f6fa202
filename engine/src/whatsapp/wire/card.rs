//! Contact cards as vCard 3.0 (RFC 2426), the format of WhatsApp's own apps. They use one
//! extension, the parameter `waid`: it tells a phone that the number is on WhatsApp.
//!
//! There is no suitable crate: the vCard crates support version 4.0 and calendars, and we need only
//! a few fields.

use crate::content::{Card, Phone};

/// Returns the card as text.
pub(super) fn write(card: &Card) -> String {
    let name = escaped(&card.name);
    let mut lines = vec![
        "BEGIN:VCARD".to_owned(),
        "VERSION:3.0".to_owned(),
        format!("N:;{name};;;"),
        format!("FN:{name}"),
    ];
    if let Some(organisation) = &card.organisation {
        lines.push(format!("ORG:{};", escaped(organisation)));
    }
    for phone in &card.phones {
        let waid = Phone::parse(phone)
            .map_or_else(String::new, |phone| format!(";waid={}", phone.digits()));
        lines.push(format!("TEL;type=CELL;type=VOICE{waid}:{}", escaped(phone)));
    }
    for email in &card.emails {
        lines.push(format!("EMAIL;type=INTERNET:{}", escaped(email)));
    }
    lines.push("END:VCARD".to_owned());
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").replace('\r', "\n").chars() {
        match char {
            '\n' => escaped.push_str("\\n"),
            '\\' | ',' | ';' => escaped.extend(['\\', char]),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Reads a vCard, as far as a [`Card`] can hold it. `shown` is the name that the message has for
/// the card.
pub(super) fn read(text: &str, shown: Option<&str>) -> Card {
    let mut card = Card {
        name: String::new(),
        phones: Vec::new(),
        organisation: None,
        emails: Vec::new(),
    };
    let mut parts_of_name = None;
    for line in unfolded(text) {
        let Some((head, value)) = line.split_once(':') else {
            continue;
        };
        let property = head.split(';').next().unwrap_or_default();
        // A group name may precede the property: `item1.TEL`.
        let property = property.rsplit('.').next().unwrap_or_default();
        match property.to_ascii_uppercase().as_str() {
            "FN" => card.name = unescaped(value),
            "N" => parts_of_name = Some(parts(value).join(" ")),
            "TEL" => card.phones.push(unescaped(value)),
            "ORG" => card.organisation = parts(value).into_iter().next(),
            "EMAIL" => card.emails.push(unescaped(value)),
            _ => {}
        }
    }
    if card.name.is_empty() {
        let beside = shown.map(ToOwned::to_owned).or(parts_of_name);
        card.name = beside.unwrap_or_default();
    }
    card.phones.retain(|phone| !phone.is_empty());
    card.emails.retain(|email| !email.is_empty());
    card
}

/// A line that begins with white space continues the line before.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Returns the parts of a structured value that are not empty.
fn parts(value: &str) -> Vec<String> {
    let (mut parts, mut part, mut escape) = (Vec::new(), String::new(), false);
    for char in value.chars() {
        match (escape, char) {
            (false, '\\') => escape = true,
            (false, ';') => parts.push(std::mem::take(&mut part)),
            (true, 'n' | 'N') => {
                part.push('\n');
                escape = false;
            }
            (_, char) => {
                part.push(char);
                escape = false;
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Reads a value that is a single text. A `;` in it is part of the text.
fn unescaped(value: &str) -> String {
    let (mut text, mut escape) = (String::with_capacity(value.len()), false);
    for char in value.chars() {
        match (escape, char) {
            (false, '\\') => {
                escape = true;
                continue;
            }
            (true, 'n' | 'N') => text.push('\n'),
            (_, char) => text.push(char),
        }
        escape = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_of_an_iphone_is_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lovelace;Ada;;;\r\nFN:Ada Love\r\n lace\r\n\
            ORG:Acme\\, Inc.;Repairs\r\nitem1.TEL;waid=491510000002:+49 151 0000002\r\n\
            item1.X-ABLabel:Mobile\r\nEMAIL;type=INTERNET:ada@example.org\r\nEND:VCARD\r\n";
        let card = read(text, None);
        assert_eq!(card.name, "Ada Lovelace");
        assert_eq!(card.phones, ["+49 151 0000002"]);
        assert_eq!(card.organisation.as_deref(), Some("Acme, Inc."));
        assert_eq!(card.emails, ["ada@example.org"]);
    }

    #[test]
    fn a_card_without_a_name_has_the_one_beside_it() {
        assert_eq!(
            read("BEGIN:VCARD\nTEL:1\nEND:VCARD", Some("Ada")).name,
            "Ada"
        );
        assert_eq!(read("N:Lovelace;Ada;;;", None).name, "Lovelace Ada");
        assert_eq!(read("", None).name, "");
    }

    #[test]
    fn a_number_on_whatsapp_is_marked_as_one() {
        let card = Card {
            name: "Ada; the \"first\"".into(),
            phones: vec!["+491510000002".into()],
            organisation: None,
            emails: vec![],
        };
        let text = write(&card);
        assert!(text.contains("\nTEL;type=CELL;type=VOICE;waid=491510000002:+491510000002\n"));
        assert!(text.contains("\nFN:Ada\\; the \"first\"\n"));
    }
}

//! The recipient of a request: a person by phone number, LID or contact id, or a group.

use passerelle_jobs::{content::Group, ids::ContactId, outbound::To};

use super::phone::{NoPhone, phone};
use crate::{flaws::Flaws, problem::Code};

/// Most digits of a LID. Those of today have 15.
const LID_MAX: usize = 20;

/// Reads the recipient in `to`.
pub(crate) fn recipient(text: &str, flaws: &mut Flaws) -> Option<To> {
    let read = parse(text);
    if let Err(no) = read {
        let code = match no {
            NoRecipient::Unsupported => Code::RecipientKindUnsupported,
            NoRecipient::Phone(_) => Code::InvalidRecipient,
        };
        flaws.unless(false, code, "/to", no.wanted());
    }
    read.ok()
}

/// Returns the normal form of a recipient, which answers show.
pub(crate) fn normal_form(to: &To) -> String {
    match to {
        To::Phone(phone) => phone.as_str().to_owned(),
        To::Lid(lid) => format!("{lid}@lid"),
        To::Contact(id) => id.to_string(),
        To::Group(group) => group.as_str().to_owned(),
    }
}

/// Why a text is not a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoRecipient {
    /// It is WhatsApp's address of a channel, a status post or a call.
    Unsupported,
    Phone(NoPhone),
}

impl NoRecipient {
    fn wanted(self) -> &'static str {
        match self {
            Self::Unsupported => {
                "a person or a group; channels, status and calls are not supported"
            }
            Self::Phone(NoPhone::NotANumber) => {
                "a phone number in international form, such as +33612345678, a contact id (ctc_…), a LID (…@lid) or a group (…@g.us)"
            }
            Self::Phone(no) => no.wanted(),
        }
    }
}

fn parse(text: &str) -> Result<To, NoRecipient> {
    let text = text.trim();
    let server = text.rfind('@').map(|at| text[at..].to_ascii_lowercase());
    let other = match server.as_deref() {
        Some("@newsletter" | "@broadcast" | "@call") => return Err(NoRecipient::Unsupported),
        Some("@lid") => lid(text).map(To::Lid),
        Some("@g.us") => Group::parse(text).map(To::Group),
        _ => ContactId::parse(text).ok().map(To::Contact),
    };
    let person = || phone(text).map(To::Phone).map_err(NoRecipient::Phone);
    other.map_or_else(person, Ok)
}

/// Returns the digits of a LID. `:` precedes the number of a device.
fn lid(text: &str) -> Option<String> {
    let (user, _) = text.rsplit_once('@')?;
    let digits = user.split(':').next()?;
    let sized = (1..=LID_MAX).contains(&digits.len()) && !digits.starts_with('0');
    let holds = sized && digits.bytes().all(|byte| byte.is_ascii_digit());
    holds.then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, NoRecipient> {
        parse(text).map(|to| normal_form(&to))
    }

    #[test]
    fn a_spelling_of_a_recipient_is_a_person_or_a_group() {
        for (spelling, normal) in [
            ("+49 151 0000002", "+491510000002"),
            ("491510000002@c.us", "+491510000002"),
            (
                "ctc_01kaq6h3zve9qbw4r2t8n5c7xd",
                "ctc_01kaq6h3zve9qbw4r2t8n5c7xd",
            ),
            (" 120363000000000000@g.us ", "120363000000000000@g.us"),
            (
                "491510000001-1600000000@g.us",
                "491510000001-1600000000@g.us",
            ),
            ("100000012345678@lid", "100000012345678@lid"),
            ("100000012345678:7@lid", "100000012345678@lid"),
            ("100000012345678@LID", "100000012345678@lid"),
        ] {
            assert_eq!(read(spelling), Ok(normal.to_owned()), "{spelling}");
        }
    }

    #[test]
    fn a_spelling_of_no_recipient_is_refused() {
        for other in [
            "",
            "nobody",
            "a@b.c",
            "a@g.us",
            "ctc_1",
            "msg_01kaq6h3zve9qbw4r2t8n5c7xd",
            "@lid",
            "0@lid",
            "12x@lid",
            "+100000012345678@lid",
            "100000012345678901234@lid",
            "100000012345678@hosted.lid",
        ] {
            let refused = Err(NoRecipient::Phone(NoPhone::NotANumber));
            assert_eq!(read(other), refused, "{other}");
        }
        // A LID without its server looks like a number.
        let alone = Err(NoRecipient::Phone(NoPhone::NoCountry));
        assert_eq!(read("100000012345678"), alone);
        for other in [
            "120363000000000001@newsletter",
            "status@broadcast",
            "x@call",
        ] {
            assert_eq!(read(other), Err(NoRecipient::Unsupported), "{other}");
        }
    }
}

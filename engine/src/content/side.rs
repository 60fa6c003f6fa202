//! Who messages go between: a person, or a group.

use serde::{Deserialize, Serialize};

/// A phone number in E.164: `+` and 7 to 15 digits, the first not 0 (ITU-T E.164).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Parses text from outside; `None` unless it is E.164 to the letter.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let sized = (7..=15).contains(&digits.len());
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        (sized && plain).then(|| Self(text.to_owned()))
    }

    /// With the leading `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the leading `+`, as WhatsApp writes it.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

/// A person. At least one of the two names is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The phone number, when WhatsApp or the caller told it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phone: Option<Phone>,
    /// WhatsApp's own id of the account, digits only (`…@lid` without the server).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lid: Option<String>,
}

/// What stands after a group's id where WhatsApp names it.
const GROUP_SERVER: &str = "@g.us";
/// The longest id of a group, in bytes. Those of today have 18 digits, old ones a number and a time.
const GROUP_MAX: usize = 40;

/// A group, as WhatsApp names it: `120363…@g.us`, or with a dash between its maker's number and a time.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(String);

impl Group {
    /// Parses text from outside.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.strip_suffix(GROUP_SERVER)?;
        let (made_by, at) = id.split_once('-').unwrap_or((id, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let holds = id.len() <= GROUP_MAX && is_number(made_by) && is_number(at);
        holds.then(|| Self(text.to_owned()))
    }

    /// With the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without it.
    pub fn id(&self) -> &str {
        self.0.strip_suffix(GROUP_SERVER).unwrap_or(&self.0)
    }
}

/// Who a message goes to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// One person.
    Person(Peer),
    /// Everybody in a group.
    Group(Group),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_by_numbers_and_its_server() {
        for name in ["120363041234567890@g.us", "491510000001-1600000000@g.us"] {
            let group = Group::parse(name).unwrap();
            assert_eq!(group.as_str(), name);
            assert_eq!(format!("{}@g.us", group.id()), name);
        }
        let long = format!("{}@g.us", "1".repeat(41));
        for name in [
            "",
            "@g.us",
            "-@g.us",
            "1-@g.us",
            "1-2-3@g.us",
            "12",
            "12@s.whatsapp.net",
            "１@g.us",
            "1:2@g.us",
            &long,
        ] {
            assert_eq!(Group::parse(name).map(|group| group.0), None, "{name}");
        }
    }
}

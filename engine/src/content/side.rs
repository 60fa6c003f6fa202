//! Who messages go to and come from: a person or a group.

use serde::{Deserialize, Serialize};

/// A phone number in E.164 format: `+` and 7 to 15 digits, of which the first is not 0 (ITU-T
/// E.164).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Parses a number from outside. Returns `None` unless it is exactly E.164, without spaces or
    /// dashes.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let sized = (7..=15).contains(&digits.len());
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        (sized && plain).then(|| Self(text.to_owned()))
    }

    /// Returns the number with the leading `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number without the leading `+`, which is WhatsApp's format.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

/// What people are called at WhatsApp.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderNames {
    /// The name that the person chose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub push_name: Option<String>,
    /// The name of a business that WhatsApp verified.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified_name: Option<String>,
}

impl SenderNames {
    /// Maximum length of a name, in characters.
    const MAX: usize = 100;

    /// Returns these names without control characters and without what is beyond the maximum. An empty name is
    /// none.
    pub fn new(push_name: Option<&str>, verified_name: Option<&str>) -> Self {
        let plain = |name: &str| {
            let name: String = name.chars().filter(|char| !char.is_control()).collect();
            let name: String = name.trim().chars().take(Self::MAX).collect();
            (!name.is_empty()).then_some(name)
        };
        Self {
            push_name: push_name.and_then(plain),
            verified_name: verified_name.and_then(plain),
        }
    }
}

/// A person. At least one of the two fields is set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The phone number, if WhatsApp or the caller gave it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phone: Option<Phone>,
    /// WhatsApp's own id of the account (LID): the digits before `@lid`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lid: Option<String>,
}

impl Peer {
    /// Returns whether two are the same account, as far as their phones and LIDs show.
    pub fn is_same(&self, other: &Self) -> bool {
        let phones = self.phone.is_some() && self.phone == other.phone;
        phones || (self.lid.is_some() && self.lid == other.lid)
    }
}

/// Ends the JID of every group.
const GROUP_SERVER: &str = "@g.us";
/// Maximum length of a group's id, in bytes. New ids have 18 digits; old ones are a phone number, a
/// dash and a time.
const GROUP_MAX: usize = 40;

/// JID of a group: `120363…@g.us`, or for old groups the creator's number, a dash and a time, then
/// `@g.us`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(String);

impl Group {
    /// Parses a JID from outside. Returns `None` if it is not a group's.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.strip_suffix(GROUP_SERVER)?;
        let (made_by, at) = id.split_once('-').unwrap_or((id, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let holds = id.len() <= GROUP_MAX && is_number(made_by) && is_number(at);
        holds.then(|| Self(text.to_owned()))
    }

    /// Returns the whole JID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the JID without `@g.us`.
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
    /// All members of a group.
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

//! What a message can carry: the schema of each kind, and the rules for its values.

use std::collections::HashSet;

use passerelle_jobs::{
    content::{self, Content, TEXT_MAX},
    ids::MessageId,
    media::MediaSource,
    preview,
};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::{flaws::Flaws, problem::Code, spelling::phone::phone, types::Id};

const NAME_MAX: usize = 100;
const ADDRESS_MAX: usize = 1000;
pub(crate) const CARDS_MAX: usize = 10;
pub(crate) const EACH_MAX: usize = 10;
const EMAIL_MAX: usize = 254;
pub(crate) const QUESTION_MAX: usize = 255;
pub(crate) const OPTION_MAX: usize = 100;
pub(crate) const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;

/// A kind of content in a request.
pub(crate) trait Shape {
    /// Returns the content, and adds every error in it to `flaws`.
    fn content(self, flaws: &mut Flaws) -> Parsed;
}

/// The content of a request.
pub(crate) struct Parsed {
    pub(crate) content: Content,
    /// Where its file is.
    pub(crate) source: Option<MediaSource>,
}

impl From<Content> for Parsed {
    fn from(content: Content) -> Self {
        let source = None;
        Self { content, source }
    }
}

/// A text to send.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewText {
    /// 1 to 65,536 bytes of UTF-8, not only white space.
    pub body: String,
    /// Whether to show a preview of the first `http` or `https` link in the text; false when absent. The
    /// gateway fetches that page. If this takes more than a few seconds, the text is sent without a preview.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link_preview: Option<bool>,
}

impl Shape for NewText {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        text(&self.body, "/text/body", flaws);
        let wanted = self.link_preview.unwrap_or(false);
        let link_preview = wanted.then(|| preview::of_first_link(&self.body)).flatten();
        Content::Text {
            body: self.body,
            link_preview,
        }
        .into()
    }
}

/// A text.
#[derive(Debug, Object)]
pub struct Text {
    /// The text.
    pub body: String,
    /// The preview of a link in the text. For an outbound text it is present once it was fetched.
    #[oai(skip_serializing_if_is_none)]
    pub link_preview: Option<LinkPreview>,
}

/// The preview of the page that a link leads to.
#[derive(Debug, Object)]
pub struct LinkPreview {
    /// The link as it is in the text.
    pub url: String,
    /// The title of the page.
    pub title: String,
    /// The description of the page.
    #[oai(skip_serializing_if_is_none)]
    pub description: Option<String>,
}

/// Checks a text.
pub(crate) fn text(body: &str, pointer: &str, flaws: &mut Flaws) {
    let wanted = "at least one character that is not white space";
    flaws.unless(!body.trim().is_empty(), Code::TextEmpty, pointer, wanted);
    let wanted = "at most 65536 bytes of UTF-8";
    flaws.unless(body.len() <= TEXT_MAX, Code::TextTooLong, pointer, wanted);
}

/// Whether it has 1 to `max` characters, not only white space, and no control characters.
fn is_line(text: &str, max: usize) -> bool {
    let sized = (1..=max).contains(&text.chars().count());
    sized && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// A location to send.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewLocation {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// The name of the place, 1 to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The address of the place, 1 to 1000 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
}

impl Shape for NewLocation {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        let code = Code::InvalidLocation;
        let holds = (-90.0..=90.0).contains(&self.latitude);
        flaws.unless(holds, code, "/location/latitude", "degrees, -90 to 90");
        let holds = (-180.0..=180.0).contains(&self.longitude);
        flaws.unless(holds, code, "/location/longitude", "degrees, -180 to 180");
        let fits = |text: &Option<String>, max| text.as_deref().is_none_or(|t| is_line(t, max));
        let wanted = "1 to 100 characters, without control characters";
        let holds = fits(&self.name, NAME_MAX);
        flaws.unless(holds, code, "/location/name", wanted);
        let wanted = "1 to 1000 characters, without control characters";
        let holds = fits(&self.address, ADDRESS_MAX);
        flaws.unless(holds, code, "/location/address", wanted);
        Content::Location(content::Location {
            name: self.name,
            address: self.address,
            ..content::Location::at(self.latitude, self.longitude)
        })
        .into()
    }
}

/// A contact card.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct ContactCard {
    /// The name of the person, 1 to 100 characters.
    pub name: String,
    /// The phone numbers. To send a card: 1 to 10 numbers with their country code, in any usual spelling; the card has
    /// them in E.164. A card that was received has the numbers as the sender wrote them.
    pub phones: Vec<String>,
    /// The company of the person, 1 to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub organisation: Option<String>,
    /// The email addresses, at most 10.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emails: Option<Vec<String>>,
}

impl Shape for Vec<ContactCard> {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        let holds = (1..=CARDS_MAX).contains(&self.len());
        flaws.unless(holds, Code::InvalidContact, "/contacts", "1 to 10 cards");
        // Cards beyond the limit are not checked.
        let cards = self.into_iter().take(CARDS_MAX).enumerate();
        Content::Contacts {
            contacts: cards.map(|(n, card)| card.card(n, flaws)).collect(),
        }
        .into()
    }
}

impl ContactCard {
    fn card(self, n: usize, flaws: &mut Flaws) -> content::Card {
        let mut flaw = |holds, field: &str, wanted| {
            let pointer = format!("/contacts/{n}/{field}");
            flaws.unless(holds, Code::InvalidContact, pointer, wanted);
        };
        let line = "1 to 100 characters, without control characters";
        flaw(is_line(&self.name, NAME_MAX), "name", line);
        let at_work = self.organisation.as_deref();
        let holds = at_work.is_none_or(|name| is_line(name, NAME_MAX));
        flaw(holds, "organisation", line);
        let holds = (1..=EACH_MAX).contains(&self.phones.len());
        flaw(holds, "phones", "1 to 10 phone numbers");
        let mut phones = Vec::with_capacity(self.phones.len().min(EACH_MAX));
        for (m, text) in self.phones.iter().take(EACH_MAX).enumerate() {
            match phone(text) {
                Ok(phone) => phones.push(phone.as_str().to_owned()),
                Err(no) => flaw(false, &format!("phones/{m}"), no.wanted()),
            }
        }
        let emails = self.emails.unwrap_or_default();
        flaw(emails.len() <= EACH_MAX, "emails", "at most 10 addresses");
        for (m, email) in emails.iter().take(EACH_MAX).enumerate() {
            let holds = is_line(email, EMAIL_MAX) && email.contains('@');
            flaw(holds, &format!("emails/{m}"), "an email address");
        }
        content::Card {
            name: self.name,
            phones,
            organisation: self.organisation,
            emails,
        }
    }
}

/// A question with options to choose from.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The question, 1 to 255 characters.
    pub question: String,
    /// The options to choose from: 2 to 12 different options of 1 to 100 characters.
    pub options: Vec<String>,
    /// How many options one voter may choose, 1 to the number of options; 1 when absent.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub selectable_count: Option<u32>,
}

impl Shape for Poll {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        let code = Code::InvalidPoll;
        let wanted = "1 to 255 characters, without control characters";
        let holds = is_line(&self.question, QUESTION_MAX);
        flaws.unless(holds, code, "/poll/question", wanted);
        let holds = OPTIONS.contains(&self.options.len());
        flaws.unless(holds, code, "/poll/options", "2 to 12 options");
        let mut seen = HashSet::new();
        for (n, option) in self.options.iter().take(*OPTIONS.end()).enumerate() {
            let holds = is_line(option, OPTION_MAX) && seen.insert(option);
            let wanted = "1 to 100 characters, without control characters, and different from the other options";
            flaws.unless(holds, code, format!("/poll/options/{n}"), wanted);
        }
        let count = self.selectable_count.unwrap_or(1);
        let holds = count >= 1 && usize::try_from(count).is_ok_and(|n| n <= self.options.len());
        let wanted = "1 to the number of options";
        flaws.unless(holds, code, "/poll/selectable_count", wanted);
        Content::Poll(content::Poll {
            question: self.question,
            options: self.options,
            selectable_count: count,
        })
        .into()
    }
}

/// A reaction to a message.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewReaction {
    /// The message to react to: an inbound or outbound message of the same chat.
    pub message_id: Id<MessageId>,
    /// A single emoji. An empty text removes the reaction.
    pub emoji: String,
}

impl Shape for NewReaction {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        let wanted = "a single emoji or an empty text";
        let holds = self.emoji.is_empty() || is_emoji(&self.emoji);
        flaws.unless(holds, Code::InvalidEmoji, "/reaction/emoji", wanted);
        Content::Reaction(content::Reaction {
            target: content::Target::of(self.message_id.0),
            emoji: self.emoji,
        })
        .into()
    }
}

/// Whether it is one character as people see it, and not a letter, a digit or punctuation. There is no list
/// of emoji here, because Unicode adds some every year. Phones show an unknown one as an empty box.
fn is_emoji(text: &str) -> bool {
    let one = text.graphemes(true).count() == 1 && text.len() <= 64;
    let pictured =
        |char: char| matches!(char, '\u{a9}' | '\u{ae}' | '\u{203c}'..) && !char.is_alphanumeric();
    one && !text.chars().any(char::is_whitespace) && text.chars().any(pictured)
}

/// A new text for a message that was sent.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewEdit {
    /// The message to edit: a text that you sent in the same chat in the last 15 minutes.
    pub message_id: Id<MessageId>,
    /// The new text: 1 to 65,536 bytes of UTF-8, not only white space.
    pub body: String,
}

impl Shape for NewEdit {
    fn content(self, flaws: &mut Flaws) -> Parsed {
        text(&self.body, "/edit/body", flaws);
        Content::Edit(content::Edit {
            target: content::Target::of(self.message_id.0),
            body: self.body,
        })
        .into()
    }
}

/// A message to delete for everyone.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewDelete {
    /// The message to delete: one that you sent in the same chat in the last two days.
    pub message_id: Id<MessageId>,
}

impl Shape for NewDelete {
    fn content(self, _: &mut Flaws) -> Parsed {
        Content::Delete(content::Delete {
            target: content::Target::of(self.message_id.0),
        })
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_is_one_picture_and_no_letter() {
        for emoji in ["👍", "❤️", "👨‍👩‍👧‍👦", "🇩🇪", "1️⃣", "👍🏽", "©️", "☎"]
        {
            assert!(is_emoji(emoji), "{emoji}");
        }
        for other in [
            "a", "ä", "1", "👍👍", "👍a", " ", "👍 ", "日", "ok", "\u{0}", "#",
        ] {
            assert!(!is_emoji(other), "{other:?}");
        }
    }
}

//! What stands beside a content: what it answers, whom it mentions, whether it was passed on.

use serde::{Deserialize, Serialize};

use super::{Content, Peer, Target};

/// The longest text of a [`Summary`], in characters.
const SUMMARY_MAX: usize = 300;

/// What stands beside a content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<Reply>,
    /// Whom its text mentions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mentions: Vec<Peer>,
    /// It is shown as passed on from another chat.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forwarded: bool,
    /// The chat of an inbound message as WhatsApp names it (a JID): receipts go there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chat: Option<String>,
    /// Who wrote an inbound message of a group, as the group names them (a JID).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub participant: Option<String>,
    /// What the votes in a poll are sealed under. It belongs to the poll for good, so that each try
    /// to send it carries the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<[u8; 32]>,
}

impl Context {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The message that another one answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Which one.
    #[serde(flatten)]
    pub target: Target,
    /// What it said, as far as a quote shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<Summary>,
}

/// What a quote shows of a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The quoted message's type, such as `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text, caption, question or name, shortened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}

impl Summary {
    /// Of a message of this type with this text, which is shortened.
    pub fn new(kind: &str, text: Option<&str>) -> Self {
        let text = text.filter(|text| !text.is_empty());
        Self {
            kind: kind.to_owned(),
            text: text.map(|text| text.chars().take(SUMMARY_MAX).collect()),
        }
    }

    /// What a quote of this content shows.
    pub fn of(content: &Content) -> Self {
        let text = match content {
            Content::Text { body, .. } => Some(body.as_str()),
            Content::Location(place) => place.name.as_deref().or(place.address.as_deref()),
            Content::Contacts { contacts } => contacts.first().map(|card| card.name.as_str()),
            Content::Poll(poll) => Some(poll.question.as_str()),
            Content::Edit(edit) => Some(edit.body.as_str()),
            Content::Reaction(reaction) => Some(reaction.emoji.as_str()),
            other => other
                .media()
                .and_then(|(_, media)| media.caption.as_deref().or(media.file_name.as_deref())),
        };
        Self::new(content.kind(), text)
    }
}

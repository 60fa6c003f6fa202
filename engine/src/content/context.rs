//! What goes with a content: the message it answers, mentions, whether it is forwarded.

use serde::{Deserialize, Serialize};

use super::{Content, Peer, Referral, Target};
use crate::ids::ContactId;

/// Maximum length of a [`Summary`]'s text, in characters.
const SUMMARY_MAX: usize = 300;

/// What goes with a content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<Reply>,
    /// The people its text mentions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mentions: Vec<Mention>,
    /// Whether it is shown as forwarded.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forwarded: bool,
    /// The advertisement that an inbound message answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub referral: Option<Referral>,
    /// The earlier message that it belongs to, such as an album.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part_of: Option<PartOf>,
    /// Names of the protobuf fields that the content of an inbound message was wrapped in, the outermost
    /// first, such as `ephemeralMessage`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub via: Vec<String>,
    /// JID of the chat of a message that WhatsApp delivered. Receipts are sent there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chat: Option<String>,
    /// JID of the group member who wrote an inbound message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub participant: Option<String>,
    /// The secret that encrypts the votes of a poll. It belongs to the poll, so every attempt to
    /// send the poll uses the same one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<[u8; 32]>,
}

impl Context {
    /// Returns whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A person whom a text mentions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The person.
    #[serde(flatten)]
    pub who: Peer,
    /// The contact, if an inbound message mentions one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contact_id: Option<ContactId>,
}

impl From<Peer> for Mention {
    fn from(who: Peer) -> Self {
        Self {
            who,
            contact_id: None,
        }
    }
}

/// The earlier message that a message belongs to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// WhatsApp's name of the relation in lower case, such as `media_album` or `hd_image_dual_upload`.
    #[serde(rename = "type")]
    pub kind: String,
    /// WhatsApp's id of the earlier message.
    pub wa_message_id: String,
    /// The place in it, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<u32>,
}

impl PartOf {
    /// Returns whether it is an album.
    pub fn is_album(&self) -> bool {
        self.kind == "media_album"
    }
}

/// The message that another one answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The answered message.
    #[serde(flatten)]
    pub target: Target,
    /// What a quote of it shows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<Summary>,
}

/// What a quote shows of a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Type of the quoted message, such as `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text, caption, question or name, shortened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
}

impl Summary {
    /// Makes a summary of a message of this type, with its text shortened.
    pub fn new(kind: &str, text: Option<&str>) -> Self {
        let text = text.filter(|text| !text.is_empty());
        Self {
            kind: kind.to_owned(),
            text: text.map(|text| text.chars().take(SUMMARY_MAX).collect()),
        }
    }

    /// Returns what a quote of this content shows.
    pub fn of(content: &Content) -> Self {
        let text = match content {
            Content::Text { body, .. } => Some(body.as_str()),
            Content::Location(place) => place.name.as_deref().or(place.address.as_deref()),
            Content::Contacts { contacts } => contacts.first().map(|card| card.name.as_str()),
            Content::Poll(poll) => Some(poll.question.as_str()),
            Content::Edit(edit) => Some(edit.body.as_str()),
            Content::Reaction(reaction) => Some(reaction.emoji.as_str()),
            Content::ButtonReply(tap) | Content::ListReply(tap) => Some(tap.title.as_str()),
            Content::Order(order) => order.text.as_deref().or(order.title.as_deref()),
            Content::Product(product) => product.title.as_deref().or(product.text.as_deref()),
            Content::Unsupported { text, .. } => text.as_deref(),
            other => other
                .media()
                .and_then(|(_, media)| media.caption.as_deref().or(media.file_name.as_deref())),
        };
        Self::new(content.kind(), text)
    }
}

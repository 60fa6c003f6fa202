//! What a message carries, and who sends and receives it.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

mod about;
mod context;
mod media;
mod preview;
mod referral;
mod shop;
mod shown;
mod side;
mod tap;

pub use about::{Delete, Edit, PollVote, Reaction, Target};
pub use context::{Context, Mention, PartOf, Reply, Summary};
pub use media::{Media, MediaKind};
pub use preview::LinkPreview;
pub use referral::Referral;
pub use shop::{Order, Product};
pub use shown::{Album, Card, Location, Poll};
pub use side::{Group, Peer, Phone, Recipient, SenderNames};
pub use tap::Tap;

use crate::sealed::sealed_debug;

/// Maximum length of a text, in bytes of UTF-8.
pub const TEXT_MAX: usize = 65_536;

/// What a message carries.
#[derive(Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text, at most [`TEXT_MAX`] bytes. Only an inbound one may be empty: an answer to an
    /// advertisement.
    Text {
        /// The text.
        body: String,
        /// Preview of the page that the first link in the text leads to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        link_preview: Option<LinkPreview>,
    },
    /// A picture.
    Image(Media),
    /// A video.
    Video(Media),
    /// A recording or music, shown as a file that can be played.
    Audio(Media),
    /// A voice note, shown with its waveform.
    Voice(Media),
    /// A file of any type.
    Document(Media),
    /// A sticker.
    Sticker(Media),
    /// A place on the map.
    Location(Location),
    /// One or more contact cards.
    Contacts {
        /// The cards.
        contacts: Vec<Card>,
    },
    /// A question with options to choose from.
    Poll(Poll),
    /// A vote in a poll.
    PollVote(PollVote),
    /// A button that was tapped.
    ButtonReply(Tap),
    /// A row that was chosen from a list.
    ListReply(Tap),
    /// An order.
    Order(Order),
    /// A product, or a catalogue.
    Product(Product),
    /// The announcement of an album.
    Album(Album),
    /// An emoji under a message.
    Reaction(Reaction),
    /// Replaces the text of an earlier message.
    Edit(Edit),
    /// Deletes a message for everyone.
    Delete(Delete),
    /// What remains of a message that was deleted for everyone.
    Deleted {},
    /// A message that cannot be decrypted. The sender's phone was asked to send it again; if it
    /// does, the new content replaces this one.
    Undecryptable {},
    /// A notice that only sets after how many seconds the chat's messages disappear; 0 means that they stay. It is
    /// never stored as a message.
    ChatTimer {
        /// The seconds.
        seconds: u32,
    },
    /// A view-once message. WhatsApp gives it to phones only, so it never comes here.
    ViewOnceUnavailable {},
    /// A kind of message that this version does not read. It is reported, not dropped.
    Unsupported {
        /// Name of the protobuf field that carried it, such as `imageMessage`.
        kind: String,
        /// What can be read of it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
    },
}

sealed_debug!(
    Content,
    Context,
    Mention,
    Reply,
    Summary,
    PartOf,
    Referral,
    Tap,
    Order,
    Product,
    Album,
    Target,
    Reaction,
    Edit,
    Delete,
    PollVote,
    Location,
    Card,
    Poll,
    LinkPreview,
    Phone,
    Peer,
    SenderNames,
    Group,
    Recipient,
);

impl Content {
    /// Makes a text without a link preview.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text {
            body: body.into(),
            link_preview: None,
        }
    }

    /// Returns the name in the API and the store, such as `text`.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// Returns the message that this content is about; `None` if it is not about another message.
    pub fn target(&self) -> Option<&Target> {
        Some(match self {
            Self::PollVote(vote) => &vote.target,
            Self::Reaction(reaction) => &reaction.target,
            Self::Edit(edit) => &edit.target,
            Self::Delete(delete) => &delete.target,
            _ => return None,
        })
    }

    /// As [`Content::target`], mutable.
    pub fn target_mut(&mut self) -> Option<&mut Target> {
        Some(match self {
            Self::PollVote(vote) => &mut vote.target,
            Self::Reaction(reaction) => &mut reaction.target,
            Self::Edit(edit) => &mut edit.target,
            Self::Delete(delete) => &mut delete.target,
            _ => return None,
        })
    }

    /// Replaces the text or caption. Returns false if this content has no text that can be edited.
    pub fn say(&mut self, now: &str) -> bool {
        match self {
            // The old preview belongs to the old text.
            Self::Text { .. } => *self = Self::text(now),
            Self::Image(media) | Self::Video(media) | Self::Document(media) => {
                media.caption = Some(now.to_owned());
            }
            _ => return false,
        }
        true
    }

    /// As [`Content::media`], mutable.
    pub fn media_mut(&mut self) -> Option<(MediaKind, &mut Media)> {
        Some(match self {
            Self::Image(media) => (MediaKind::Image, media),
            Self::Video(media) => (MediaKind::Video, media),
            Self::Audio(media) => (MediaKind::Audio, media),
            Self::Voice(media) => (MediaKind::Voice, media),
            Self::Document(media) => (MediaKind::Document, media),
            Self::Sticker(media) => (MediaKind::Sticker, media),
            _ => return None,
        })
    }

    /// Returns the file it carries, and how the file is shown.
    pub fn media(&self) -> Option<(MediaKind, &Media)> {
        Some(match self {
            Self::Image(media) => (MediaKind::Image, media),
            Self::Video(media) => (MediaKind::Video, media),
            Self::Audio(media) => (MediaKind::Audio, media),
            Self::Voice(media) => (MediaKind::Voice, media),
            Self::Document(media) => (MediaKind::Document, media),
            Self::Sticker(media) => (MediaKind::Sticker, media),
            _ => return None,
        })
    }
}

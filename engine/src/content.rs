//! What a message carries and who it goes between, in our own words.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

mod about;
mod context;
mod media;
mod preview;
mod shown;
mod side;

pub use about::{Delete, Edit, PollVote, Reaction, Target};
pub use context::{Context, Reply, Summary};
pub use media::{Media, MediaKind};
pub use preview::LinkPreview;
pub use shown::{Card, Location, Poll};
pub use side::{Group, Peer, Phone, Recipient};

use crate::sealed::sealed_debug;

/// The longest text, in bytes of UTF-8.
pub const TEXT_MAX: usize = 65_536;

/// What a message carries.
#[derive(Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text, 1 to [`TEXT_MAX`] bytes.
    Text {
        /// The text itself.
        body: String,
        /// What is shown of the page that its first link leads to.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        link_preview: Option<LinkPreview>,
    },
    /// A picture.
    Image(Media),
    /// A film.
    Video(Media),
    /// A recording or a piece of music, shown as a file that plays.
    Audio(Media),
    /// A recording that was spoken into the phone, shown with its waveform.
    Voice(Media),
    /// Any file.
    Document(Media),
    /// A sticker.
    Sticker(Media),
    /// A place on the map.
    Location(Location),
    /// Contact cards, one or more.
    Contacts {
        /// The cards.
        contacts: Vec<Card>,
    },
    /// A question with options to choose from.
    Poll(Poll),
    /// A vote in a poll.
    PollVote(PollVote),
    /// An emoji under a message.
    Reaction(Reaction),
    /// A new text in place of an older one.
    Edit(Edit),
    /// A message is taken from everybody's chat.
    Delete(Delete),
    /// What is left of a message that was deleted for everybody.
    Deleted {},
    /// A message that cannot be decrypted: it was asked for again, and what it says comes in its place if
    /// it comes.
    Undecryptable {},
    /// Something this version does not read yet; it is told, never dropped in silence.
    Unsupported {
        /// The protobuf field that carried it, such as `imageMessage`.
        kind: String,
    },
}

sealed_debug!(
    Content,
    Context,
    Reply,
    Summary,
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
    Group,
    Recipient,
);

impl Content {
    /// A text, and nothing shown beside it.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text {
            body: body.into(),
            link_preview: None,
        }
    }

    /// The name in the API and the store: `text`, …
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// The message it is about, of a content that is about another.
    pub fn target(&self) -> Option<&Target> {
        Some(match self {
            Self::PollVote(vote) => &vote.target,
            Self::Reaction(reaction) => &reaction.target,
            Self::Edit(edit) => &edit.target,
            Self::Delete(delete) => &delete.target,
            _ => return None,
        })
    }

    /// As [`Content::target`], to fill in what is known of it.
    pub fn target_mut(&mut self) -> Option<&mut Target> {
        Some(match self {
            Self::PollVote(vote) => &mut vote.target,
            Self::Reaction(reaction) => &mut reaction.target,
            Self::Edit(edit) => &mut edit.target,
            Self::Delete(delete) => &mut delete.target,
            _ => return None,
        })
    }

    /// Puts a new text in place of the one it has; false when it has none that could be edited.
    pub fn say(&mut self, now: &str) -> bool {
        match self {
            // The preview was of the text before.
            Self::Text { .. } => *self = Self::text(now),
            Self::Image(media) | Self::Video(media) | Self::Document(media) => {
                media.caption = Some(now.to_owned());
            }
            _ => return false,
        }
        true
    }

    /// As [`Content::media`], to fill in what is known of it.
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

    /// The file it carries, with how it is shown.
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

//! Contents that are about another message: a reaction, an edit, a deletion, a vote.

use serde::{Deserialize, Serialize};

use crate::ids::MessageId;

/// The message that a content is about.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Our id of it, if we know the message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id: Option<MessageId>,
    /// WhatsApp's id of it.
    #[serde(default)]
    pub wa_message_id: String,
    /// Whether the session's own number wrote it.
    #[serde(default)]
    pub from_me: bool,
    /// JID of the member who wrote it, in a group. Absent if the session's own number wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub participant: Option<String>,
}

impl Target {
    /// Makes a target from our id. The other fields still have to be looked up.
    pub fn of(id: MessageId) -> Self {
        Self {
            message_id: Some(id),
            ..Self::default()
        }
    }
}

/// An emoji on a message. Each person has at most one reaction to a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message it reacts to.
    #[serde(flatten)]
    pub target: Target,
    /// The emoji. Empty removes the reaction.
    pub emoji: String,
}

/// Replaces the text of an earlier message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The message to edit.
    #[serde(flatten)]
    pub target: Target,
    /// The new text. For a message with a file it is the caption.
    pub body: String,
}

/// Deletes a message for everyone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The message to delete.
    #[serde(flatten)]
    pub target: Target,
}

/// A vote in a poll. Only the latest vote of a person counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollVote {
    /// The poll.
    #[serde(flatten)]
    pub target: Target,
    /// The chosen options; an empty list removes the vote. Absent if we do not know the poll and so
    /// cannot decrypt the vote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub options: Option<Vec<String>>,
}

//! Contents that are about another message: a reaction, an edit, a deletion, a vote.

use serde::{Deserialize, Serialize};

use crate::ids::MessageId;

/// Which message another one is about.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Our id of it, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id: Option<MessageId>,
    /// WhatsApp's id of it.
    #[serde(default)]
    pub wa_message_id: String,
    /// Whether the session's own number wrote it.
    #[serde(default)]
    pub from_me: bool,
    /// Who wrote it, of a message in a group, as the group names them (a JID). Absent of one of ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub participant: Option<String>,
}

impl Target {
    /// One that is known by our id and still has to be looked up.
    pub fn of(id: MessageId) -> Self {
        Self {
            message_id: Some(id),
            ..Self::default()
        }
    }
}

/// An emoji under a message. One writer has one reaction to a message at most.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// To which message.
    #[serde(flatten)]
    pub target: Target,
    /// The emoji; empty takes the reaction back.
    pub emoji: String,
}

/// A new text in place of an older one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Of which message.
    #[serde(flatten)]
    pub target: Target,
    /// The text it has now; of a message with a file, the caption.
    pub body: String,
}

/// A message is taken from everybody's chat.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Which message.
    #[serde(flatten)]
    pub target: Target,
}

/// A vote in a poll. The newest of a voter counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollVote {
    /// In which poll.
    #[serde(flatten)]
    pub target: Target,
    /// The options that were chosen, none when the vote was taken back; absent when the poll is not
    /// known here and the vote cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub options: Option<Vec<String>>,
}

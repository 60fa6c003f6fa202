//! Contents that are about another message, as they are answered.

use passerelle_jobs::{
    content::{self, Target},
    ids::MessageId,
};
use poem_openapi::Object;
use serde::Serialize;

use crate::types::Id;

macro_rules! about {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Object)]
        pub struct $name {
            /// Our id of that message, where it is known.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub message_id: Option<Id<MessageId>>,
            /// WhatsApp's id of it.
            pub wa_message_id: String,
            /// Whether the session's own number wrote it.
            pub from_me: bool,
            /// Who wrote it, of a message in a group that another member wrote, as the group names them:
            /// `…@lid` or `…@s.whatsapp.net`.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub participant: Option<String>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            fn about(target: Target, $($field: $type),*) -> Self {
                Self {
                    message_id: target.message_id.map(Id),
                    wa_message_id: target.wa_message_id,
                    from_me: target.from_me,
                    participant: target.participant,
                    $($field,)*
                }
            }
        }
    };
}

about!(
/// An emoji under a message.
Reaction {
    /// The emoji; an empty text took the reaction back.
    emoji: String,
});
about!(
/// A new text in place of an older one.
Edit {
    /// The text now; of a message with a file, its caption.
    body: String,
});
about!(
/// A message was taken from everybody's chat.
Delete {});
about!(
/// A vote in a poll. The newest of a voter counts.
PollVote {
    /// The options that were chosen, none when the vote was taken back; absent when the poll is not
    /// known here, and the vote cannot be opened.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Vec<String>>,
});
about!(
/// The message that another one answers.
Reply {
    /// What it said, as far as a quote shows it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<QuoteSummary>,
});

/// What a quote shows of a message.
#[derive(Debug, Serialize, Object)]
pub struct QuoteSummary {
    /// The quoted message's type, such as `text`.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text, caption, question or name; at most 300 characters.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl From<content::Reaction> for Reaction {
    fn from(reaction: content::Reaction) -> Self {
        Self::about(reaction.target, reaction.emoji)
    }
}

impl From<content::Edit> for Edit {
    fn from(edit: content::Edit) -> Self {
        Self::about(edit.target, edit.body)
    }
}

impl From<content::Delete> for Delete {
    fn from(delete: content::Delete) -> Self {
        Self::about(delete.target)
    }
}

impl From<content::PollVote> for PollVote {
    fn from(vote: content::PollVote) -> Self {
        Self::about(vote.target, vote.options)
    }
}

impl From<content::Reply> for Reply {
    fn from(reply: content::Reply) -> Self {
        let summary = reply.summary.map(|summary| QuoteSummary {
            kind: summary.kind,
            text: summary.text,
        });
        Self::about(reply.target, summary)
    }
}

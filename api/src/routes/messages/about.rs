//! Contents that are about another message or mention people, in an answer.

use passerelle_jobs::ids::{ContactId, MessageId};
use poem_openapi::Object;

use crate::types::Id;

macro_rules! about {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Object)]
        #[oai(skip_serializing_if_is_none)]
        pub struct $name {
            /// The id of that message in this gateway, if it is known.
            pub message_id: Option<Id<MessageId>>,
            /// WhatsApp's id of that message.
            pub wa_message_id: String,
            /// Whether the session's own number sent that message.
            pub from_me: bool,
            /// The sender of that message, if another member of a group sent it, as the group names the
            /// member: `…@lid` or `…@s.whatsapp.net`.
            pub participant: Option<String>,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

about!(
/// A reaction to a message.
Reaction {
    /// The emoji. An empty text removed the reaction.
    emoji: String,
});
about!(
/// An edit of a message.
Edit {
    /// The new text, or the new caption of a message with a file.
    body: String,
});
about!(
/// A deletion of a message for everyone.
Delete {});
about!(
/// A vote in a poll. The newest vote of a voter counts.
PollVote {
    /// The chosen options; empty if the vote was removed. Absent if this gateway does not know the poll and
    /// cannot decrypt the vote.
    options: Option<Vec<String>>,
});
about!(
/// The message that a reply is about.
Reply {
    /// The content of the quoted message, as the reply shows it.
    summary: Option<QuoteSummary>,
});

/// The quoted part of a message.
#[derive(Debug, Object)]
pub struct QuoteSummary {
    /// The type of the quoted message, such as `text`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Its text, caption, question or name; at most 300 characters.
    #[oai(skip_serializing_if_is_none)]
    pub text: Option<String>,
}

/// A person whom a text mentions.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Mentioned {
    /// The contact, if the message came in, or was written on another device of the number, and the person is one.
    pub contact_id: Option<Id<ContactId>>,
    /// The phone number in E.164, as WhatsApp writes it once it is known.
    pub phone: Option<String>,
    /// WhatsApp's own id of the person (LID), if it is known.
    pub lid: Option<String>,
}

//! Contents as WhatsApp writes them, both ways. What [`build`] makes, [`read`] reads back.
//!
//! | page | what it holds |
//! |---|---|
//! | `build`, `read` | a whole message |
//! | `about` | which message another one is about, and quotes |
//! | `card` | contact cards (vCard) |
//! | `media` | messages that carry a file |
//! | `poll` | polls and the votes in them |

mod about;
mod build;
mod card;
mod media;
mod poll;
mod read;
#[cfg(test)]
mod tests;

use whatsapp_rust::Jid;

pub(super) use self::{
    about::peer,
    build::message,
    poll::SealedVote,
    read::{Read, read},
};
pub use self::{
    media::{Attached, clean_file_name},
    poll::Ballot,
};

/// The two sides of a chat as WhatsApp names them in it.
#[derive(Debug, Clone)]
pub(super) struct Sides {
    /// The other side, or the group: the chat's name.
    pub(super) chat: Jid,
    /// This number, named the same way.
    pub(super) me: Option<Jid>,
}

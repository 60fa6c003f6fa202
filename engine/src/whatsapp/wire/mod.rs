//! Contents as WhatsApp writes them, both ways. What [`build`] makes, [`read`] reads back.
//!
//! | page | what it holds |
//! |---|---|
//! | `build`, `read` | a whole message |
//! | `about` | which message another one is about, and quotes |
//! | `card` | contact cards (vCard) |
//! | `media` | messages that carry a file |
//! | `poll` | polls and the votes in them |
//! | `sides` | the two sides of a chat |

mod about;
mod build;
mod card;
mod media;
mod poll;
mod read;
pub(super) mod sides;
#[cfg(test)]
mod tests;

pub(super) use self::{
    build::message,
    read::{Read, read},
};
pub use self::{media::clean_file_name, poll::Ballot};

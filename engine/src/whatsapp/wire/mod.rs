//! Contents in WhatsApp's format. [`build`] writes them and [`read`] reads them back.
//!
//! | page | what it holds |
//! |---|---|
//! | `build`, `read` | a whole message |
//! | `about` | how a message refers to another one; quotes |
//! | `card` | contact cards (vCard) |
//! | `media` | messages with a file |
//! | `poll` | polls and votes |
//! | `sides` | the two sides of a chat |
//! | `timer` | how long the messages of a chat stay |

mod about;
mod build;
mod card;
mod media;
mod poll;
mod read;
pub(super) mod sides;
#[cfg(test)]
mod tests;
pub(super) mod timer;

pub(super) use self::{
    build::message,
    read::{Read, read},
};
pub use self::{media::clean_file_name, poll::Ballot};

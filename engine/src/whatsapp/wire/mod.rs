//! Contents in WhatsApp's format. [`build`] writes them and [`read`] reads them back.
//!
//! | page | what it holds |
//! |---|---|
//! | `build`, `read` | a whole message |
//! | `wrappers` | what is around a content |
//! | `kinds` | the names of contents, and those that are not read |
//! | `about` | how a message refers to another one; quotes |
//! | `business`, `taps` | what a business offers, and what a person chose of it |
//! | `card` | contact cards (vCard) |
//! | `media` | messages with a file |
//! | `poll` | polls and votes |
//! | `referral` | the advertisement that a message answers |
//! | `shop` | orders and products |
//! | `sides` | the two sides of a chat |
//! | `text` | texts from outside, shortened |
//! | `timer` | how long the messages of a chat stay |

mod about;
mod build;
mod business;
mod card;
#[cfg(test)]
mod fidelity;
mod kinds;
mod media;
mod poll;
mod read;
mod referral;
mod shop;
pub(super) mod sides;
mod taps;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod timer;
mod wrappers;

pub(super) use self::{
    build::message,
    read::{Read, read},
    text::cut,
};
pub use self::{media::clean_file_name, poll::Ballot};

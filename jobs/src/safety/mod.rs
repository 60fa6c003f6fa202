//! Number safety: limits on what a number may do, and how fast.
//!
//! | page | what it holds |
//! |---|---|
//! | [`decide`] | which message of a number goes next, and when |
//! | [`policy`], `presets`, [`tighten`] | every limit, the numbers of each preset, and what a tenant may change |
//! | [`curve`] | the gaps between messages |
//! | [`state`], [`window`], [`ratio`] | what a number has sent |
//! | [`number`], [`contact`], [`groups`], [`quiet`] | what limits a number, and what limits messages to a contact or a group |
//! | [`health`], [`level`] | what WhatsApp signals about a number, and what that stops |
//! | [`steps`] | what becomes of that when the clock steps |
//! | [`estimate`], [`turn`] | when a message that waits is sent |
//! | [`likeness`] | whether two texts are nearly the same |
//! | [`figure`] | the curves as a picture |
//! | [`pace`], [`pairing`] | the gap of the sandbox; how many pairing codes may be requested |
//!
//! Except for the last two they are pure: no clock, chance or database.

pub mod contact;
pub mod curve;
pub mod decide;
pub mod estimate;
pub mod figure;
pub mod groups;
pub mod health;
pub mod hold;
pub(crate) mod known;
pub mod level;
pub mod likeness;
pub mod number;
pub mod pace;
pub mod pairing;
pub mod permission;
pub mod policy;
pub mod preset;
mod presets;
pub mod quiet;
pub mod ratio;
mod shown;
pub mod state;
pub mod steps;
#[cfg(test)]
mod tests;
pub mod tighten;
pub mod turn;
pub mod window;
mod zones;

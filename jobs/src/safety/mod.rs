//! Number safety: limits on what a number may do, and how fast.

pub mod pace;
pub mod pairing;
pub mod permission;
pub mod preset;
pub mod purpose;

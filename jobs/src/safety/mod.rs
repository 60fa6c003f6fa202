//! Number safety: limits on what a number may do, and how fast.

pub mod health;
pub mod level;
pub mod pace;
pub mod pairing;
pub mod preset;

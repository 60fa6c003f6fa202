//! Number safety: what a number may do, and how fast.

pub mod pace;

//! Tests the simulator from outside, in three ways: the control API over HTTP; a bare client that
//! sends single stanzas and can misbehave; and the library that the gateway is built on.

#![expect(clippy::unwrap_used, reason = "a failure here fails the test")]

mod away;
mod code;
mod control;
mod delivery;
mod groups;
mod kinds;
mod library;
mod linking;
mod media;
mod presence;
mod profile;
mod raw;
mod sim;
mod tokens;
mod tunnel;

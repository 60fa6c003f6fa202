//! The simulator from outside: the control API over HTTP, and a client that speaks the protocol in
//! the open, stanza by stanza, so that tests can do what a well-behaved client would not; and the
//! library that the gateway is built on, as a client of another make.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod code;
mod control;
mod delivery;
mod groups;
mod kinds;
mod library;
mod linking;
mod media;
mod presence;
mod raw;
mod sim;

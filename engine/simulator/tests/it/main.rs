//! The simulator from outside: the control API over HTTP, and a client that speaks the protocol in
//! the open, stanza by stanza, so that tests can do what a well-behaved client would not.

mod code;
mod control;
mod delivery;
mod linking;
mod presence;
mod raw;

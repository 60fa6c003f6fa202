//! The muscle: connect, send, listen; the vault and the sealed key store. The only crate that
//! names whatsapp-rust and wacore; nothing of theirs shows in its public types.
//!
//! | page | what it holds |
//! |---|---|
//! | [`ids`], [`clock`] | TypeIDs, time |
//! | [`store`] | the pool, and the one writer that groups commits |
//! | [`lease`] | the fenced right to run a session |
//! | [`vault`] | key-encryption keys, data keys, sealing, look-up HMACs |
//! | [`keystore`] | the WhatsApp library's storage traits over the store, every value sealed |
//! | [`content`] | what a message carries, in our own words |
//! | [`media`] | files, encrypted as WhatsApp does |
//! | [`whatsapp`] | one live connection: pair, send, listen; what it tells and what comes in |
#![recursion_limit = "512"]

pub mod clock;
pub mod content;
pub mod crash;
pub mod ids;
pub mod keystore;
pub mod lease;
pub mod media;
mod sealed;
pub mod store;
pub mod vault;
pub mod whatsapp;

#[cfg(test)]
mod testing;

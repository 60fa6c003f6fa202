//! Connects to WhatsApp, sends and receives; holds the vault and the sealed key store. This is the
//! only crate that uses whatsapp-rust and wacore. None of their types appear in its public API.
//!
//! | page | what it holds |
//! |---|---|
//! | [`ids`], [`clock`] | TypeIDs; time as an argument |
//! | [`store`] | the database: its address, connection pools, and the single writer of SQLite |
//! | [`certificate`] | why TLS to a server of ours failed |
//! | [`lease`] | the fenced right to run a session |
//! | [`vault`] | key-encryption keys, data keys, sealing, look-up HMACs |
//! | [`keystore`] | the WhatsApp library's storage traits over the store; every value is sealed |
//! | [`content`] | what a message carries |
//! | [`media`] | encryption of files, in WhatsApp's format |
//! | [`whatsapp`] | one live connection: pair, send, receive |
//! | [`crash`] | named crash points for tests |
#![recursion_limit = "512"]

pub mod certificate;
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

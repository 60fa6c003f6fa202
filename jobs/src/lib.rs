//! The brain: domain types, all product SQL, queues, lanes, pacing, hosts and webhooks.
//!
//! | page | what it holds |
//! |---|---|
//! | [`services`], [`roles`] | what every call stands on; what a process does |
//! | [`model`], `store` | the domain's types; all product SQL |
//! | [`organisations`], [`keys`], [`sessions`], [`messages`], [`endpoints`] | what a tenant or the operator handles |
//! | [`outbound`], [`pacing`], [`host`] | accepting, pacing and sending a message |
//! | [`media`] | files: taking them in, keeping them, giving them out |
//! | [`preview`] | link previews |
//! | [`numbers`] | whether a phone number has WhatsApp |
//! | [`target`], [`reading`], [`typing`] | messages about other messages; telling a contact what was read, and that one is typing |
//! | `inbound`, `opt_out`, [`events`], [`webhook`] | what comes in, and telling it |
//! | `commands`, `wake` | reaching what runs in another process |
//! | [`time`] | the one clock of a cluster |
//! | `rate` | how often a session may do what no lane paces |
//! | [`queue`] | rows of the store as apalis jobs; the only place that names apalis |
//! | [`crash`] | named crash points |
//!
//! Invariants: what is answered as accepted is committed; a lane has one message in flight and keeps
//! its order; a status never goes back; each event stands in the transaction of its change; every
//! write of a host for a session begins with its lease.
#![recursion_limit = "512"]

pub use passerelle_engine::crash;
mod contacts;
pub mod endpoints;
pub mod error;
pub mod events;
pub mod host;
mod inbound;
pub mod keys;
pub mod media;
pub mod messages;
pub mod model;
pub mod organisations;
pub mod outbound;
pub mod preview;
pub mod queue;
pub mod roles;
pub mod safety;
pub mod services;
pub mod sessions;
mod state;
mod store;
mod sweep;
#[cfg(test)]
mod testing;
pub mod time;
mod wake;
pub mod webhook;

/// What the front door needs of the muscle: it names no other page of it.
pub use passerelle_engine::{
    clock, content, ids,
    store::Store,
    vault::{KekRing, Vault},
    whatsapp::{Connects, LOG_FILTER, ServerAddress, WhatsApp, clean_file_name},
};
pub use services::{Services, Settings};

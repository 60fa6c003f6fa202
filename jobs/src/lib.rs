//! The brain: domain types, all product SQL, queues, lanes, pacing, hosts and webhooks.
//!
//! | page | what it holds |
//! |---|---|
//! | [`services`], [`settings`], [`roles`] | what every call needs; what a process does |
//! | [`model`], `state`, `store` | the domain's types; what a process holds in memory; all product SQL |
//! | [`organisations`], [`keys`], [`endpoints`] | what a tenant or the operator manages |
//! | [`sessions`] | sessions, and requests to a live one: number checks, groups, typing, read receipts |
//! | [`messages`] | messages: how they are sealed and shown, messages about other messages, opting out |
//! | [`outbound`], [`safety`], [`host`] | accepting, pacing and sending a message |
//! | [`lanes`], [`policies`] | the queue of a session and the limits of an organisation, from a tenant's view |
//! | `number_health` | what is learned about a number, and telling its sessions |
//! | [`media`] | files: storing, keeping and serving them |
//! | [`preview`] | link previews |
//! | `inbound`, `calls`, `contacts`, `acquaintances`, [`events`], [`webhook`] | inbound messages and calls, their contacts, whom a number knows, and their events |
//! | [`replies`] | automatic replies: rules, and what they do with an inbound message |
//! | [`people`], [`opt_outs`], [`consents`], `plain` | contacts, opt-outs and consents from a tenant's view; text as it is compared |
//! | `private` | the modes of files |
//! | `outage` | waiting for a database that does not answer |
//! | [`shares`] | what all organisations use, with a share for each |
//! | [`limits`] | the numbers of limits, for those who write about them |
//! | [`usage`] | what an organisation uses of its limits |
//! | `wake` | waking the other processes of a cluster |
//! | [`time`] | the one clock of a cluster |
//! | [`queue`] | rows of the store as apalis jobs; the only place that names apalis |
//! | [`crash`] | named crash points |
//!
//! Invariants:
//!
//! - A message that was answered as accepted is committed.
//! - A lane has one message in flight and keeps its order.
//! - A status never goes back.
//! - Each event is written in the transaction of its change.
//! - Every write of a host for a session begins with its lease.
#![recursion_limit = "512"]

pub use passerelle_engine::crash;
mod acquaintances;
mod calls;
pub mod consents;
mod contacts;
pub mod endpoints;
pub mod error;
pub mod events;
pub mod host;
mod inbound;
pub mod keys;
pub mod lanes;
pub mod limits;
pub mod media;
pub mod messages;
pub mod model;
mod number_health;
pub mod opt_outs;
pub mod organisations;
mod outage;
pub mod outbound;
pub mod people;
mod plain;
pub mod policies;
pub mod preview;
mod private;
mod queries;
pub mod queue;
pub mod redis_server;
pub mod replies;
pub mod roles;
pub mod safety;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod shares;
mod state;
mod store;
mod sweep;
#[cfg(test)]
mod testing;
pub mod time;
pub mod usage;
mod wake;
pub mod webhook;

/// What the API needs of the engine. It names no other page of it.
pub use passerelle_engine::{
    clock, content, ids,
    store::{Address, AddressError, PoolerError, Store},
    vault::{KekRing, Vault},
    whatsapp::{Connects, LOG_FILTER, ServerAddress, WhatsApp, clean_file_name},
};
pub use private::keep_files_private;
pub use services::Services;
pub use settings::Settings;

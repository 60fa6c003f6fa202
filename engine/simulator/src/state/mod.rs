//! What the simulated world holds: data and small methods on it. Nothing here acts.
//!
//! These pages import each other, `stanza` and `certs`, and nothing else of this crate.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod bundle;
pub(crate) mod call;
pub(crate) mod chat;
pub(crate) mod circle;
pub(crate) mod clock;
pub(crate) mod content;
pub(crate) mod cuts;
pub(crate) mod device;
pub(crate) mod faults;
pub(crate) mod group;
pub(crate) mod ledger;
pub(crate) mod media_store;
pub(crate) mod order;
pub(crate) mod pairing;
pub(crate) mod passes;
pub(crate) mod phone_keys;
pub(crate) mod picture;
pub(crate) mod queue;
pub(crate) mod screen;
pub(crate) mod speech;
pub(crate) mod stats;
pub(crate) mod view;
pub(crate) mod world;

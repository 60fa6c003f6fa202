//! What a process holds in memory. Data and its small methods: nothing here does I/O, and nothing
//! names `Services`, which stands on it.

pub(crate) mod decoding;
pub(crate) mod fence;
pub(crate) mod gathering;
pub(crate) mod in_flight;
pub(crate) mod in_hand;
pub(crate) mod rate_limit;
pub(crate) mod registry;
pub(crate) mod token_link;
pub(crate) mod typing;
pub(crate) mod upload_slots;
pub(crate) mod wake_publisher;

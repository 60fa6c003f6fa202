//! All product SQL, one page per table. Every function here takes an `OrgId`, except the few in
//! [`system`] that serve every tenant at once.

pub(crate) mod acquaintances;
pub(crate) mod auto_replies;
pub(crate) mod chat_timers;
pub(crate) mod commands;
pub(crate) mod consents;
pub(crate) mod contacts;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod fingerprints;
pub(crate) mod idempotency;
pub(crate) mod keys;
pub(crate) mod lanes;
pub(crate) mod links;
pub(crate) mod live;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod number_checks;
pub(crate) mod opt_in_links;
pub(crate) mod organisations;
pub(crate) mod pairing_codes;
#[cfg(test)]
mod plans;
pub(crate) mod previews;
pub(crate) mod queues;
pub(crate) mod receipts;
mod row;
pub(crate) mod sessions;
pub(crate) mod system;
pub(crate) mod targets;
pub(crate) mod usage;

//! Webhooks: events posted to the tenant's endpoints, signed as Standard Webhooks 1.0 specifies.
//!
//! | page | what it holds |
//! |---|---|
//! | [`guard`] | which addresses may be dialled |
//! | [`client`] | one POST: no redirects, one deadline, a reply of limited size |
//! | [`sign`] | secrets and the three headers |
//! | [`schedule`] | when to retry |
//! | `claims` | deliveries as a queue |
//! | [`deliver`] | the job: load, sign, post, record |
//! | `links`, `inline` | the link to an event's file, signed when it is posted; a small file inside an event |
//!
//! A delivery arrives at least once, always with its event's id, in no guaranteed order.

pub(crate) mod claims;
pub mod client;
pub mod deliver;
pub mod guard;
pub(crate) mod inline;
mod links;
mod raw;
pub mod schedule;
pub mod sign;

#[cfg(test)]
mod tests;

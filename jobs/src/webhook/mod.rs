//! Webhooks: what happened, posted to the tenant's endpoints, signed after Standard Webhooks 1.0.
//!
//! | page | what it holds |
//! |---|---|
//! | [`guard`] | which addresses may be dialled |
//! | [`client`] | one POST: no redirect, one deadline, a bounded reply |
//! | [`sign`] | secrets and the three headers |
//! | [`schedule`] | when to try again |
//! | `claims` | deliveries as a queue |
//! | [`deliver`], `inline` | the job: load, sign, post, record; a small file within an event |
//!
//! A delivery arrives at least once, always under its event's id, and in no promised order.

mod claims;
pub mod client;
pub mod deliver;
pub mod guard;
mod inline;
pub mod schedule;
pub mod sign;

#[cfg(test)]
mod tests;

//! Groups: members, requests about them and messages to them.

mod action;
mod change;
pub(crate) mod iq;
pub(crate) mod members;
mod nodes;
pub(crate) mod routing;

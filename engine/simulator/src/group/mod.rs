//! Groups: who is in them, and how their members are addressed.

pub(crate) mod iq;
pub(crate) mod members;
mod nodes;
pub(crate) mod routing;

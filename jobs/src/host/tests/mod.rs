//! What lanes keep whatever happens.

mod promises;

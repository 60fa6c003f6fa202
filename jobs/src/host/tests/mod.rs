//! Tests of the lanes' promises.

mod dispatchers;
mod order;
mod promises;
mod spellings;

//! Tests of the lanes' promises.

mod order;
mod promises;
mod spellings;

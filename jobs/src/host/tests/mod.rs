//! Tests of the lanes' promises.

mod promises;
mod spellings;

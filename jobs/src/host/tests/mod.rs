//! Tests of the lanes' promises.

mod promises;

//! Files as real programs write them, in both directions.

mod kinds;
mod recordings;
mod tools;

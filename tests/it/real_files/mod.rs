//! Files as real devices and programs make them, in both directions. The real tools make them while the
//! test runs.

mod kinds;
mod links;
mod pictures;
mod recordings;
mod tools;
mod videos;

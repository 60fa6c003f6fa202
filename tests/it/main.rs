//! Black-box tests: one file per behaviour, sentences as names, each on both databases.

mod bad_input;
mod binaries;
mod canaries;
mod cluster;
mod content;
mod crash_points;
mod deploy;
mod document;
mod endings;
mod idempotency;
mod in_flight;
mod interop;
mod layers;
mod lists;
mod media;
mod opting_out;
mod outage;
mod pacing;
mod pairing;
mod receiving;
mod redis;
mod restarts;
mod row_level_security;
mod sending;
mod tenancy;
mod webhooks;

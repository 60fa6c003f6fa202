//! The harness of the black-box tests. Everything here looks at Passerelle from outside.
//!
//! A test starts a [`World`]: a simulated WhatsApp server, a gateway on a private store, and an
//! organisation with a key. Servers are separate processes. The test acts through [`Api`] and the
//! simulator's control calls. It reads what happened from the API, from a [`Receiver`] of webhooks, and
//! from the phones' [`ledger`](simulator::Entry).
//!
//! | page | what it has |
//! |---|---|
//! | `backing` | the shapes a test runs in, and the macros that make a test for each |
//! | `process` | a program started by path, with its log; it can be killed or asked to end |
//! | `gateway` | the gateway as processes that can be killed and started again |
//! | `simulator` | the simulated WhatsApp server and its phones |
//! | `api` | a small client of the gateway's API |
//! | `receiver` | a webhook endpoint that verifies every signature |
//! | `shop` | a web server for files, with faults on demand |
//! | `protobuf` | messages written by field numbers, for phones to say |
//! | `rows` | what is in the tables of a database, whatever tables there are |
//! | `proxy` | a TCP proxy that can cut, slow down, or drop the answer to a commit |
//! | `postgres` | a PostgreSQL server that can be stopped and started again |
//! | `pgbouncer` | a connection pooler in front of PostgreSQL |
//! | `authority` | certificates that fit and do not |
//! | `redis` | a Redis server that can be flushed, filled, paused and killed |
//! | `tokens` | the queue of webhook deliveries in Redis |
//! | `probes` | what the workers of a cluster answer to probes |
//! | `bucket` | an S3 server |
//! | `ffmpeg` | videos, and scripts that replace ffmpeg |
//! | `browser` | headless Chromium |
//! | `port` | ports that stay free while a server is down |
//! | `wait` | waiting for an event with a deadline |
//! | `world` | everything a test starts with |
//!
//! Invariants: tests wait for events and never sleep; every test returns what only [`World::finish`]
//! returns, which asserts that all accepted work was done; only processes started here are killed.

pub mod api;
pub mod authority;
pub mod backing;
pub mod browser;
pub mod bucket;
pub mod ffmpeg;
pub mod gateway;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod probes;
pub mod process;
pub mod protobuf;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod rows;
pub mod shop;
pub mod simulator;
pub mod tmpfs;
pub mod tokens;
pub mod wait;
pub mod world;

pub use api::Api;
pub use backing::Backing;
pub use gateway::{Gateway, Setup};
pub use receiver::Receiver;
pub use shop::Shop;
pub use simulator::Simulator;
pub use wait::{dwindles, soon, wall_clock, within};
pub use world::{Finished, World};

//! The harness of the black-box tests: everything here looks at Passerelle from outside.
//!
//! A test starts a [`World`]: a simulated WhatsApp server, a gateway on a private store, an
//! organisation and its key, each a process or a row of its own. It acts through [`Api`] and the
//! simulator's control calls, and reads what happened from the API, from a [`Receiver`] of
//! webhooks and from the phones' [`ledger`](simulator::Entry).
//!
//! | page | what it has |
//! |---|---|
//! | `backing` | the shapes a test runs in, and the macros that make a test of each |
//! | `process` | a program started by path, killed or asked to end, its log kept |
//! | `gateway` | the gateway as a process that can be killed and started again |
//! | `simulator` | the simulated WhatsApp server and its phones |
//! | `api` | a small client of the gateway's API |
//! | `receiver` | a webhook endpoint that verifies every signature |
//! | `shop` | a web server that has files, well or badly |
//! | `proxy` | a TCP proxy that can be cut, slow, or silent at a commit |
//! | `postgres` | a PostgreSQL server that may be stopped and started again |
//! | `redis` | a Redis server that may be emptied, filled, halted and killed |
//! | `tokens` | its queue of webhook deliveries |
//! | `probes` | what the workers of a cluster answer to probes |
//! | `bucket` | a server that speaks S3 |
//! | `ffmpeg` | films, and programs that pretend to convert them |
//! | `browser` | Chromium without a window |
//! | `wait` | waiting for an event with a deadline |
//! | `world` | all of it together |
//!
//! Invariants: nothing sleeps and hopes; every test returns what only [`World::finish`] gives, which
//! asserts that nothing accepted was left undone; only processes started here are killed.

pub mod api;
pub mod backing;
pub mod browser;
pub mod bucket;
pub mod ffmpeg;
pub mod gateway;
pub mod postgres;
pub mod probes;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod shop;
pub mod simulator;
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

//! The HTTP API, its keys, its OpenAPI document and its problem bodies, and the command line of the binary
//! `passerelle`.
//!
//! | page | what it holds |
//! |---|---|
//! | [`cli`], [`config`] | flags and environment, checked at start |
//! | [`lifecycle`], [`admin`] | a process from start to stop; the operator's commands |
//! | `next_steps` | lines to paste into a shell, printed after a start |
//! | `waiting`, `watchdog` | waits for a database that cannot be reached; aborts a process that hangs |
//! | [`surface`], [`routes`] | all routes as one endpoint; the operations, one group per file |
//! | [`server`], [`edge`], [`door`] | sockets; ids, logs and refusals of every request; who asks, before a body is read |
//! | [`addresses`], `intake`, `gather`, [`limits`] | limits of one address; how a body is read; sizes and deadlines |
//! | [`auth`], [`quota`], [`idempotency`], `list` | keys; requests per minute; repeated requests; lists and cursors |
//! | [`body`], [`json`], [`types`], [`word`], [`texts`], `patch`, [`problem`], `flaws` | strict JSON; ids, times, constants and texts by name; fields of a change; refusals, with all errors at once |
//! | `spelling` | phone numbers, recipients and base64 in the forms that people paste |
//! | [`spec`], [`events`], [`docs`], [`qr`] | the document; webhook schemas; pages for people; QR codes as images |
//! | `sandbox`, `demo` | the gateway with a simulated WhatsApp server; the demo; both only in sandbox builds |
//!
//! Invariants: a handler gets its organisation only from [`auth::Caller`]; every answer passes through [`edge`];
//! every error is a [`problem`]; this crate names no SQL and no queue.

pub mod addresses;
pub mod admin;
pub mod auth;
pub mod body;
mod bucket;
pub mod cli;
mod common_limit;
pub mod config;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod docs;
pub mod door;
pub mod edge;
pub mod events;
mod flaws;
mod gather;
pub mod idempotency;
mod intake;
pub mod json;
pub mod lifecycle;
pub mod limits;
mod list;
mod next_steps;
mod patch;
pub mod problem;
pub mod qr;
pub mod quota;
pub mod routes;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod server;
pub mod spec;
mod spelling;
pub mod store;
pub mod surface;
pub mod texts;
pub mod types;
mod waiting;
mod watchdog;
pub mod word;

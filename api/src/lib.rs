//! The front door: the HTTP surface, keys, the document, problem bodies, and the command line of
//! the binary `passerelle`.
//!
//! | page | what it holds |
//! |---|---|
//! | [`cli`], [`config`] | flags and environment, checked at start |
//! | [`lifecycle`], [`admin`] | a process from start to stop; the operator's commands |
//! | `next_steps` | what a start ends with: lines to paste into a shell |
//! | `waiting`, `watchdog` | a process whose database is not reached yet; one that stands still |
//! | [`surface`], [`routes`] | everything that is served; the operations, one group a page |
//! | [`server`], [`edge`], `intake`, [`limits`] | sockets; what every request passes; how its body is taken in; sizes and deadlines |
//! | [`auth`], [`quota`], [`idempotency`], `list` | keys; requests a minute; repeated requests; cursors |
//! | [`body`], [`json`], [`types`], [`word`], [`problem`], `flaws` | strict JSON; scalars; refusals, with everything that is wrong at once |
//! | [`spec`], [`events`], [`docs`], [`qr`] | the document, typed webhooks, Swagger UI, QR pictures |
//! | `sandbox`, `demo` | the gateway with a WhatsApp server of its own; the whole product in one command, in sandbox builds |
//!
//! Invariants: a handler gets its organisation only from [`auth::Caller`]; nothing leaves but through
//! [`edge`], and nothing goes wrong but as a [`problem`]; no SQL and no queue is named here.

pub mod admin;
pub mod auth;
pub mod body;
pub mod cli;
pub mod config;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod docs;
pub mod edge;
pub mod events;
mod flaws;
pub mod idempotency;
mod intake;
pub mod json;
pub mod lifecycle;
pub mod limits;
mod list;
mod next_steps;
pub mod problem;
pub mod qr;
pub mod quota;
pub mod routes;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod server;
pub mod spec;
pub mod surface;
pub mod types;
mod waiting;
mod watchdog;
pub mod word;

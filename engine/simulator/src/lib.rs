//! A WhatsApp server on loopback, with scripted phones. The sandbox, the demo and the tests use it
//! in place of WhatsApp.
//!
//! It speaks the real protocol: Noise handshakes, pairing by QR and by code, Signal end-to-end
//! encryption, receipts and an offline queue. It supports messages of all kinds with their media, to
//! one person and to groups, receipts, presence, and everything that a login needs. In all of this a
//! client cannot tell it from WhatsApp.
//!
//! It must not depend on the engine, because it judges the engine.
//!
//! # Map
//!
//! | page | what it holds |
//! |---|---|
//! | `server` | one port: TLS or not, WebSocket, media, control API |
//! | `connection`, `noise`, `frames` | one client: handshake, frames, reading and writing |
//! | `dispatch`, `next_step` | which code answers a stanza, and what the connection does next |
//! | `login`, `pairing`, `pair_code` | linking a device and logging it in |
//! | `iq` | requests: keys, devices of a user, settings, the rest |
//! | `messages`, `routing`, `receipts` | from device to device, at least once |
//! | `calls` | who rings, who answers, and who is told of it |
//! | `tokens` | privacy tokens, which an account may demand |
//! | `group` | groups: members, requests about them, messages in them |
//! | `media` | the media server and media encryption |
//! | `phone` | a scripted phone: what it receives, shows and answers |
//! | `speech`, `reading` | the messages that a phone sends, and reading the messages it receives |
//! | `control` | what tests read and control |
//! | `state` | what the world holds: accounts, devices, queues, groups, ledger; nothing here acts |
//! | `stanza`, `addon`, `certs` | small helpers for all of them |
//!
//! # Invariants
//!
//! - It listens on loopback only, because the control API has no password.
//! - State is in memory and bounded: [`Options::ledger_entries`], [`QUEUE_STANZAS`]. Media is in a
//!   temporary folder that is deleted at the end: [`MEDIA_BYTES`].
//! - A stanza stays in a device's queue until the device acknowledges it.
//! - A phone shows one message per sender and id. We believe that the official apps do the same.
//! - The world's lock is never held across an await.

mod addon;
mod calls;
mod certs;
mod connection;
mod control;
mod dispatch;
mod frames;
mod group;
mod iq;
mod login;
mod media;
mod messages;
mod next_step;
mod noise;
mod pair_code;
mod pairing;
mod phone;
mod reading;
mod receipts;
mod routing;
mod server;
mod speech;
mod stanza;
mod state;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certs::{NoiseIdentity, Tls};
use crate::state::clock::Clock;
pub use crate::state::ledger::LEDGER_ENTRIES;
pub use crate::state::media_store::MEDIA_BYTES;
pub use crate::state::queue::QUEUE_STANZAS;
use crate::state::world::{World, WorldParts};

/// The settings of a simulator.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The address to listen on. It must be loopback. Port 0 picks a free port.
    pub listen: SocketAddr,
    /// Seed for keys, ids and tokens. `None` gives different ones each time. TLS keys are never
    /// seeded.
    pub seed: Option<u64>,
    /// Makes a silent phone for any number that a client asks for, instead of answering "not on
    /// WhatsApp".
    pub any_number: bool,
    /// How many ledger entries are kept, at least one.
    pub ledger_entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: None,
            any_number: false,
            ledger_entries: LEDGER_ENTRIES,
        }
    }
}

/// A running simulator. Dropping it stops it without waiting.
pub struct Simulator {
    addr: SocketAddr,
    world: Arc<World>,
}

impl Simulator {
    /// Starts listening and serving, in tasks on the current Tokio runtime. Fails if the address is
    /// in use or is not loopback.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        ensure!(
            options.listen.ip().is_loopback(),
            "the simulator listens on loopback only"
        );
        let listener = std::net::TcpListener::bind(options.listen)
            .with_context(|| format!("listening on {}", options.listen))?;
        listener.set_nonblocking(true).context("opening the port")?;
        let listener = TcpListener::from_std(listener).context("opening the port")?;
        let addr = listener
            .local_addr()
            .context("reading the listening address")?;
        let clock = Clock::start();
        let mut rng = match options.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => rand::make_rng(),
        };
        let tls = Tls::generate()?;
        let world = Arc::new(World::new(WorldParts {
            noise: NoiseIdentity::generate(clock.seconds(), &mut rng)?,
            certificate: tls.pem,
            host: addr.to_string(),
            any_number: options.any_number,
            ledger_entries: options.ledger_entries,
            clock,
            rng,
        }));
        server::start(&world, listener, TlsAcceptor::from(tls.config))?;
        Ok(Self { addr, world })
    }

    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the WebSocket URL for clients.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.addr)
    }

    /// Returns the WebSocket URL over TLS, with the certificate of `GET /control/cert`.
    pub fn wss_url(&self) -> String {
        format!("wss://{}/ws/chat", self.addr)
    }

    /// Returns the base URL of the control API, without a trailing slash.
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.addr)
    }

    /// Closes all connections and waits until all tasks have ended.
    pub async fn stop(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

//! A WhatsApp server on loopback, with scripted phones: the other side for the sandbox, the demo
//! and the tests.
//!
//! It speaks the real protocol — Noise handshakes, pairing by QR and by code, Signal end-to-end
//! encryption, receipts, an offline queue — well enough that a client of another make cannot tell,
//! within messages of all kinds with their media, to one and to groups, receipts, presence and what
//! logging in needs. Nothing of it may depend on the engine: it is the engine's judge.
//!
//! # Map
//!
//! | page | what it holds |
//! |---|---|
//! | `server` | one port: TLS or not, WebSocket, media, control API |
//! | `connection`, `noise`, `frames` | one client: handshake, frames, reading and writing |
//! | `dispatch`, `login`, `pairing`, `pair_code`, `verdict` | what a stanza means; linking and logging in |
//! | `iq` | requests: keys, who has which devices, settings, the rest |
//! | `messages`, `routing`, `receipts` | from device to device, at least once |
//! | `group` | groups: members, requests about them, messages in them |
//! | `media` | the media server; how media is sealed |
//! | `phone` | a scripted phone: what it is sent and shows, how it answers |
//! | `speech`, `reading` | what it says, and what a message says to it |
//! | `control` | what tests see and steer |
//! | `state` | what the world holds: accounts, devices, queues, groups, ledger, faults; nothing here acts |
//! | `stanza`, `addon`, `certs` | what all of them share |
//!
//! # Invariants
//!
//! - Only loopback: the control API has no password.
//! - State is in memory and bounded: [`Options::ledger_entries`], [`QUEUE_STANZAS`];
//!   media is in files of a temporary folder that goes with it: [`MEDIA_BYTES`].
//! - A stanza stays in a device's queue until the device acknowledges it.
//! - A phone shows one message per sender and id, as the official apps are believed to.
//! - The world's lock is never held across an await.

mod addon;
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

/// How a simulator is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen; must be loopback. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seed of keys, ids and tokens; absent for other ones each time. TLS keys are never seeded.
    pub seed: Option<u64>,
    /// Make a silent phone for any number that is asked for, instead of "not on WhatsApp".
    pub any_number: bool,
    /// Entries of the ledger that are kept, one at least.
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
    /// Listen and serve, in tasks of its own on the current Tokio runtime. Fails if the address is
    /// not loopback or is taken.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        ensure!(
            options.listen.ip().is_loopback(),
            "the simulator listens on loopback only"
        );
        let listener = std::net::TcpListener::bind(options.listen)
            .with_context(|| format!("listening on {}", options.listen))?;
        listener.set_nonblocking(true).context("opening the port")?;
        let listener = TcpListener::from_std(listener).context("opening the port")?;
        let addr = listener.local_addr().context("reading the own address")?;
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

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client connects to.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.addr)
    }

    /// The same behind TLS, with the certificate of `GET /control/cert`.
    pub fn wss_url(&self) -> String {
        format!("wss://{}/ws/chat", self.addr)
    }

    /// Root of the control API, without a slash at its end.
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.addr)
    }

    /// End all connections and tasks, and wait for them.
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

//! A cluster with linked sessions, and which host runs which session.

use anyhow::Result;
use passerelle_tests::{Backing, Setup, World, api::Session, soon, world::numbers};
use std::time::Duration;
use tokio::time::Instant;

use super::{CONTACT, SILENT, look::Look};

/// The hosts of a cluster.
pub(super) const HOSTS: [&str; 2] = ["host-a", "host-b"];
/// The default rate at which a host connects: connections per second at first.
const BY_DEFAULT: u32 = 5;
/// The deadline for a host to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it takes until the work after linking is done.
const SETTLE: Duration = Duration::from_secs(20);

pub(super) struct Fleet {
    pub(super) world: World,
    pub(super) sessions: Vec<Session>,
    pub(super) look: Look,
    /// How long it took to link them.
    pub(super) linking: Duration,
}

/// Returns the setup of a measured cluster: gaps of 200–600 ms and a log of warnings and errors.
pub(super) fn setup() -> Setup {
    Setup {
        log: "warn".to_owned(),
        ..Setup::default()
    }
}

impl Fleet {
    /// Starts a cluster and links this many sessions. The hosts share them out by themselves.
    pub(super) async fn shared_out(sessions: u32, setup: Setup) -> Result<Self> {
        let mut fleet = Self::empty(setup).await?;
        fleet.link(sessions).await?;
        Ok(fleet)
    }

    /// Starts a cluster with this many sessions, all of them at the first of two hosts. The second host
    /// connects sessions at the default rate.
    pub(super) async fn at_one_host(sessions: u32) -> Result<Self> {
        let mut fleet = Self::empty(setup()).await?;
        let other = fleet.world.gateway.other(HOSTS[1])?;
        other.terminate()?;
        other.ended(PATIENCE).await?;
        fleet.link(sessions).await?;
        fleet.world.gateway.setup.connects_per_second = BY_DEFAULT;
        fleet.start_again(HOSTS[1]).await?;
        Ok(fleet)
    }

    async fn link(&mut self, sessions: u32) -> Result<()> {
        let began = Instant::now();
        self.sessions = self.world.linked_many(numbers(sessions)).await?;
        self.linking = began.elapsed();
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    async fn empty(setup: Setup) -> Result<Self> {
        let world = World::with(Backing::Cluster, setup).await?;
        world.simulator.phone(CONTACT, SILENT).await?;
        let mut look = Look::into(&world.gateway.database.url).await?;
        for host in HOSTS {
            soon("both hosts have a heartbeat", async || {
                Ok(look.boot(host).await?.map(drop))
            })
            .await?;
        }
        Ok(Self {
            world,
            sessions: Vec::new(),
            look,
            linking: Duration::ZERO,
        })
    }

    /// Starts a host that has ended and waits until the others see it.
    pub(super) async fn start_again(&mut self, host: &'static str) -> Result<()> {
        let before = self.look.boot(host).await?;
        self.world.gateway.start_other(host)?;
        soon("the host has a heartbeat again", async || {
            Ok((self.look.boot(host).await? != before).then_some(()))
        })
        .await
    }

    /// Prints the logs of the processes if not every session was connected.
    pub(super) fn explain(&self, connected: u32) {
        if usize::try_from(connected).is_ok_and(|connected| connected < self.sessions.len()) {
            eprintln!("--- the logs end with\n{}", self.world.gateway.log_end());
        }
    }
}

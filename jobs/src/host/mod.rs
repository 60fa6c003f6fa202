//! A host: the process that runs sessions. It takes the leases of sessions that should run, stops those
//! that should not, and writes its heartbeat.
//!
//! | page | what it holds |
//! |---|---|
//! | [`session`] | runs one session |
//! | [`claim`], [`job`] | the lanes as a queue, and its job |
//! | [`send`], [`attach`] | sending one message, and its file |
//! | [`outcome`], [`settle`], [`receipts`] | WhatsApp's answers to messages, and what they change |
//! | [`orphans`] | messages in flight without a running job |
//! | [`balance`] | which host a session prefers |
//! | [`fence`] | dropping the sessions when the fence no longer holds |
//! | `null_sink` | the lanes without WhatsApp, to measure them (sandbox builds) |

mod attach;
mod balance;
pub(crate) mod claim;
mod fence;
pub(crate) mod job;
#[cfg(feature = "sandbox")]
pub mod null_sink;
mod orphans;
mod outcome;
mod receipts;
pub(crate) mod send;
mod session;
mod settle;

use std::{collections::HashSet, sync::Arc, time::Duration};

use passerelle_engine::{
    ids::{MessageId, OrgId, SessionId},
    lease::Lease,
    whatsapp::{Urgency, WhatsApp},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use job::SendMessage;

use self::balance::preferred;
use crate::{
    crash, error::Fault, host::session::RunningSession, model::millis, services::Services,
    sessions::commands, settings::DEAD, store,
};

/// Interval between two checks of which sessions should run.
const LOOK: Duration = Duration::from_secs(1);
/// Interval between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// A session that got a message within this time is in a conversation; one that was linked within it is
/// being watched by a person. Both connect before idle ones.
const RECENT: Duration = Duration::from_hours(1);

/// The loop that decides which sessions run in this process.
pub(crate) struct Host {
    services: Services,
    whatsapp: WhatsApp,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Host {
    pub(crate) fn new(
        services: Services,
        whatsapp: WhatsApp,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            services,
            whatsapp,
            tasks,
            stop,
        }
    }

    /// Runs until stopped, then stops every session. The fence is watched until the last one has stopped.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.work() => {}
            never = fence::watch(&self.services) => match never {},
        }
    }

    async fn work(&self) {
        let mut last_beat: Option<Instant> = None;
        let mut orphans = HashSet::new();
        // At boot the host takes back the leases it held when it died. With each heartbeat it takes back
        // leases that it could not release.
        let mut booting = true;
        while !self.stop.is_cancelled() {
            match self.look(&mut last_beat, &mut orphans, booting).await {
                Ok(()) => booting = false,
                Err(fault) => tracing::warn!(error = %fault, "the host waits for the database"),
            }
            tokio::select! {
                () = self.services.sessions().notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        if let Err(fault) = self.drain().await {
            tracing::warn!(error = %fault, "the other hosts could not be notified that this host shuts down");
        }
        tokio::select! {
            () = self.wait_until_stopped() => {}
            () = self.keep_beating() => {}
        }
    }

    /// Marks this host as draining: from now on other hosts take the sessions that it releases.
    async fn drain(&self) -> Result<(), Fault> {
        let services = &self.services;
        let (host, boot) = (
            Arc::clone(&services.settings().host),
            Arc::clone(services.boot()),
        );
        let drain = services.store().write_system(move |tx| {
            Box::pin(async move { store::system::hosts::drain(tx, &host, &boot).await })
        });
        Ok(drain.await?)
    }

    /// Writes heartbeats while the sessions stop, so that the host does not count as dead. Returns only if
    /// another process took its name.
    async fn keep_beating(&self) {
        loop {
            match self.beat(false).await {
                Err(Fault::LeaseLost) => return,
                Err(fault) => tracing::warn!(error = %fault, "the host waits for the database"),
                Ok(()) => {}
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Does one round of the host's work.
    async fn look(
        &self,
        last_beat: &mut Option<Instant>,
        orphans: &mut HashSet<MessageId>,
        booting: bool,
    ) -> Result<(), Fault> {
        let now = self.services.clock().monotonic();
        let beats = last_beat.is_none_or(|at| now.saturating_duration_since(at) >= BEAT);
        if beats {
            self.beat(last_beat.is_none()).await?;
            *orphans = orphans::resolve(&self.services, orphans).await?;
            *last_beat = Some(now);
        }
        self.stop_unwanted().await?;
        self.take_leases(booting || beats).await?;
        self.order_waiting().await?;
        commands::answer_open(&self.services, &self.tasks).await?;
        if beats {
            self.share_address().await?;
            balance::level(&self.services).await?;
        }
        Ok(())
    }

    /// Writes the heartbeat. The first one takes the host's name, even from a process that still runs under
    /// it. If a later one finds the name taken, this process drops its sessions and shuts down.
    async fn beat(&self, first: bool) -> Result<(), Fault> {
        let services = &self.services;
        let began = services.clock().monotonic();
        let (host, boot) = (
            Arc::clone(&services.settings().host),
            Arc::clone(services.boot()),
        );
        let egress = Arc::clone(&services.settings().egress_name);
        let beat = services.store().write_system(move |tx| {
            Box::pin(async move {
                if first {
                    store::system::hosts::register(tx, &host, &boot, &egress).await?;
                    return Ok::<_, Fault>(true);
                }
                Ok(store::system::hosts::beat(tx, &host, &boot).await?)
            })
        });
        if beat.await? {
            self.services.fence().renew(began);
            return Ok(());
        }
        fence::drop_all(&self.services, "another process took this host's name");
        self.services.usurp();
        self.stop.cancel();
        Err(Fault::LeaseLost)
    }

    /// Divides the connection rate by the number of hosts that connect from the same address.
    async fn share_address(&self) -> Result<(), Fault> {
        let services = &self.services;
        if !self.services.is_shared() {
            return Ok(());
        }
        let mut conn = services.store().read_system().await?;
        let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
        let alive = now.saturating_sub(millis(DEAD));
        let egress = &services.settings().egress_name;
        let hosts = store::system::hosts::sharing(&mut conn, egress, alive).await?;
        self.whatsapp
            .share_address(u32::try_from(hosts).unwrap_or(1));
        Ok(())
    }

    /// Reorders the sessions that wait to connect: some have become urgent since they began to wait.
    async fn order_waiting(&self) -> Result<(), Fault> {
        let waiting = self.whatsapp.waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let store = self.services.store();
        let mut conn = store.read_system().await?;
        let urgencies =
            store::system::hosts::urgencies(&mut conn, store.dialect(), &waiting, self.recent());
        let urgencies = urgencies.await?;
        self.whatsapp.order(&urgencies);
        Ok(())
    }

    fn recent(&self) -> store::system::hosts::Since {
        let at = self.services.clock().now().saturating_sub(millis(RECENT));
        store::system::hosts::Since {
            at,
            message: MessageId::earliest(at),
        }
    }

    /// Takes the leases of sessions that should run and that no host runs. With `own`, also those whose
    /// lease this host already holds without running them.
    async fn take_leases(&self, own: bool) -> Result<(), Fault> {
        let services = &self.services;
        let (free, hosts) = {
            let mut conn = services.store().read_system().await?;
            let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
            let alive = now.saturating_sub(millis(DEAD));
            let own = if own { &*services.settings().host } else { "" };
            let free =
                store::system::hosts::wanting_a_host(&mut conn, own, alive, self.recent()).await?;
            let hosts = if free.is_empty() {
                Vec::new()
            } else {
                store::system::hosts::open(&mut conn, alive).await?
            };
            (free, hosts)
        };
        for store::system::hosts::Free {
            org,
            session,
            epoch,
            host,
            urgency,
        } in free
        {
            if self.stop.is_cancelled() {
                break;
            }
            let ours = host.as_deref() == Some(&*services.settings().host);
            let preferred = preferred(&hosts, session);
            let another = preferred.is_some_and(|host| host != &*services.settings().host);
            if services.registry().runs(session) || (another && !ours) {
                continue;
            }
            if let Some(lease) = take_lease(&self.services, org, session, epoch).await? {
                self.host(lease, urgency);
            }
        }
        Ok(())
    }

    fn host(&self, lease: Lease, urgency: Urgency) {
        tracing::info!(session.id = %lease.session, epoch = lease.epoch, "this host runs the session");
        let stop = self.stop.child_token();
        let running = RunningSession::new(self.services.clone(), lease, urgency, stop);
        self.tasks.spawn(running.run(self.whatsapp.clone()));
    }

    /// Stops the sessions that run here and should not.
    async fn stop_unwanted(&self) -> Result<(), Fault> {
        let running = self.services.registry().all();
        if running.is_empty() {
            return Ok(());
        }
        let wanted = {
            let mut conn = self.services.store().read_system().await?;
            store::system::hosts::still_wanted(&mut conn, &self.services.settings().host).await?
        };
        let wanted: std::collections::HashMap<_, _> = wanted.into_iter().collect();
        for session in running {
            if wanted.get(&session.lease.session) != Some(&session.lease.epoch) {
                session.stop.cancel();
            }
        }
        Ok(())
    }

    /// Waits until every session has stopped. They stop by themselves, since their stop tokens are children
    /// of this host's.
    async fn wait_until_stopped(&self) {
        for session in self.services.registry().all() {
            self.services
                .registry()
                .stopped(session.lease.session, Duration::from_secs(25))
                .await;
        }
    }
}

/// Takes one lease and, in the same transaction, resolves the message that the former owner left in flight.
async fn take_lease(
    services: &Services,
    org: OrgId,
    session: SessionId,
    epoch: i64,
) -> Result<Option<Lease>, Fault> {
    let key = services.vault().org_key(org).await?;
    let gap = services.settings().pace.gap(&mut services.chance());
    let (host, clock) = (
        Arc::clone(&services.settings().host),
        services.clock().clone(),
    );
    let taken = services
        .store()
        .write_system(move |tx| {
            Box::pin(async move {
                let Some(lease) =
                    store::system::hosts::take_lease(tx, &host, org, session, epoch).await?
                else {
                    return Ok(None);
                };
                outcome::resolve(tx, &key, &clock, &lease, gap).await?;
                crash::point("takeover.before_commit");
                Ok::<_, Fault>(Some(lease))
            })
        })
        .await?;
    crash::point("takeover.after_commit");
    Ok(taken)
}

#[cfg(test)]
mod tests;

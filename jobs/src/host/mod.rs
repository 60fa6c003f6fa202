//! A host: the process that runs sessions. It takes the leases of sessions that should run, stops those
//! that should not, and writes its heartbeat.
//!
//! | page | what it holds |
//! |---|---|
//! | [`session`], [`change`] | runs one session; its changes as they are stored |
//! | [`number`] | the pace of a number over all its sessions |
//! | [`claim`], [`job`] | the lanes as a queue, and its job |
//! | [`send`], [`attach`] | sending one message, and its file |
//! | [`outcome`], [`settle`], [`receipts`], [`verdict`] | WhatsApp's answers to messages, and what they change |
//! | [`group_changes`] | what changes in the groups of a session's number |
//! | [`orphans`] | messages in flight without a running job |
//! | [`balance`] | which host a session prefers |
//! | [`fence`] | dropping the sessions when the fence no longer holds |
//! | `null_sink` | the lanes without WhatsApp, to measure them (sandbox builds) |

mod addressee;
mod attach;
mod balance;
mod candidates;
mod change;
pub(crate) mod claim;
mod fence;
mod group_changes;
pub(crate) mod job;
#[cfg(feature = "sandbox")]
pub mod null_sink;
mod number;
mod orphans;
mod outcome;
mod reachout;
pub(crate) mod receipts;
pub(crate) mod send;
mod session;
mod settle;
mod turn;
mod verdict;

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
    sessions::commands, settings::DEAD, state::back_off::BackOff, store,
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
        let mut rounds = Rounds::default();
        // At boot the host takes back the leases it held when it died. With each heartbeat it takes back
        // leases that it could not release.
        let mut booting = true;
        while !self.stop.is_cancelled() {
            match self.look(&mut rounds, booting).await {
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

    /// Does one round of the host's work. A step that fails does not keep the others from being done, unless
    /// the database is down.
    async fn look(&self, rounds: &mut Rounds, booting: bool) -> Result<(), Fault> {
        let now = self.services.clock().monotonic();
        let last_beat = rounds.last_beat;
        let beats = last_beat.is_none_or(|at| now.saturating_duration_since(at) >= BEAT);
        if beats {
            self.beat(last_beat.is_none()).await?;
            let orphans = orphans::resolve(&self.services, &rounds.orphans).await;
            rounds.orphans = alone("orphans", orphans)?.unwrap_or_default();
            rounds.last_beat = Some(now);
        }
        alone("stops", self.stop_unwanted().await)?;
        let left_alone = &mut rounds.left_alone;
        let taken = self.take_leases(booting || beats, left_alone).await;
        alone("leases", taken)?;
        alone("order", self.order_waiting().await)?;
        let answering = commands::answer_open(&self.services, &self.tasks).await;
        alone("commands", answering)?;
        if beats {
            alone("address", self.share_address().await)?;
            alone("balance", balance::level(&self.services).await)?;
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
    async fn take_leases(
        &self,
        own: bool,
        left_alone: &mut BackOff<SessionId>,
    ) -> Result<(), Fault> {
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
            let now = services.clock().monotonic();
            let waits = left_alone.rests(&session, now);
            if services.registry().runs(session) || (another && !ours) || waits {
                continue;
            }
            match take_lease(&self.services, org, session, epoch).await {
                Ok(lease) => {
                    left_alone.done(&session);
                    if let Some(lease) = lease {
                        self.host(lease, urgency);
                    }
                }
                Err(fault) if fault.is_outage() => return Err(fault),
                Err(fault) => {
                    let pause = left_alone.failed(session, now);
                    session::report_failure(session, "take", pause, &fault);
                }
            }
        }
        Ok(())
    }

    fn host(&self, lease: Lease, urgency: Urgency) {
        tracing::info!(session.id = %lease.session, epoch = lease.epoch, "this host runs the session");
        self.services.wake_live();
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

/// What the host remembers from one round to the next.
#[derive(Default)]
struct Rounds {
    last_beat: Option<Instant>,
    /// Messages in flight that had no job at the last heartbeat.
    orphans: HashSet<MessageId>,
    /// Sessions whose lease could not be taken.
    left_alone: BackOff<SessionId>,
}

/// Logs the failure of one step of a round. Returns it only if it concerns all of them.
fn alone<T>(step: &'static str, done: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(fault) if fault.is_outage() => Err(fault),
        Err(fault) => {
            tracing::error!(step, error = %fault, "a step of the host's round failed");
            Ok(None)
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
    // The session runs without its organisation's key, too: its other data is under a key of its own.
    let key = services.org_key_if_readable(org).await?;
    let gap = services.draw_gap();
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
                outcome::resolve(tx, key.as_deref(), &clock, &lease, gap).await?;
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

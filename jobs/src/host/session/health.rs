//! What the connection tells about the health of the session's number, and what we ask WhatsApp about it.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    whatsapp::{self, Connection, event::Ended},
};

use super::RunningSession;
use crate::{
    error::Fault,
    model::millis,
    number_health,
    safety::{
        health::{Capping, Health, Signal, Timelock},
        level::Level,
    },
};

/// Between two questions about the time-lock, unless a message was refused.
const TIMELOCK: Duration = Duration::from_mins(15);
/// Between two questions about the quota of new chats.
const CAPPING: Duration = Duration::from_hours(1);

/// Returns whether to ask again, by when WhatsApp last told it.
fn is_due(told_at: Option<Millis>, every: Duration, now: Millis) -> bool {
    // A time to come was written by another clock.
    told_at.is_none_or(|at| at > now || now.saturating_sub(at) >= millis(every))
}

/// Asks WhatsApp whether the number may open new chats, unless it was asked often. Returns that it was asked, and the
/// answer.
pub(in crate::host) async fn ask_timelock(
    connection: &Connection,
    health: &Health,
    now: Millis,
) -> Vec<Signal> {
    if !health.figures.may_ask_timelock(now) {
        return Vec::new();
    }
    let mut signals = vec![Signal::TimelockAsked];
    match connection.reachout_timelock().await {
        Ok(lock) => signals.push(Signal::Timelock(timelock(lock, now))),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::debug!(error, "WhatsApp did not tell the time-lock");
        }
    }
    signals
}

fn timelock(lock: whatsapp::Timelock, now: Millis) -> Timelock {
    let whatsapp::Timelock {
        is_active,
        kind,
        ends_at,
    } = lock;
    Timelock {
        told_at: now,
        is_active,
        kind,
        ends_at,
    }
}

fn capping(capping: whatsapp::Capping, now: Millis) -> Capping {
    Capping {
        told_at: now,
        status: capping.status,
        total: capping.total,
        used: capping.used,
        cycle_start: capping.cycle_start,
        cycle_end: capping.cycle_end,
    }
}

async fn ask_capping(connection: &Connection, now: Millis) -> Option<Capping> {
    match connection.new_chat_capping().await {
        Ok(Some(quota)) => Some(capping(quota, now)),
        // It is stored too, so that it is not asked again at once.
        Ok(None) => Some(Capping {
            told_at: now,
            status: String::new(),
            total: None,
            used: None,
            cycle_start: None,
            cycle_end: None,
        }),
        Err(error) => {
            tracing::debug!(
                error = format!("{error:#}"),
                "WhatsApp did not tell the quota of new chats"
            );
            None
        }
    }
}

impl RunningSession {
    /// Stores a signal about the number. Waits while the database is down.
    pub(super) async fn signal(&self, signal: Signal) -> Result<(), Fault> {
        let store = || number_health::signal(&self.services, &self.lease, vec![signal.clone()]);
        self.commit_with_retry(store).await
    }

    pub(super) async fn timelock_told(&self, lock: whatsapp::Timelock) -> Result<(), Fault> {
        let now = self.services.clock().now();
        self.signal(Signal::Timelock(timelock(lock, now))).await
    }

    pub(super) async fn capping_told(&self, quota: whatsapp::Capping) -> Result<(), Fault> {
        let now = self.services.clock().now();
        self.signal(Signal::Capping(capping(quota, now))).await
    }

    /// Returns what the end of the connection says about the number.
    pub(super) fn signal_of(&self, why: &Ended) -> Option<Signal> {
        match why {
            Ended::AccountLocked => Some(Signal::AccountLocked),
            Ended::Banned { code, until } => Some(Signal::Banned {
                code: *code,
                until: *until,
            }),
            Ended::LoggedOut if !self.is_unlinked_by_us() => Some(Signal::Unlinked),
            _ => None,
        }
    }

    /// A number that was locked is only answering for a while after it was linked again.
    pub(super) async fn linked_again(&self) -> Result<(), Fault> {
        let session = self.lease.session;
        let read = || number_health::read(&self.services, session);
        let health = self.commit_with_retry(read).await?;
        let now = self.services.clock().now();
        if health.is_some_and(|health| health.at(now).level == Level::Locked) {
            self.signal(Signal::Linked).await?;
        }
        Ok(())
    }

    /// Looks at the number's health each time that it is asked for. Never returns.
    pub(super) async fn watch_health(&self, connection: &Connection) {
        loop {
            self.health.wanted().await;
            // Boxed: it is rare, and every session waits here.
            if let Err(fault) = Box::pin(self.look(connection)).await {
                tracing::warn!(session.id = %self.lease.session, error = %fault, "the health of a number was not looked at");
            }
        }
    }

    async fn look(&self, connection: &Connection) -> Result<(), Fault> {
        let services = &self.services;
        self.health.looked(services.clock().monotonic());
        let Some(health) = number_health::read(services, self.lease.session).await? else {
            return Ok(());
        };
        let now = services.clock().now();
        let mut signals = self.ask(connection, &health, now).await;
        let counted = number_health::newcomers(services, self.lease.session, &health).await?;
        let known = health.figures.newcomers.unwrap_or_default();
        if !counted.says_the_same(&known) {
            signals.push(Signal::Newcomers(counted));
        }
        if signals.is_empty() {
            return Ok(());
        }
        number_health::signal(services, &self.lease, signals).await
    }

    /// Asks WhatsApp what it was not asked lately.
    async fn ask(&self, connection: &Connection, health: &Health, now: Millis) -> Vec<Signal> {
        let mut signals = Vec::new();
        if !connection.is_connected() {
            return signals;
        }
        let told = health.figures.timelock.as_ref().map(|lock| lock.told_at);
        if is_due(told, TIMELOCK, now) {
            signals = ask_timelock(connection, health, now).await;
        }
        let told = health.figures.capping.as_ref().map(|quota| quota.told_at);
        if is_due(told, CAPPING, now) {
            let quota = ask_capping(connection, now).await;
            signals.extend(quota.map(Signal::Capping));
        }
        signals
    }
}

//! The world of a case: a store with three lanes, and two processes that work on it.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use passerelle_engine::{
    clock::{Clock, Millis},
    content::{Content, Phone},
    ids::{MessageId, OrgId, SessionId},
    lease::Lease,
    store::Store,
    vault::{KekRing, Vault},
};
use tempfile::TempDir;

use super::{
    How, Step,
    ledger::{Events, Rows, Wire},
    process::{Process, Unsettled, update},
};
use crate::{
    error::Fault,
    host::{
        claim::Lanes,
        orphans,
        outcome::{self, Outcome},
        receipts, take_lease,
    },
    model::millis,
    organisations,
    outbound::{self, CancelError, Idempotency, recipient::To, request::NewMessage},
    queue::JobSource as _,
    safety::{pace::Pace, preset::Preset},
    services::Services,
    sessions,
    settings::{MediaSettings, PREVIEW_AGENT, Settings},
    store, sweep, testing,
    webhook::{guard::Egress, schedule::Schedule},
};

/// An open store, used by one world after the other.
pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    _folder: Option<TempDir>,
}

impl Ground {
    pub(super) async fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Some(Self::open(&url, Some(folder)).await)
    }

    /// Returns `None` if `PASSERELLE_TEST_POSTGRES` names no server.
    pub(super) async fn postgres() -> Option<Self> {
        Some(Self::open(&testing::database().await?, None).await)
    }

    async fn open(url: &str, folder: Option<TempDir>) -> Self {
        let (store, clock) = (Store::open(url).await.unwrap(), Clock::system());
        store.migrate().await.unwrap();
        let (ring, _) = KekRing::generate();
        let vault = Vault::open(&store, ring, clock.clone()).await.unwrap();
        Self {
            store,
            vault,
            clock,
            _folder: folder,
        }
    }

    pub(super) fn settings(host: &str) -> Settings {
        Settings {
            host: host.into(),
            egress_name: host.into(),
            redis: None,
            pace: Pace::default(),
            preset: Preset::Sandbox,
            ack_timeout: Duration::from_secs(20),
            message_ttl: Duration::from_hours(24),
            lane_limit: 12,
            session_limit: 50,
            egress: Egress::new(Vec::new()),
            schedule: Schedule::default(),
            preview_agent: PREVIEW_AGENT.into(),
            media: MediaSettings::nowhere(),
        }
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}

/// One organisation with three lanes, and two processes.
pub(super) struct World<'g> {
    ground: &'g Ground,
    org: OrgId,
    sessions: Vec<SessionId>,
    processes: Vec<Process>,
    /// How far time was moved on so far.
    passed: Millis,
    accepted: Vec<MessageId>,
    wires: Vec<Wire>,
    /// The messages that WhatsApp refused.
    refused: HashSet<MessageId>,
    rows: Rows,
}

impl<'g> World<'g> {
    pub(super) async fn start(ground: &'g Ground) -> Result<Self> {
        let name = |letter: char| format!("{letter}-{:016x}", rand::random::<u64>());
        let processes: Vec<_> = ['a', 'b']
            .map(|letter| Process::start(ground, &name(letter)))
            .into();
        let services = &processes[0].services;
        let org = organisations::create(services, "Acme").await?.id;
        let mut sessions = Vec::new();
        for name in ["till", "kitchen", "bar"] {
            sessions.push(
                sessions::create(services, org, name, sessions::New::default())
                    .await?
                    .id,
            );
        }
        let mut world = Self {
            ground,
            org,
            sessions,
            rows: Rows::read(&ground.store, org).await?,
            processes,
            passed: 0,
            accepted: Vec::new(),
            wires: Vec::new(),
            refused: HashSet::new(),
        };
        world.take_over(0).await?;
        Ok(world)
    }

    /// Performs one step and checks the rows after it.
    pub(super) async fn take(&mut self, step: Step) -> Result<()> {
        let (rows, passed) = (self.rows.clone(), self.passed);
        self.perform(step).await?;
        self.look(&rows, self.passed - passed)
            .await
            .with_context(|| format!("after {step:?}"))
    }

    async fn look(&mut self, before: &Rows, passed: Millis) -> Result<()> {
        let rows = Rows::read(&self.ground.store, self.org).await?;
        rows.check_state()?;
        rows.check_change(before, passed)?;
        for message in &self.accepted {
            ensure!(
                rows.messages.contains_key(message),
                "{message} was accepted but has no row"
            );
        }
        rows.check_wire(&self.wires, millis(Pace::default().floor()))?;
        self.rows = rows;
        self.check_written()
    }

    /// Checks that a written message is `failed` only if WhatsApp refused it, and never `expired` or
    /// `canceled`: the recipient may have seen it.
    fn check_written(&self) -> Result<()> {
        use crate::model::Status::{Canceled, Expired, Failed};
        for wire in &self.wires {
            let status = self.rows.messages[&wire.message].status;
            let refused = status == Failed && self.refused.contains(&wire.message);
            ensure!(
                refused || ![Failed, Expired, Canceled].contains(&status),
                "{} was written but is {}",
                wire.message,
                status.as_str()
            );
        }
        Ok(())
    }

    async fn perform(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Accept { lane, brief } => self.accept(lane, brief).await,
            Step::Repeat => self.accept_again().await,
            Step::Cancel { nth } => self.cancel(nth).await,
            Step::Pass { ms } => self.pass(ms.into()).await,
            Step::Expire => {
                let services = &self.processes[0].services;
                Ok(sweep::expire(services, self.ground.clock.now()).await?)
            }
            Step::Claim { by } => self.claim(by).await,
            Step::Write { by, nth } => self.write(by, nth).await,
            Step::Settle { by, nth, how } => self.settle(by, nth, how).await,
            Step::SettleAll { by } => self.settle_all(by).await,
            Step::LateUpdate { by, nth, how } => self.late_update(by, nth, how).await,
            Step::Lose { by, nth } => {
                drop(self.processes[by].take(nth));
                Ok(())
            }
            Step::Orphans { by } => {
                let services = &self.processes[by].services;
                let orphans = orphans::resolve(services, &HashSet::new()).await?;
                orphans::resolve(services, &orphans).await?;
                Ok(())
            }
            Step::Crash { by } => {
                let host = self.processes[by].host();
                self.processes[by] = Process::start(self.ground, &host);
                Ok(())
            }
            Step::TakeOver { by } => self.take_over(by).await,
            Step::Connect { by, lane, up } => self.connect(by, self.sessions[lane], up).await,
        }
    }

    /// Returns the current time of the lanes.
    async fn now(&self) -> Result<Millis> {
        let store = &self.ground.store;
        let mut conn = store.read_system().await?;
        let now = passerelle_engine::store::now(store.dialect(), &mut conn).await?;
        Ok(now + self.passed)
    }

    /// Lets time pass: moves the wall clock on and the lanes' times back, because the databases' clocks
    /// cannot be moved.
    async fn pass(&mut self, ms: Millis) -> Result<()> {
        let org = self.org;
        self.ground
            .clock
            .advance(Duration::from_millis(ms.unsigned_abs()));
        self.passed += ms;
        let moved = self.ground.store.write(org, move |tx| {
            Box::pin(async move {
                sqlx::query("UPDATE lane SET next_at = next_at - $2 WHERE org_id = $1")
                    .bind(org.to_string())
                    .bind(ms)
                    .execute(tx.conn())
                    .await
            })
        });
        moved.await?;
        Ok(())
    }

    fn request(&self, lane: usize, brief: bool) -> NewMessage {
        let to = Phone::parse("+4915199000001").expect("a number");
        let body = "your table is ready".to_owned();
        let text = Content::text(body);
        let mut new = NewMessage::of(self.sessions[lane], To::Phone(to), text);
        new.expires_at = brief.then(|| self.ground.clock.now() + 5000);
        new
    }

    async fn accept(&mut self, lane: usize, brief: bool) -> Result<()> {
        let key = Idempotency {
            key: self.accepted.len().to_string(),
            request: b"send".to_vec(),
        };
        let services = &self.processes[lane % 2].services;
        let accepted =
            outbound::accept(services, self.org, self.request(lane, brief), Some(key)).await;
        match accepted {
            Ok(accepted) => self.accepted.push(accepted.message.id),
            Err(outbound::AcceptError::QueueFull(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn accept_again(&mut self) -> Result<()> {
        let Some((at, last)) = self.accepted.iter().enumerate().next_back() else {
            return Ok(());
        };
        let key = Idempotency {
            key: at.to_string(),
            request: b"send".to_vec(),
        };
        let services = &self.processes[0].services;
        let accepted = outbound::accept(services, self.org, self.request(0, false), Some(key));
        ensure!(
            accepted.await?.message.id == *last,
            "a repeated request was accepted anew"
        );
        Ok(())
    }

    async fn cancel(&mut self, nth: usize) -> Result<()> {
        let count = self.accepted.len();
        if count == 0 {
            return Ok(());
        }
        let services = &self.processes[0].services;
        match outbound::cancel(services, self.org, self.accepted[nth % count]).await {
            Ok(_) | Err(CancelError::TooLate(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn claim(&mut self, by: usize) -> Result<()> {
        let services = self.processes[by].services.clone();
        let began = self.now().await?;
        let jobs = Lanes(services.clone()).claim(16).await?;
        let now = self.now().await?;
        let rows = Rows::read(&self.ground.store, self.org).await?;
        for (_, job) in &jobs {
            let fixed = began + i64::try_from(job.wait_ms + job.gap_ms)?;
            let next_at = rows.lanes[&job.session].next_at + self.passed;
            ensure!(next_at >= fixed, "a claim did not fix the gap");
        }
        for (_, job) in jobs {
            let held = services.in_hand().take(job.message);
            let Some(claimed) = outcome::load(&services, &job).await? else {
                continue;
            };
            let message = Unsettled {
                send_at: now + i64::try_from(job.wait_ms)?,
                job,
                claimed,
                wire: None,
                _held: held,
            };
            let process = &mut self.processes[by];
            if process.believes_in(message.job.session, message.job.epoch) {
                process.unsettled.push(message);
            } else {
                // The process has just restarted and still has a lease from before.
                process.settle(&message, Outcome::PutBack).await?;
            }
        }
        Ok(())
    }

    /// Returns whether the process really holds the lease. A process that lost it is fenced and writes
    /// nothing.
    fn holds(&self, by: usize, session: SessionId, epoch: i64) -> bool {
        let (process, lane) = (&self.processes[by], &self.rows.lanes[&session]);
        process.believes_in(session, epoch)
            && lane.epoch == epoch
            && lane.host.as_deref() == Some(&*process.host())
    }

    async fn write(&mut self, by: usize, nth: usize) -> Result<()> {
        let Some(mut message) = self.processes[by].take(nth) else {
            return Ok(());
        };
        let (session, epoch) = (message.job.session, message.job.epoch);
        if message.wire.is_some() || !self.holds(by, session, epoch) {
            self.processes[by].unsettled.push(message);
            return Ok(());
        }
        let gate = self.processes[by].gates.get(&session).copied();
        let opens = gate.map_or(message.send_at, |gate| gate.max(message.send_at));
        let now = self.now().await?;
        if opens > now {
            self.pass(opens - now).await?;
        }
        let expires_at = message.claimed.message.expires_at;
        if expires_at.is_some_and(|at| at < self.ground.clock.now()) {
            return self.processes[by].settle(&message, Outcome::Expired).await;
        }
        let at = self.now().await?;
        message.wire = Some(at);
        let gap = i64::try_from(message.job.gap_ms)?;
        self.wires.push(Wire {
            session,
            message: message.job.message,
            wa_id: message.claimed.message.wa_id.clone(),
            at,
        });
        let process = &mut self.processes[by];
        process.gates.insert(session, at + gap);
        process.unsettled.push(message);
        Ok(())
    }

    async fn settle(&mut self, by: usize, nth: usize, how: How) -> Result<()> {
        let Some(message) = self.processes[by].take(nth) else {
            return Ok(());
        };
        let Some(outcome) = message.outcome(how, self.now().await?) else {
            self.processes[by].unsettled.push(message);
            return Ok(());
        };
        self.processes[by].settle(&message, outcome).await?;
        if !self.holds(by, message.job.session, message.job.epoch) {
            let what = "a process that lost the lease settled a message";
            return self.nothing_changed(what).await;
        }
        if how == How::Refused {
            self.refused.insert(message.job.message);
        }
        Ok(())
    }

    async fn settle_all(&mut self, by: usize) -> Result<()> {
        let now = self.now().await?;
        let process = &mut self.processes[by];
        let (written, left): (Vec<_>, Vec<_>) = std::mem::take(&mut process.unsettled)
            .into_iter()
            .partition(|message| message.wire.is_some());
        process.unsettled = left;
        let of = |held| {
            let jobs = written.iter().map(|message| &message.job);
            let jobs = jobs.filter(|job| self.holds(by, job.session, job.epoch) == held);
            jobs.map(|job| job.session).collect::<HashSet<_>>()
        };
        let lost: Vec<_> = of(false).difference(&of(true)).copied().collect();
        let process = &self.processes[by];
        let all = written.iter().filter_map(|message| {
            let outcome = message.outcome(How::Taken, now)?;
            Some(process.settle(message, outcome))
        });
        futures_util::future::try_join_all(all).await?;
        let rows = Rows::read(&self.ground.store, self.org).await?;
        for session in lost {
            let same = rows.lanes[&session] == self.rows.lanes[&session];
            ensure!(
                same,
                "a process that lost the lease settled a message in a set"
            );
        }
        Ok(())
    }

    async fn late_update(&mut self, by: usize, nth: usize, how: How) -> Result<()> {
        let now = self.now().await?;
        let Some(wire) = self.wires.get(nth % self.wires.len().max(1)).cloned() else {
            return Ok(());
        };
        let process = &self.processes[by];
        let is_unsettled = process
            .unsettled
            .iter()
            .any(|message| message.job.message == wire.message);
        let lease = process.runs.get(&wire.session);
        let Some(lease) = lease.filter(|_| !is_unsettled).cloned() else {
            return Ok(());
        };
        let update = update(how, now).context("an update from WhatsApp")?;
        let committed = receipts::commit(&process.services, &lease, vec![wire.wa_id], update)
            .await
            .map(drop);
        if how == How::Refused && committed.is_ok() {
            self.refused.insert(wire.message);
        }
        self.check_leased(by, &lease, committed).await
    }

    /// Checks a write under a lease: it succeeded, or the lease was lost and nothing changed.
    async fn check_leased(
        &mut self,
        by: usize,
        lease: &Lease,
        done: Result<(), Fault>,
    ) -> Result<()> {
        let holds = self.holds(by, lease.session, lease.epoch);
        match done {
            Ok(()) => ensure!(holds, "a process that lost the lease wrote"),
            Err(Fault::LeaseLost) => {
                ensure!(!holds, "the holder of the lease was refused");
                self.processes[by].runs.remove(&lease.session);
                self.nothing_changed("a process that lost the lease was refused")
                    .await?;
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    async fn nothing_changed(&self, what: &str) -> Result<()> {
        let rows = Rows::read(&self.ground.store, self.org).await?;
        ensure!(rows == self.rows, "{what}, but rows changed");
        Ok(())
    }

    /// Takes every session that the process does not run. The former owner is fenced by then.
    async fn take_over(&mut self, by: usize) -> Result<()> {
        for session in self.sessions.clone() {
            let lane = &self.rows.lanes[&session];
            let epoch = lane.epoch;
            if self.holds(by, session, epoch) {
                continue;
            }
            let services: &Services = &self.processes[by].services;
            let lease = take_lease(services, self.org, session, epoch).await?;
            let lease = lease.context("no other process takes the lease at the same time")?;
            let process = &mut self.processes[by];
            process.gates.remove(&session);
            process.runs.insert(session, lease);
            self.rows = Rows::read(&self.ground.store, self.org).await?;
            self.connect(by, session, true).await?;
        }
        Ok(())
    }

    async fn connect(&mut self, by: usize, session: SessionId, up: bool) -> Result<()> {
        let process = &self.processes[by];
        let Some(lease) = process.runs.get(&session).cloned() else {
            return Ok(());
        };
        let (opened, org) = (lease.clone(), self.org);
        let done = self.ground.store.write(org, move |tx| {
            Box::pin(async move {
                let now = opened.check(tx).await?;
                if up {
                    store::lanes::open(tx, org, session, opened.epoch, now).await?;
                } else {
                    store::lanes::close(tx, org, session).await?;
                }
                Ok::<_, Fault>(())
            })
        });
        let done = done.await;
        self.check_leased(by, &lease, done).await
    }

    /// Ends the case: both processes die, then one takes all sessions and sends what is left.
    pub(super) async fn end(mut self) -> Result<()> {
        for by in [0, 1] {
            self.take(Step::Crash { by }).await?;
        }
        self.take(Step::TakeOver { by: 0 }).await?;
        // Each round sends one message of each lane.
        for _ in 0..100 {
            if self.rows.lanes.values().all(|lane| lane.pending == 0) {
                let key = self.ground.vault.org_key(self.org).await?;
                let events = Events::read(&self.ground.store, &key, self.org).await?;
                return self.rows.check_end(&events);
            }
            for step in [Step::Pass { ms: 10_000 }, Step::Claim { by: 0 }] {
                self.take(step).await?;
            }
            for _ in 0..self.processes[0].unsettled.len() {
                self.take(Step::Write { by: 0, nth: 0 }).await?;
            }
            self.take(Step::SettleAll { by: 0 }).await?;
        }
        anyhow::bail!("the lanes do not empty")
    }
}

//! A store with three lanes, two processes that work on it, and what happens to them.

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
    ledger::{Rows, Told, Wire},
    process::{Flying, Process, update},
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
    safety::pace::Pace,
    services::Services,
    sessions,
    settings::{MediaSettings, Settings},
    store, sweep, testing,
    webhook::{guard::Egress, schedule::Schedule},
};

/// An open store on which worlds stand one after the other.
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

    /// None where `PASSERELLE_TEST_POSTGRES` names no server.
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
            ack_timeout: Duration::from_secs(20),
            message_ttl: Duration::from_hours(24),
            lane_limit: 12,
            egress: Egress::new(Vec::new()),
            schedule: Schedule::default(),
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
    /// By how much time was moved on.
    passed: Millis,
    accepted: Vec<MessageId>,
    wires: Vec<Wire>,
    /// What WhatsApp refused, at some time.
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
            sessions.push(sessions::create(services, org, name).await?.id);
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

    /// One step, and a look at what it left.
    pub(super) async fn take(&mut self, step: Step) -> Result<()> {
        let (rows, passed) = (self.rows.clone(), self.passed);
        self.perform(step).await?;
        self.look(&rows, self.passed - passed)
            .await
            .with_context(|| format!("after {step:?}"))
    }

    async fn look(&mut self, before: &Rows, passed: Millis) -> Result<()> {
        let rows = Rows::read(&self.ground.store, self.org).await?;
        rows.stand()?;
        rows.follow(before, passed)?;
        for message in &self.accepted {
            ensure!(
                rows.messages.contains_key(message),
                "{message} was accepted and is not there"
            );
        }
        rows.on_the_wire(&self.wires, millis(Pace::default().floor()))?;
        self.rows = rows;
        self.nothing_shown_is_denied()
    }

    /// What was written is called failed only if WhatsApp refused it, and neither expired nor canceled.
    fn nothing_shown_is_denied(&self) -> Result<()> {
        use crate::model::Status::{Canceled, Expired, Failed};
        for wire in &self.wires {
            let status = self.rows.messages[&wire.message].status;
            let refused = status == Failed && self.refused.contains(&wire.message);
            ensure!(
                refused || ![Failed, Expired, Canceled].contains(&status),
                "{} was written and is {}",
                wire.message,
                status.as_str()
            );
        }
        Ok(())
    }

    async fn perform(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Accept { lane, brief } => self.accept(lane, brief).await,
            Step::Again => self.accept_again().await,
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
            Step::Hear { by, nth, how } => self.hear(by, nth, how).await,
            Step::Lose { by, nth } => {
                drop(self.processes[by].take(nth));
                Ok(())
            }
            Step::Strays { by } => {
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

    /// The moment, by the time of the lanes.
    async fn now(&self) -> Result<Millis> {
        let store = &self.ground.store;
        let mut conn = store.read_system().await?;
        let now = passerelle_engine::store::now(store.dialect(), &mut conn).await?;
        Ok(now + self.passed)
    }

    /// Moves wall time on, and the lanes' time back: neither database's clock can be moved.
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
            Err(outbound::AcceptError::QueueFull) => {}
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
            ensure!(next_at >= fixed, "a claim fixed no gap");
        }
        for (_, job) in jobs {
            let held = services.in_hand().take(job.message);
            let Some(claimed) = outcome::load(&services, &job).await? else {
                continue;
            };
            let flying = Flying {
                send_at: now + i64::try_from(job.wait_ms)?,
                job,
                claimed,
                wire: None,
                _held: held,
            };
            let process = &mut self.processes[by];
            if process.believes_in(flying.job.session, flying.job.epoch) {
                process.flying.push(flying);
            } else {
                // It started a moment ago and holds a lease of its life before.
                process.settle(&flying, Outcome::PutBack).await?;
            }
        }
        Ok(())
    }

    /// Whether it is the process's own still. One whose sessions were taken has fenced itself before.
    fn holds(&self, by: usize, session: SessionId, epoch: i64) -> bool {
        let (process, lane) = (&self.processes[by], &self.rows.lanes[&session]);
        process.believes_in(session, epoch)
            && lane.epoch == epoch
            && lane.host.as_deref() == Some(&*process.host())
    }

    async fn write(&mut self, by: usize, nth: usize) -> Result<()> {
        let Some(mut flying) = self.processes[by].take(nth) else {
            return Ok(());
        };
        let (session, epoch) = (flying.job.session, flying.job.epoch);
        if flying.wire.is_some() || !self.holds(by, session, epoch) {
            self.processes[by].flying.push(flying);
            return Ok(());
        }
        let gate = self.processes[by].gates.get(&session).copied();
        let opens = gate.map_or(flying.send_at, |gate| gate.max(flying.send_at));
        let now = self.now().await?;
        if opens > now {
            self.pass(opens - now).await?;
        }
        let expires_at = flying.claimed.message.expires_at;
        if expires_at.is_some_and(|at| at < self.ground.clock.now()) {
            return self.processes[by].settle(&flying, Outcome::Expired).await;
        }
        let at = self.now().await?;
        flying.wire = Some(at);
        let gap = i64::try_from(flying.job.gap_ms)?;
        self.wires.push(Wire {
            session,
            message: flying.job.message,
            wa_id: flying.claimed.message.wa_id.clone(),
            at,
        });
        let process = &mut self.processes[by];
        process.gates.insert(session, at + gap);
        process.flying.push(flying);
        Ok(())
    }

    async fn settle(&mut self, by: usize, nth: usize, how: How) -> Result<()> {
        let Some(flying) = self.processes[by].take(nth) else {
            return Ok(());
        };
        let Some(outcome) = flying.outcome(how, self.now().await?) else {
            self.processes[by].flying.push(flying);
            return Ok(());
        };
        self.processes[by].settle(&flying, outcome).await?;
        if !self.holds(by, flying.job.session, flying.job.epoch) {
            return self.nothing_changed("who lost the lease settled").await;
        }
        if how == How::Refused {
            self.refused.insert(flying.job.message);
        }
        Ok(())
    }

    async fn settle_all(&mut self, by: usize) -> Result<()> {
        let now = self.now().await?;
        let process = &mut self.processes[by];
        let (written, left): (Vec<_>, Vec<_>) = std::mem::take(&mut process.flying)
            .into_iter()
            .partition(|flying| flying.wire.is_some());
        process.flying = left;
        let of = |held| {
            let there = written.iter().map(|flying| &flying.job);
            let there = there.filter(|job| self.holds(by, job.session, job.epoch) == held);
            there.map(|job| job.session).collect::<HashSet<_>>()
        };
        let lost: Vec<_> = of(false).difference(&of(true)).copied().collect();
        let process = &self.processes[by];
        let all = written.iter().filter_map(|flying| {
            let outcome = flying.outcome(How::Taken, now)?;
            Some(process.settle(flying, outcome))
        });
        futures_util::future::try_join_all(all).await?;
        let rows = Rows::read(&self.ground.store, self.org).await?;
        for session in lost {
            let same = rows.lanes[&session] == self.rows.lanes[&session];
            ensure!(same, "who lost the lease settled in a set");
        }
        Ok(())
    }

    async fn hear(&mut self, by: usize, nth: usize, how: How) -> Result<()> {
        let now = self.now().await?;
        let Some(wire) = self.wires.get(nth % self.wires.len().max(1)).cloned() else {
            return Ok(());
        };
        let process = &self.processes[by];
        let flies = process
            .flying
            .iter()
            .any(|flying| flying.job.message == wire.message);
        let Some(lease) = process.runs.get(&wire.session).filter(|_| !flies).cloned() else {
            return Ok(());
        };
        let update = update(how, now).context("a word of WhatsApp's")?;
        let heard = receipts::commit(&process.services, &lease, vec![wire.wa_id], update).await;
        if how == How::Refused && heard.is_ok() {
            self.refused.insert(wire.message);
        }
        self.leased(by, &lease, heard).await
    }

    /// The end of what was done under a lease: it was done, or the lease was lost and nothing changed.
    async fn leased(&mut self, by: usize, lease: &Lease, done: Result<(), Fault>) -> Result<()> {
        let holds = self.holds(by, lease.session, lease.epoch);
        match done {
            Ok(()) => ensure!(holds, "who lost the lease wrote"),
            Err(Fault::LeaseLost) => {
                ensure!(!holds, "who holds the lease was refused");
                self.processes[by].runs.remove(&lease.session);
                self.nothing_changed("who lost the lease was refused")
                    .await?;
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    async fn nothing_changed(&self, what: &str) -> Result<()> {
        let rows = Rows::read(&self.ground.store, self.org).await?;
        ensure!(rows == self.rows, "{what}, and rows changed");
        Ok(())
    }

    /// Takes every session that the process does not run. Whoever had them fenced itself before.
    async fn take_over(&mut self, by: usize) -> Result<()> {
        for session in self.sessions.clone() {
            let lane = &self.rows.lanes[&session];
            let epoch = lane.epoch;
            if self.holds(by, session, epoch) {
                continue;
            }
            let services: &Services = &self.processes[by].services;
            let lease = take_lease(services, self.org, session, epoch).await?;
            let lease = lease.context("nobody else takes it meanwhile")?;
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
                opened.check(tx).await?;
                let epoch = if up { opened.epoch } else { 0 };
                store::lanes::open(tx, org, session, epoch).await?;
                Ok::<_, Fault>(())
            })
        });
        let done = done.await;
        self.leased(by, &lease, done).await
    }

    /// Everybody dies; one starts again and sends whatever is left.
    pub(super) async fn end(mut self) -> Result<()> {
        for by in [0, 1] {
            self.take(Step::Crash { by }).await?;
        }
        self.take(Step::TakeOver { by: 0 }).await?;
        // Each round sends one message of each lane.
        for _ in 0..100 {
            if self.rows.lanes.values().all(|lane| lane.pending == 0) {
                let key = self.ground.vault.org_key(self.org).await?;
                let told = Told::read(&self.ground.store, &key, self.org).await?;
                return self.rows.are_done(&told);
            }
            for step in [Step::Pass { ms: 10_000 }, Step::Claim { by: 0 }] {
                self.take(step).await?;
            }
            for _ in 0..self.processes[0].flying.len() {
                self.take(Step::Write { by: 0, nth: 0 }).await?;
            }
            self.take(Step::SettleAll { by: 0 }).await?;
        }
        anyhow::bail!("the lanes do not empty")
    }
}

//! A confined process that takes apart one file after another, so that not each of many small files waits
//! for the start of a process.
//!
//! A worker serves one organisation: what a file may have left behind in it is seen by no other one. It is
//! replaced after a fault and after [`FILES_MAX`] files, and ends after a while without work.

use std::{io, process::Stdio, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use passerelle_engine::ids::OrgId;
use tokio::process::{ChildStdin, ChildStdout};

use super::{Confinement, Limits, NotDone, Process, Task, frames, judge};
use crate::{
    media::{
        bounds::RECORDING_WITHIN,
        work::{Made, Reply, Work},
    },
    state::decoding::WORKER_MIB,
};

/// Limits of a worker over all its files. The program itself and its libraries are a part of its memory. It
/// writes to no file.
const LIMITS: Limits = Limits {
    cpu_seconds: 20 * 60,
    memory: WORKER_MIB as u64 * 1024 * 1024,
    file: 0,
    within: RECORDING_WITHIN,
};
/// A worker is replaced after so many files.
const FILES_MAX: u32 = 100;
/// How many workers may wait for work, and how long: at most twice this time.
const IDLE_MAX: usize = 8;
const IDLE: Duration = Duration::from_secs(10);
/// How long a worker that broke off may take to end.
const END: Duration = Duration::from_secs(2);

/// Workers that wait for work.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<Worker>>);

#[derive(Debug)]
struct Worker {
    org: OrgId,
    process: Process,
    input: ChildStdin,
    output: ChildStdout,
    files: u32,
    /// Whether it already waited at the last look.
    waited: bool,
}

impl Idle {
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    fn take(&self, org: OrgId) -> Option<Worker> {
        let mut workers = self.0.lock();
        let at = workers.iter().rposition(|worker| worker.org == org)?;
        Some(workers.remove(at))
    }

    /// Keeps a worker for the next file of its organisation.
    fn keep(&self, mut worker: Worker) {
        if worker.files >= FILES_MAX {
            return;
        }
        worker.waited = false;
        let mut workers = self.0.lock();
        if workers.len() >= IDLE_MAX {
            workers.remove(0);
        }
        workers.push(worker);
    }

    /// Ends the workers that already waited at the last look.
    fn look(&self) {
        let mut workers = self.0.lock();
        workers.retain(|worker| !worker.waited);
        for worker in &mut *workers {
            worker.waited = true;
        }
    }
}

impl Confinement {
    /// Ends workers that wait too long for work, until the gateway stops.
    pub async fn end_idle(self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(IDLE) => self.idle.look(),
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Does `work` on a file in a worker. Returns what was made of it, or why it is no valid file.
    pub(crate) async fn work(
        &self,
        org: OrgId,
        work: &Work,
        file: &[u8],
    ) -> Result<Reply, NotDone> {
        if let Some(used) = self.idle.take(org) {
            match self.give(used, work, file).await {
                // It may have failed for what an earlier file left in it.
                Err(NotDone::Failed(said)) => tracing::debug!(said, "a worker is replaced"),
                done => return done,
            }
        }
        let worker = self.worker(org)?;
        self.give(worker, work, file).await
    }

    fn worker(&self, org: OrgId) -> Result<Worker, NotDone> {
        let mut process = self.start(Task::Work, LIMITS, Stdio::piped(), Stdio::piped())?;
        let pipes = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(input), Some(output)) = pipes else {
            return Err(io::Error::other("a pipe is missing").into());
        };
        Ok(Worker {
            org,
            process,
            input,
            output,
            files: 0,
            waited: false,
        })
    }

    async fn give(&self, mut worker: Worker, work: &Work, file: &[u8]) -> Result<Reply, NotDone> {
        let within = LIMITS.within.min(work.within());
        let replied = tokio::select! {
            replied = tokio::time::timeout(within, worker.exchange(work, file)) => replied.map_err(|_| NotDone::TooLong)?,
            () = self.stop.cancelled() => return Err(NotDone::Stopping),
        };
        match replied {
            Ok(reply) => {
                self.idle.keep(worker);
                Ok(reply)
            }
            Err(error) => Err(worker.why(&error).await),
        }
    }
}

impl Worker {
    async fn exchange(&mut self, work: &Work, file: &[u8]) -> io::Result<Reply> {
        self.files += 1;
        frames::send(&mut self.input, work, file).await?;
        let (reply, bytes): (Reply, _) = frames::receive(&mut self.output).await?;
        Ok(reply.map(|made| Made {
            bytes: made.is_changed.then(|| Bytes::from(bytes)),
            ..made
        }))
    }

    /// Returns why it broke off.
    async fn why(mut self, error: &io::Error) -> NotDone {
        drop(self.input);
        match tokio::time::timeout(END, self.process.ended()).await {
            Ok(Ok((status, said))) => match judge(status, said) {
                Err(why) => why,
                Ok(_) => NotDone::Failed(error.to_string()),
            },
            _ => NotDone::Failed(error.to_string()),
        }
    }
}

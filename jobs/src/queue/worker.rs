//! Runs one worker over one queue, under apalis's monitor, until it is stopped.

use std::{future::Future, sync::Arc, time::Duration};

use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt as _};
use tokio::sync::Notify;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{
    JobSource, SqlQueue,
    job_result::{Done, JobResult, NotDone},
};

/// How a queue's jobs are run.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Unique to this start of the process: apalis treats two workers of one name as one.
    pub boot: String,
    /// The most jobs that run at once.
    pub concurrency: usize,
    /// A job that takes longer is dropped and logged; its row's claim lapses.
    pub timeout: Duration,
}

/// Runs the queue's jobs, each as its own task on `tasks`, until `stop` is cancelled and everything
/// claimed has ended. The worker is restarted after any failure inside.
///
/// The handler commits the outcome of the row; its result is only logged. A row that it did not settle is
/// recovered by its queue: a delivery's claim lapses, an orphaned message is resolved.
pub async fn run<S, H, F>(
    source: Arc<S>,
    wake: Arc<Notify>,
    workload: Workload,
    tasks: TaskTracker,
    stop: CancellationToken,
    handle: H,
) where
    S: JobSource,
    H: Fn(S::Job) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = JobResult> + Send + 'static,
{
    let monitor = Monitor::new()
        .register(move |restart| {
            let queue = SqlQueue::new(
                Arc::clone(&source),
                Arc::clone(&wake),
                workload.concurrency,
                stop.clone(),
            );
            let (handle, wake, tasks) = (handle.clone(), Arc::clone(&wake), tasks.clone());
            WorkerBuilder::new(format!("{}-{}-{restart}", S::NAME, workload.boot).as_str())
                .backend(queue)
                .catch_panic()
                .concurrency(workload.concurrency)
                .timeout(workload.timeout)
                .build(move |job: S::Job| {
                    let running = AbortOnDropHandle::new(tasks.spawn(handle(job)));
                    settle(S::NAME, running, WakeOnEnd(Arc::clone(&wake)))
                })
        })
        .should_restart(move |_, error| {
            tracing::error!(queue = S::NAME, %error, "a worker ended and starts again");
            true
        });
    // The monitor gets no shutdown signal: the queue ends the worker between two claims. The monitor's own
    // shutdown would cut off a running claim, and its rows would wait until the claim lapses.
    if let Err(error) = monitor.run().await {
        tracing::error!(queue = S::NAME, %error, "the worker ended");
    }
}

/// Looks again when a job has ended, however it ended: its lane or endpoint may be due again.
pub(super) struct WakeOnEnd(pub(super) Arc<Notify>);

impl Drop for WakeOnEnd {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn settle(queue: &'static str, running: AbortOnDropHandle<JobResult>, wake: WakeOnEnd) {
    match running.await {
        Ok(Ok(Done)) => {}
        Ok(Err(not_done)) => {
            log(queue, not_done);
        }
        Err(error) => tracing::error!(queue, %error, "a job panicked"),
    }
    drop(wake);
}

/// Logs what became of a job that is not done. Returns the error of one that committed nothing.
pub(super) fn log(queue: &'static str, not_done: NotDone) -> Option<anyhow::Error> {
    match not_done.unrecorded() {
        Ok(recorded) => {
            tracing::debug!(queue, result = %recorded, "a job is not done");
            None
        }
        Err((error, code)) => {
            tracing::error!(
                queue,
                code = code.as_deref(),
                error = format!("{error:#}"),
                "a job did not settle its row"
            );
            Some(error)
        }
    }
}

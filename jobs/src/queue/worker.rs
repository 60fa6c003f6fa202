//! Runs one worker over one queue, under apalis's monitor, until it is stopped.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt as _};
use tokio::sync::Notify;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{
    JobSource, SqlQueue,
    job_result::{JobResult, NotDone},
};

/// How a queue's jobs are run.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Unique to this start of the process: apalis treats two workers of one name as one.
    pub boot: String,
    /// The most jobs that run at once.
    pub concurrency: usize,
    /// A job that takes longer is dropped; it counts as a failed run.
    pub timeout: Duration,
}

/// Runs the queue's jobs, each as its own task on `tasks`, until `stop` is cancelled and everything
/// claimed has ended. The worker is restarted after any failure inside.
///
/// The handler commits the outcome of the row. If it could not, the queue records the failed run
/// ([`JobSource::record`]). Only an outage of the database leaves the row as it is: its claim lapses.
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
            let rows = Arc::clone(&source);
            WorkerBuilder::new(format!("{}-{}-{restart}", S::NAME, workload.boot).as_str())
                .backend(queue)
                .catch_panic()
                .concurrency(workload.concurrency)
                .build(move |job: S::Job| {
                    let running = AbortOnDropHandle::new(tasks.spawn(handle(job.clone())));
                    let (source, wake) = (Arc::clone(&rows), WakeOnEnd(Arc::clone(&wake)));
                    async move {
                        let finished = finish(&*source, job, workload.timeout, running).await;
                        if let Err(error) = finished {
                            tracing::error!(
                                queue = S::NAME,
                                error = format!("{error:#}"),
                                "a failed job was not recorded; its claim lapses"
                            );
                        }
                        drop(wake);
                    }
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

/// Runs a claimed job for at most `time`, and ends the run: what the handler did not commit, its queue does.
/// Returns an error if nothing was committed at all.
pub(super) async fn finish<S: JobSource>(
    source: &S,
    job: S::Job,
    time: Duration,
    running: AbortOnDropHandle<JobResult>,
) -> anyhow::Result<()> {
    let done = match tokio::time::timeout(time, running).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(NotDone::Retry(anyhow!("the job panicked: {error}"))),
        Err(_) => Err(NotDone::Retry(anyhow!("the job took too long"))),
    };
    let Err(not_done) = done else { return Ok(()) };
    let (error, failure) = match not_done.unrecorded() {
        Ok(recorded) => {
            tracing::debug!(queue = S::NAME, result = %recorded, "a job is not done");
            return Ok(());
        }
        Err(unrecorded) => unrecorded,
    };
    let error_text = format!("{error:#}");
    tracing::error!(
        queue = S::NAME,
        ?job,
        ?failure,
        error = error_text,
        "a job did not settle its row"
    );
    let Some(failure) = failure else {
        return Err(error);
    };
    metrics::counter!("passerelle_jobs_failed_total", "queue" => S::NAME).increment(1);
    source
        .record(job, failure)
        .await
        .context("recording a failed job")
}

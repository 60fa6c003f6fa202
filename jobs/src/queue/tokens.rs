//! Queues with two ways to claim. Where a cluster has Redis, jobs travel as tokens
//! ([`transport`](super::transport)). Elsewhere, and while tokens do not travel, rows are claimed from
//! the store. The row is the job either way.

use std::{fmt, future::Future, str::FromStr, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    JobSource,
    job_result::{Failure, JobResult},
    worker::{self, Workload},
};
use crate::{
    error::Fault, model::token::RowToken, state::token_link::TokenLink,
    store::system::dispatches::Rows,
};

/// Jobs whose rows can be claimed with a token.
pub(crate) trait Travels: JobSource {
    /// The kind written into its tokens. Tokens may outlive the process that pushed them.
    const KIND: &'static str;
    /// How many jobs this process runs at once.
    const CONCURRENCY: usize;
    /// The longest time that a job may take, including its commit.
    const TIMEOUT: Duration;
    /// How often a worker looks for tokens that other processes pushed. Each look costs Redis some
    /// commands.
    const LOOK: Duration;
    /// Its rows.
    const ROWS: Rows;

    /// The id of a row.
    type Id: FromStr + fmt::Display + Copy + Send + Sync + 'static;

    /// Claims the row that a token names and commits the claim. Returns `None` if the token is stale or its
    /// row cannot be claimed now.
    fn claim_by_token(
        &self,
        token: RowToken<Self::Id>,
    ) -> impl Future<Output = Result<Option<Self::Job>, Fault>> + Send;

    /// Does a claimed job and commits its outcome. [`JobResult`] says what was committed.
    fn perform(&self, job: Self::Job) -> impl Future<Output = JobResult> + Send;
}

/// Claims due rows from the store and runs their jobs, until `stop` is cancelled and the running jobs have
/// ended. Rests while tokens travel. `boot` is unique to this start of the process.
pub(crate) async fn run<K: Travels>(
    kind: Arc<K>,
    link: Arc<TokenLink>,
    boot: String,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let workload = Workload {
        boot,
        concurrency: K::CONCURRENCY,
        timeout: K::TIMEOUT,
    };
    let wake = Arc::clone(&link.claims);
    let handle = {
        let kind = Arc::clone(&kind);
        move |job| {
            let kind = Arc::clone(&kind);
            async move { kind.perform(job).await }
        }
    };
    let resting = Arc::new(Resting { kind, link });
    worker::run(resting, wake, workload, tasks, stop, handle).await;
}

/// The queue over the store, which rests while tokens travel.
struct Resting<K> {
    kind: Arc<K>,
    link: Arc<TokenLink>,
}

impl<K: Travels> JobSource for Resting<K> {
    type Job = K::Job;
    const NAME: &'static str = K::NAME;

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, K::Job)>> {
        self.kind.claim(k).await
    }

    async fn record(&self, job: K::Job, failure: Failure) -> anyhow::Result<()> {
        self.kind.record(job, failure).await
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        if self.link.travels() == Some(true) {
            return Ok(None);
        }
        self.kind.next_due().await
    }
}

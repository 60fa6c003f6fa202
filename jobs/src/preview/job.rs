//! The job that fetches the previews of waiting messages. Each claim makes one try. If the worker dies,
//! the claim lapses and is made again while the message is young. Like every job it carries ids only and
//! reads the row again.

use std::time::Duration;

use anyhow::Context as _;
use passerelle_engine::{
    content::{Content, LinkPreview},
    ids::{MessageId, OrgId},
    store::Tx,
    vault::Place,
};
use serde::{Deserialize, Serialize};

use super::{fetch::Fetcher, unfinished};
use crate::{
    error::Fault,
    messages::{self, sealed::CONTENT},
    model::{Message, Status, millis, until},
    queue::{
        JobSource,
        job_result::{Doing as _, Done, Failure, JobResult},
    },
    services::Services,
    store::{self, system::preview_claims},
};

/// Previews that this process fetches at once.
pub(crate) const CONCURRENCY: usize = 32;
/// The longest time that a job may take, including its commit.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);
/// A claim lapses after this time.
const LAPSE: Duration = Duration::from_secs(15);
/// An older message no longer gets a preview: its send has stopped waiting for one.
const YOUNG: Duration = Duration::from_mins(2);

/// One preview to fetch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FetchPreview {
    org: OrgId,
    message: MessageId,
}

/// Previews to fetch, as a queue.
pub(crate) struct Previews(pub(crate) Services);

impl JobSource for Previews {
    type Job = FetchPreview;
    const NAME: &'static str = "preview";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, FetchPreview)>> {
        let now = self.0.clock().now();
        let (lapse, limit) = (now.saturating_add(millis(LAPSE)), i64::try_from(k)?);
        let claim = self.0.store().write_system(move |tx| {
            Box::pin(async move { preview_claims::claim(tx, now, lapse, limit).await })
        });
        let claimed: Result<_, sqlx::Error> = claim.await;
        let jobs = claimed?.into_iter().map(|(org, message)| {
            let job = FetchPreview { org, message };
            (message.to_string(), job)
        });
        Ok(jobs.collect())
    }

    /// Gives up the preview: the message goes out without it.
    async fn record(&self, job: FetchPreview, _: Failure) -> anyhow::Result<()> {
        let FetchPreview { org, message } = job;
        let write = self.0.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move { store::previews::settle(tx, org, message, None).await })
        });
        let written: Result<_, sqlx::Error> = write.await;
        Ok(written?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let now = self.0.clock().now();
        let mut conn = self.0.store().read_system().await?;
        let next = preview_claims::next_at(&mut conn, now).await?;
        Ok(next.map(|at| until(at, now)))
    }
}

/// Fetches previews. One per process.
pub(crate) struct Previewer {
    services: Services,
    fetcher: Fetcher,
}

impl Previewer {
    /// Fails if the system's TLS roots cannot be read.
    pub(crate) fn new(services: Services) -> anyhow::Result<Self> {
        let fetcher = Fetcher::new(services.clone()).context("the client for link previews")?;
        Ok(Self { services, fetcher })
    }

    /// Fetches one preview and records it.
    pub(crate) async fn fetch(&self, job: FetchPreview) -> JobResult {
        let read = messages::read(&self.services, job.org, job.message).await;
        let Some(message) = read.doing("reading a message with a link")? else {
            return Ok(Done);
        };
        let fetched = match unfinished(&message.content) {
            Some(wanted) if self.is_worth_it(&message) => {
                self.fetcher.fill(job.org, wanted.clone()).await
            }
            _ => None,
        };
        tracing::debug!(message.id = %message.id, found = fetched.is_some(), "a link's page was looked at");
        let settled = self.settle(message, fetched).await;
        settled.doing("recording a preview")?;
        Ok(Done)
    }

    fn is_worth_it(&self, message: &Message) -> bool {
        let waits = matches!(message.status, Status::Queued | Status::Sending);
        let age = self
            .services
            .clock()
            .now()
            .saturating_sub(message.created_at);
        waits && age < millis(YOUNG)
    }

    async fn settle(&self, message: Message, fetched: Option<LinkPreview>) -> Result<(), Fault> {
        let Message { org, id, .. } = message;
        let content = match (message.content, fetched) {
            (Content::Text { body, .. }, Some(preview)) => Some(Content::Text {
                body,
                link_preview: Some(preview),
            }),
            _ => None,
        };
        let key = self.services.vault().org_key(org).await?;
        let record = id.to_string();
        let sealed =
            content.map(|content| key.seal_json(&Place::of(org, CONTENT, &record), &content));
        let sealed = sealed.transpose()?;
        let write = self.services.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move { store::previews::settle(tx, org, id, sealed).await })
        });
        Ok(write.await?)
    }
}

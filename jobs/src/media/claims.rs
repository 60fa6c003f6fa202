//! The queue of files to fetch: a due row is claimed with a token or without one. Each claim counts as
//! one try.
//!
//! While the disk is full, due files are postponed and nothing is claimed.

use std::time::Duration;

use passerelle_engine::ids::MediaId;

use super::fetch::{FetchMedia, Fetcher, LAPSE};
use crate::{
    crash,
    error::Fault,
    model::{millis, token::RowToken, until},
    queue::{
        JobSource,
        job_result::{Failure, JobResult},
        tokens::Travels,
    },
    store::system::{
        dispatches::{FILES, Rows},
        media_claims,
    },
};

/// How long due files are postponed when the disk is full.
const ROOM: Duration = Duration::from_mins(1);

impl JobSource for Fetcher {
    type Job = FetchMedia;
    const NAME: &'static str = "media";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, FetchMedia)>> {
        let services = &self.services;
        let now = services.clock().now();
        let (lapse, limit) = (now.saturating_add(millis(LAPSE)), i64::try_from(k)?);
        let full = services.settings().media.is_full();
        let claim = services.store().write_system(move |tx| {
            Box::pin(async move {
                if full {
                    media_claims::defer(tx, now, now.saturating_add(millis(ROOM))).await?;
                    return Ok(Vec::new());
                }
                let claimed = media_claims::claim(tx, now, lapse, limit).await?;
                if !claimed.is_empty() {
                    crash::point("media.claim.before_commit");
                }
                Ok::<_, Fault>(claimed)
            })
        });
        let claimed = claim.await?.into_iter().map(|due| {
            let job = FetchMedia {
                org: due.org,
                media: due.id,
                attempt: due.attempt,
            };
            (due.id.to_string(), job)
        });
        Ok(claimed.collect())
    }

    async fn record(&self, job: FetchMedia, failure: Failure) -> anyhow::Result<()> {
        Ok(self.give_up(job, failure).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let now = self.services.clock().now();
        let mut conn = self.services.store().read_system().await?;
        let next = media_claims::next_at(&mut conn, now).await?;
        Ok(next.map(|at| until(at, now)))
    }
}

impl Travels for Fetcher {
    const KIND: &'static str = "fetch_media";
    const CONCURRENCY: usize = 32;
    const TIMEOUT: Duration = Duration::from_mins(11);
    const LOOK: Duration = Duration::from_secs(1);
    const ROWS: Rows = FILES;

    type Id = MediaId;

    async fn claim_by_token(&self, token: RowToken<MediaId>) -> Result<Option<FetchMedia>, Fault> {
        let services = &self.services;
        let now = services.clock().now();
        let full = services.settings().media.is_full();
        let claim = services.store().write_system(move |tx| {
            Box::pin(async move {
                if full {
                    let until = now.saturating_add(millis(ROOM));
                    media_claims::put_off(tx, token.id, token.generation, until).await?;
                    return Ok(None);
                }
                let span = (now, now.saturating_add(millis(LAPSE)));
                let org = FILES.claim(tx, token, span).await?;
                crash::point("media.token.before_commit");
                Ok::<_, Fault>(org)
            })
        });
        let org = claim.await?;
        Ok(org.map(|org| FetchMedia {
            org,
            media: token.id,
            attempt: token.attempts + 1,
        }))
    }

    async fn perform(&self, job: FetchMedia) -> JobResult {
        self.fetch(job).await
    }
}

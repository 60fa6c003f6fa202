//! The job that fetches files: those that a waiting message needs, and those that an inbound message
//! announced.
//!
//! A claim ([`claims`](super::claims)) counts as a try and lapses 30 s after its worker died. Each try
//! writes its own object in the object store. The row takes only the result of its current try; a late
//! try deletes its own object. Like every job it carries ids only and reads the row again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{MediaId, OrgId},
    store::Tx,
    vault::{DataKey, Place, VaultError},
    whatsapp::WhatsApp,
};
use reqwest::Client;
use serde::{Deserialize, Serialize};

use super::{
    again, kinds,
    sealed::{FILE, ORIGIN},
    source::{self, NoFile, QUOTA},
};
use crate::{
    crash,
    error::{Fault, if_readable},
    events,
    media::{ingest::Upload, view::View},
    model::{INTERNAL, MediaStatus, Origin, StoredFile, millis, report_unreadable, until},
    queue::job_result::{Doing as _, Done, Failure, JobResult, NotDone, OrNotDone as _},
    services::Services,
    settings::MediaSettings,
    store::{
        self,
        media::{Outcome, Stored},
    },
};

/// The longest time that one file from WhatsApp may take.
const WHATSAPP_WITHIN: Duration = Duration::from_mins(10);
/// A claim lapses after this time unless it is extended.
pub(super) const LAPSE: Duration = Duration::from_secs(30);
/// How often a running fetch extends its claim.
const HOLD: Duration = Duration::from_secs(10);
/// The waits before further tries of a tenant's address. Short, because a message waits for the file.
pub const URL_AGAIN: &[Duration] = &[Duration::from_secs(5), Duration::from_secs(30)];
/// The waits before further tries at WhatsApp, which keeps a file for weeks.
const WHATSAPP_AGAIN: &[Duration] = &[
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];

/// One file to fetch: its ids, and the number of the try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FetchMedia {
    pub(super) org: OrgId,
    pub(super) media: MediaId,
    pub(super) attempt: i64,
}

/// Fetches files. One per process.
pub(crate) struct Fetcher {
    pub(super) services: Services,
    whatsapp: WhatsApp,
    client: Client,
}

impl Fetcher {
    /// Fails if the system's TLS roots cannot be read.
    pub(crate) fn new(services: Services, whatsapp: WhatsApp) -> anyhow::Result<Self> {
        let settings = services.settings();
        let client = source::client(&settings.egress, settings.media.url_within);
        Ok(Self {
            client: client.context("the client for files")?,
            services,
            whatsapp,
        })
    }

    /// Makes one try and records it.
    pub(crate) async fn fetch(&self, job: FetchMedia) -> JobResult {
        let key = self.services.vault().org_key(job.org).await;
        let key = key.doing("opening the organisation's key")?;
        let stored = self.read(&job).await.doing("reading a file's row")?;
        let Some(stored) = stored.filter(|stored| is_this_try(stored, &job)) else {
            tracing::debug!(media.id = %job.media, "nothing to fetch any more");
            return Ok(Done);
        };
        let origin = super::sealed::origin(&key, &stored).doing("opening a file's origin")?;
        let origin = origin.ok_or_else(|| anyhow!("a file to fetch has no origin"));
        let origin = origin.or_fail("looking for a file's origin")?;
        let brought = if job.attempt > tries(&origin) {
            // Each try ended with its worker, the last one, too.
            Err(NoFile::Failed("media_damaged"))
        } else {
            tokio::select! {
                brought = self.bring(&stored, &origin) => brought,
                () = self.hold(&job) => return Ok(Done),
            }
        };
        crash::point("media.fetched");
        tracing::debug!(media.id = %job.media, attempt = job.attempt, no_file = ?brought.as_ref().err(), "a fetch ended");
        self.settle(&job, key, stored, &origin, brought).await
    }

    /// Records a try that its handler could not record.
    pub(super) async fn give_up(&self, job: FetchMedia, failure: Failure) -> Result<(), Fault> {
        let now = self.services.clock().now();
        let outcome = match failure {
            Failure::Final(code) => {
                report_unreadable("media", &job.media, &code);
                failed(code.into_owned(), now)
            }
            Failure::Counted => match wait_after(URL_AGAIN, job.attempt) {
                Some(wait) => Outcome {
                    status: MediaStatus::Pending,
                    error: None,
                    ..failed(String::new(), now.saturating_add(millis(wait)))
                },
                None => failed(INTERNAL.to_owned(), now),
            },
        };
        let key = self.services.org_key_if_readable(job.org).await?;
        let (clock, settings) = (
            self.services.clock().clone(),
            self.services.settings().media.clone(),
        );
        let (org, media, attempt) = (job.org, job.media, job.attempt);
        let write = self.services.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move {
                let settled = store::media::settle(tx, org, media, attempt, &outcome).await?;
                let (Some(key), true) = (key, settled) else {
                    return Ok(());
                };
                let told = match store::media::read(tx.conn(), org, media).await {
                    Ok(Some(settled)) => tell(tx, &key, &settings, &clock, &settled).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error.into()),
                };
                // Without an event, the API still says how the file ended.
                if_readable("media", &media, told).map(drop)
            })
        });
        write.await?;
        self.services.wake_lanes();
        self.services.wake_deliveries();
        Ok(())
    }

    async fn read(&self, job: &FetchMedia) -> Result<Option<Stored>, Fault> {
        let mut conn = self.services.store().read(job.org).await?;
        Ok(store::media::read(&mut conn, job.org, job.media).await?)
    }

    /// Extends the claim until it is lost.
    async fn hold(&self, job: &FetchMedia) {
        let FetchMedia {
            org,
            media,
            attempt,
        } = *job;
        loop {
            tokio::time::sleep(HOLD).await;
            let lapse = self.services.clock().now().saturating_add(millis(LAPSE));
            let hold = self.services.store().write(org, move |tx: &mut Tx| {
                Box::pin(async move { store::media::hold(tx, org, media, attempt, lapse).await })
            });
            match hold.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(media.id = %media, %error, "a claim could not be held");
                }
            }
        }
    }

    async fn bring(&self, stored: &Stored, origin: &Origin) -> Result<StoredFile, NoFile> {
        let (services, org, kind) = (&self.services, stored.org, stored.kind);
        match origin {
            Origin::Url {
                url,
                file_name,
                mime_type,
            } => {
                let upload = Upload {
                    kind,
                    size: None,
                    file_name: file_name.clone(),
                    mime_type: mime_type.clone(),
                };
                source::from_url(services, &self.client, org, upload, url).await
            }
            Origin::WhatsApp {
                remote,
                looks,
                file_name,
                asked_again,
                requested,
            } => {
                let most = if *requested {
                    kinds::INBOUND_MAX
                } else {
                    services.settings().media.inbound_max
                };
                let fetch = source::from_whatsapp(services, &self.whatsapp, org, remote, most);
                let kept = tokio::time::timeout(WHATSAPP_WITHIN, fetch).await;
                match kept.unwrap_or(Err(NoFile::Later)) {
                    Ok(kept) => Ok(kept.stored(looks, file_name.clone())),
                    Err(no_file @ (NoFile::Expired | NoFile::Damaged)) if !asked_again => {
                        match again::ask(services, stored, remote).await {
                            NoFile::Expired => Err(no_file),
                            answer => Err(answer),
                        }
                    }
                    Err(no_file) => Err(no_file),
                }
            }
        }
    }

    async fn settle(
        &self,
        job: &FetchMedia,
        key: Arc<DataKey>,
        stored: Stored,
        origin: &Origin,
        brought: Result<StoredFile, NoFile>,
    ) -> JobResult {
        let services = &self.services;
        let now = services.clock().now();
        let outcome =
            outcome(job, &key, origin, &brought, now).doing("sealing what was fetched")?;
        let (clock, settings) = (services.clock().clone(), services.settings().media.clone());
        let (org, media, attempt) = (job.org, job.media, job.attempt);
        let write = services.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move {
                let outcome = in_quota(tx, org, settings.quota, outcome).await?;
                if !store::media::settle(tx, org, media, attempt, &outcome).await? {
                    return Ok::<_, Fault>(None);
                }
                let is_stored = outcome.object.is_some();
                let result = result(&outcome, now);
                let settled = Stored {
                    status: outcome.status,
                    error: outcome.error,
                    object: outcome.object,
                    file_sealed: outcome.file_sealed,
                    size: outcome.size,
                    ..stored
                };
                tell(tx, &key, &settings, &clock, &settled).await?;
                crash::point("media.before_commit");
                Ok(Some((is_stored, result)))
            })
        });
        let counted = write.await.doing("recording a fetch")?;
        crash::point("media.after_commit");
        let is_stored = counted.as_ref().is_some_and(|(is_stored, _)| *is_stored);
        if let (Ok(file), false) = (brought, is_stored) {
            services
                .settings()
                .media
                .objects
                .forget(org, file.object)
                .await;
        }
        self.services.wake_lanes();
        self.services.wake_deliveries();
        counted.map_or(Ok(Done), |(_, result)| result)
    }
}

/// Returns the outcome; a failed one if the organisation has no room for the file. Its size may be known only now, and
/// files that are stored at once are counted one after another.
async fn in_quota(
    tx: &mut Tx,
    org: OrgId,
    quota: u64,
    outcome: Outcome,
) -> Result<Outcome, sqlx::Error> {
    if outcome.object.is_none() {
        return Ok(outcome);
    }
    store::organisations::lock(tx, org).await?;
    let used = store::media::used(tx.conn(), org).await?;
    if used.saturating_add(outcome.size.unsigned_abs()) <= quota {
        return Ok(outcome);
    }
    Ok(failed(QUOTA.to_owned(), outcome.due_at))
}

/// Emits the event of an inbound file's new status, if there is one.
async fn tell(
    tx: &mut Tx,
    key: &DataKey,
    settings: &MediaSettings,
    clock: &Clock,
    settled: &Stored,
) -> Result<(), Fault> {
    if settled.message.is_none() {
        return Ok(());
    }
    let file = super::sealed::open(key, settled)?;
    let view = View::of(key, settings, file, clock.now());
    let shown = (view.session, view.message, view.status, view.json());
    events::media(tx, key, settled.org, shown, clock).await
}

fn failed(code: String, due_at: Millis) -> Outcome {
    Outcome {
        status: MediaStatus::Failed,
        error: Some(code),
        object: None,
        file_sealed: None,
        size: 0,
        origin_sealed: None,
        due_at,
    }
}

fn wait_after(waits: &[Duration], made: i64) -> Option<Duration> {
    let made = usize::try_from(made - 1).ok()?;
    waits.get(made).copied()
}

/// What a try makes of the row.
fn outcome(
    job: &FetchMedia,
    key: &DataKey,
    origin: &Origin,
    brought: &Result<StoredFile, NoFile>,
    now: Millis,
) -> Result<Outcome, VaultError> {
    let record = job.media.to_string();
    match brought {
        Ok(file) => {
            let sealed = key.seal_json(&Place::of(job.org, FILE, &record), file)?;
            Ok(here(file, sealed, now))
        }
        Err(no_file) => {
            let place = Place::of(job.org, ORIGIN, &record);
            let moved = moved(no_file, origin).map(|origin| key.seal_json(&place, &origin));
            Ok(Outcome {
                origin_sealed: moved.transpose()?,
                ..not_here(no_file, origin, job.attempt, now)
            })
        }
    }
}

/// What becomes of the job whose row gets this outcome.
fn result(outcome: &Outcome, now: Millis) -> JobResult {
    match outcome.status {
        MediaStatus::Pending => Err(NotDone::Snooze(until(outcome.due_at, now))),
        MediaStatus::Failed => Err(NotDone::failed(outcome.error.clone().unwrap_or_default())),
        _ => Ok(Done),
    }
}

fn is_this_try(stored: &Stored, job: &FetchMedia) -> bool {
    stored.status == MediaStatus::Fetching && stored.attempts == job.attempt
}

fn here(file: &StoredFile, file_sealed: Vec<u8>, now: Millis) -> Outcome {
    Outcome {
        status: MediaStatus::Available,
        error: None,
        object: Some(file.object),
        file_sealed: Some(file_sealed),
        size: super::sealed::size(Some(file)),
        origin_sealed: None,
        due_at: now,
    }
}

/// Returns the new origin, if the file was uploaded again.
fn moved(no_file: &NoFile, origin: &Origin) -> Option<Origin> {
    let NoFile::Moved(path) = no_file else {
        return None;
    };
    let mut origin = origin.clone();
    if let Origin::WhatsApp {
        remote,
        asked_again,
        ..
    } = &mut origin
    {
        remote.direct_path.clone_from(path);
        *asked_again = true;
    }
    Some(origin)
}

fn waits(origin: &Origin) -> &'static [Duration] {
    match origin {
        Origin::Url { .. } => URL_AGAIN,
        Origin::WhatsApp { .. } => WHATSAPP_AGAIN,
    }
}

/// Returns how many tries a file has. A claim counts as one, also if its worker dies.
fn tries(origin: &Origin) -> i64 {
    i64::try_from(waits(origin).len() + 1).unwrap_or(i64::MAX)
}

fn not_here(no_file: &NoFile, origin: &Origin, made: i64, now: Millis) -> Outcome {
    let again = wait_after(waits(origin), made);
    let (status, error, wait) = match no_file {
        NoFile::Failed(code) => (MediaStatus::Failed, Some(*code), Duration::ZERO),
        NoFile::Damaged => (MediaStatus::Failed, Some("media_damaged"), Duration::ZERO),
        NoFile::Moved(_) => (MediaStatus::Pending, None, Duration::ZERO),
        NoFile::Expired => (MediaStatus::Expired, None, Duration::ZERO),
        NoFile::Full if again.is_none() || matches!(origin, Origin::Url { .. }) => {
            (MediaStatus::Failed, Some("storage_full"), Duration::ZERO)
        }
        NoFile::Later | NoFile::Full => match again {
            Some(wait) => (MediaStatus::Pending, None, wait),
            None => (
                MediaStatus::Failed,
                Some("media_unreachable"),
                Duration::ZERO,
            ),
        },
    };
    Outcome {
        status,
        error: error.map(str::to_owned),
        object: None,
        file_sealed: None,
        size: 0,
        origin_sealed: None,
        due_at: now.saturating_add(millis(wait)),
    }
}

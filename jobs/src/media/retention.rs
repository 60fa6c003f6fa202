//! Deletes expired files, and others before the disk of the database is full. Reconciles rows with objects: an object without a row is deleted, a row
//! without its object is marked as failed.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;
use passerelle_engine::{clock::Millis, store::Tx};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Fault,
    services::Services,
    store::{self, system::media_claims},
};

/// Between two sweeps for expired files.
const LOOK: Duration = Duration::from_secs(10);
/// Between two passes through the whole object store.
const RECONCILE: Duration = Duration::from_hours(6);
/// Younger objects without a row are left alone: they may still be uploading.
const COMING_IN: Duration = Duration::from_hours(2);
/// How many rows are read at once.
const PAGE: i64 = 500;

/// Sweeps and reconciles until stopped. A task of its own, because the object store is slow compared
/// with the database.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    let mut reconcile_at = services.clock().monotonic();
    while !stop.is_cancelled() {
        if let Err(fault) = sweep(&services, services.clock().now()).await {
            tracing::warn!(error = %fault, "expired files could not be deleted; trying again later");
        }
        if let Err(fault) = make_room(&services).await {
            tracing::warn!(error = %fault, "no room could be made for the database; trying again");
        }
        if services.clock().monotonic() >= reconcile_at {
            log_result(reconcile(&services, COMING_IN).await);
            reconcile_at = services.clock().monotonic() + RECONCILE;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn log_result(reconciled: anyhow::Result<Reconciled>) {
    match reconciled {
        Ok(Reconciled {
            orphans: 0,
            lost: 0,
        }) => {}
        Ok(Reconciled { orphans, lost }) => {
            tracing::info!(orphans, lost, "rows and objects of files were reconciled");
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "the object store could not be reconciled");
        }
    }
}

/// Deletes expired files.
pub(super) async fn sweep(services: &Services, now: Millis) -> Result<(), Fault> {
    let overdue = {
        let mut conn = services.store().read_system().await?;
        media_claims::overdue(&mut conn, now).await?
    };
    for (org, id) in overdue {
        match super::delete(services, org, id).await {
            Err(fault) if fault.is_outage() => return Err(fault),
            // The file is left for the next sweep; the others are deleted.
            Err(fault) => {
                tracing::error!(media.id = %id, error = %fault, "an expired file could not be deleted");
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Deletes stored files, those first that would be deleted next, while the disk that the database shares
/// with them is nearly full: without room the database accepts and records nothing.
pub(super) async fn make_room(services: &Services) -> Result<(), Fault> {
    let media = &services.settings().media;
    let mut deleted = 0;
    while media.endangers_database() {
        let oldest = {
            let mut conn = services.store().read_system().await?;
            media_claims::oldest(&mut conn, services.clock().now()).await?
        };
        if oldest.is_empty() {
            break;
        }
        for (org, id) in oldest {
            if !media.endangers_database() {
                break;
            }
            deleted += usize::from(super::delete(services, org, id).await?);
        }
    }
    if deleted > 0 {
        metrics::counter!("passerelle_media_deleted_for_room_total").increment(deleted as u64);
        tracing::error!(
            deleted,
            "the disk of the database is nearly full: files were deleted before their time"
        );
    }
    Ok(())
}

/// What a reconciliation found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// Objects without a row; they were deleted.
    pub(super) orphans: usize,
    /// Rows without their object; they are marked as failed.
    pub(super) lost: usize,
}

pub(super) async fn reconcile(services: &Services, age: Duration) -> anyhow::Result<Reconciled> {
    Ok(Reconciled {
        orphans: orphans(services, age).await?,
        lost: lost(services).await?,
    })
}

async fn orphans(services: &Services, age: Duration) -> anyhow::Result<usize> {
    let objects = services.settings().media.objects.clone();
    let mut old = pin!(objects.older_than(age, services.clock().now()));
    let mut deleted = 0;
    while let Some(found) = old.next().await {
        let (org, object) = found?;
        let known = {
            let mut conn = services.store().read_system().await?;
            media_claims::is_known(&mut conn, object).await?
        };
        if !known {
            objects.forget(org, object).await;
            deleted += 1;
        }
    }
    Ok(deleted)
}

async fn lost(services: &Services) -> anyhow::Result<usize> {
    let (mut after, mut lost) = (String::new(), 0);
    loop {
        let page = {
            let mut conn = services.store().read_system().await?;
            media_claims::available(&mut conn, &after, PAGE).await?
        };
        let Some((_, last, _)) = page.last() else {
            return Ok(lost);
        };
        after = last.to_string();
        for (org, id, object) in page {
            if services.settings().media.objects.has(org, object).await? {
                continue;
            }
            let mark = services.store().write(org, move |tx: &mut Tx| {
                Box::pin(async move { store::media::lose(tx, org, id, object).await })
            });
            // False if the file was deleted in between.
            if mark.await.map_err(Fault::Store)? {
                tracing::error!(media.id = %id, "the object of a file is missing");
                lost += 1;
            }
        }
    }
}

//! Deleting what is past its time, and bringing rows and bytes together again: bytes that no row knows
//! are deleted, rows whose bytes are gone say so.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;
use passerelle_engine::{clock::Millis, store::Tx};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Fault,
    services::Services,
    store::{self, system::media_claims},
};

/// Between two looks for files past their time.
const LOOK: Duration = Duration::from_secs(10);
/// Between two looks through the whole object store.
const RECONCILE: Duration = Duration::from_hours(6);
/// Bytes without a row are left alone while they may still be coming in.
const COMING_IN: Duration = Duration::from_hours(2);
/// Rows looked at in one go.
const PAGE: i64 = 500;

/// Sweeps and reconciles until stopped. The object store is slow next to the database, so nothing else
/// waits for it here.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    let mut reconcile_at = services.clock().monotonic();
    while !stop.is_cancelled() {
        if let Err(fault) = sweep(&services, services.clock().now()).await {
            tracing::warn!(error = %fault, "files past their time wait for the store");
        }
        if services.clock().monotonic() >= reconcile_at {
            told(reconcile(&services, COMING_IN).await);
            reconcile_at = services.clock().monotonic() + RECONCILE;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn told(reconciled: anyhow::Result<Reconciled>) {
    match reconciled {
        Ok(Reconciled {
            orphans: 0,
            lost: 0,
        }) => {}
        Ok(Reconciled { orphans, lost }) => {
            tracing::info!(orphans, lost, "files and their bytes were brought together");
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "the object store was not looked through");
        }
    }
}

/// Deletes files past their time.
pub(super) async fn sweep(services: &Services, now: Millis) -> Result<(), Fault> {
    let overdue = {
        let mut conn = services.store().read_system().await?;
        media_claims::overdue(&mut conn, now).await?
    };
    for (org, id) in overdue {
        super::delete(services, org, id).await?;
    }
    Ok(())
}

/// What was not together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// Bytes that no row knew; they were deleted.
    pub(super) orphans: usize,
    /// Rows whose bytes were gone; they are failed now.
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
            // False when the file was deleted meanwhile, as its bytes were.
            if mark.await.map_err(Fault::Store)? {
                tracing::error!(media.id = %id, "the bytes of a file are gone");
                lost += 1;
            }
        }
    }
}

//! Deleting what is past its time: rows with their bytes, and bytes that no row knows.

use std::{pin::pin, time::Duration};

use futures_util::StreamExt as _;
use passerelle_engine::store::Tx;

use crate::{error::Fault, services::Services, store};

/// Between two looks through the whole object store.
const RECONCILE: Duration = Duration::from_hours(6);
/// Bytes without a row are left alone while they may still be coming in.
const COMING_IN: Duration = Duration::from_hours(2);

/// Deletes files past their time.
pub(crate) async fn sweep(services: &Services, now: i64) -> Result<(), Fault> {
    let overdue = {
        let mut conn = services.0.store.read().await?;
        store::media_claims::overdue(&mut conn, now).await?
    };
    for (org, id) in overdue {
        let delete = services.0.store.write(move |tx: &mut Tx| {
            Box::pin(async move { store::media::delete(tx, org, id).await })
        });
        let _: bool = delete.await.map_err(Fault::Store)?;
        services.0.settings.media.objects.forget(org, id).await;
    }
    Ok(())
}

/// Deletes bytes that no row knows, again and again, until it is dropped.
pub(crate) async fn reconcile_for_ever(services: Services) {
    loop {
        match reconcile(&services).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "deleted bytes that belong to no file"),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the object store was not looked through");
            }
        }
        tokio::time::sleep(RECONCILE).await;
    }
}

async fn reconcile(services: &Services) -> anyhow::Result<usize> {
    let objects = services.0.settings.media.objects.clone();
    let mut old = pin!(objects.older_than(COMING_IN, services.0.clock.now()));
    let mut deleted = 0;
    while let Some(found) = old.next().await {
        let (org, id) = found?;
        let known = {
            let mut conn = services.0.store.read().await?;
            store::media_claims::exists(&mut conn, id).await?
        };
        if !known {
            objects.forget(org, id).await;
            deleted += 1;
        }
    }
    Ok(deleted)
}

//! A file that came in and was left at WhatsApp, fetched because the tenant asks for it.

use passerelle_engine::{
    ids::{MediaId, OrgId},
    store::Tx,
    vault::Place,
};

use super::sealed::{self, ORIGIN};
use crate::{
    error::Fault,
    model::{MediaFile, MediaStatus, Origin},
    services::Services,
    store::{self, media::Stored},
};

/// What a request to fetch a file finds.
#[derive(Debug)]
pub enum Requested {
    /// The file is fetched now, or is already here.
    Due(Box<MediaFile>),
    /// There is no such file.
    NotFound,
    /// It cannot be fetched: it is not from WhatsApp, or failed for good.
    Nothing,
}

/// Has a file fetched whatever its size.
pub async fn request(services: &Services, org: OrgId, id: MediaId) -> Result<Requested, Fault> {
    let key = services.vault().org_key(org).await?;
    let stored = {
        let mut conn = services.store().read(org).await?;
        store::media::read(&mut conn, org, id).await?
    };
    let Some(stored) = stored else {
        return Ok(Requested::NotFound);
    };
    if stored.status.is_awaited() || stored.status == MediaStatus::Available {
        return Ok(Requested::Due(Box::new(sealed::open(&key, &stored)?)));
    }
    let Some(mut origin @ Origin::WhatsApp { .. }) = sealed::origin(&key, &stored)? else {
        return Ok(Requested::Nothing);
    };
    if let Origin::WhatsApp { requested, .. } = &mut origin {
        *requested = true;
    }
    let origin = key.seal_json(&Place::of(org, ORIGIN, &id.to_string()), &origin)?;
    let now = services.clock().now();
    let write = services.store().write_in_time(org, move |tx: &mut Tx| {
        Box::pin(async move { store::media::fetch_again(tx, org, id, &origin, now).await })
    });
    let written: Result<_, sqlx::Error> = write.await;
    if !written? {
        return Ok(Requested::Nothing);
    }
    services.wake_fetches();
    let due = Stored {
        status: MediaStatus::Pending,
        error: None,
        ..stored
    };
    Ok(Requested::Due(Box::new(sealed::open(&key, &due)?)))
}

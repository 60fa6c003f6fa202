//! The encrypted parts of a file, and its row.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    ids::OrgId,
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{
    error::Fault,
    model::{MediaFile, Origin, StoredFile, millis},
    store::{self, media::Stored},
};

/// The label under which a file's origin is sealed.
pub(super) const ORIGIN: &str = "media.origin";
/// The label under which a file's key and facts are sealed.
pub(super) const FILE: &str = "media.file";

/// Decrypts the stored parts of a file.
pub(crate) fn open(key: &DataKey, stored: &Stored) -> Result<MediaFile, Fault> {
    let record = stored.id.to_string();
    let file = stored
        .file_sealed
        .as_ref()
        .map(|sealed| key.open_json(&Place::of(stored.org, FILE, &record), sealed));
    Ok(MediaFile {
        id: stored.id,
        org: stored.org,
        session: stored.session,
        message: stored.message,
        kind: stored.kind,
        status: stored.status,
        error: stored.error.clone(),
        stored: file.transpose()?,
        created_at: stored.created_at,
        delete_at: stored.delete_at,
    })
}

/// Decrypts where a file has to be fetched from; `None` once it is stored.
pub(crate) fn origin(key: &DataKey, stored: &Stored) -> Result<Option<Origin>, Fault> {
    let record = stored.id.to_string();
    let origin = stored
        .origin_sealed
        .as_ref()
        .map(|sealed| key.open_json(&Place::of(stored.org, ORIGIN, &record), sealed));
    Ok(origin.transpose()?)
}

/// Returns the row of a new file.
pub(crate) fn row(
    key: &DataKey,
    file: &MediaFile,
    origin: Option<&Origin>,
) -> Result<Stored, Fault> {
    let record = file.id.to_string();
    let origin = origin.map(|origin| key.seal_json(&Place::of(file.org, ORIGIN, &record), origin));
    let stored = file
        .stored
        .as_ref()
        .map(|stored| key.seal_json(&Place::of(file.org, FILE, &record), stored));
    Ok(Stored {
        id: file.id,
        org: file.org,
        session: file.session,
        message: file.message,
        kind: file.kind,
        status: file.status,
        error: file.error.clone(),
        origin_sealed: origin.transpose()?,
        object: file.stored.as_ref().map(|stored| stored.object),
        file_sealed: stored.transpose()?,
        size: size(file.stored.as_ref()),
        attempts: 0,
        created_at: file.created_at,
        delete_at: file.delete_at,
        needed_until: 0,
    })
}

/// Returns the bytes that a file counts for in its organisation's quota.
pub(super) fn size(stored: Option<&StoredFile>) -> i64 {
    let size = stored.map_or(0, |stored| stored.file.size);
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Returns when a file that was created at `created_at` is deleted: after its organisation's own
/// retention, or else the gateway's.
pub(super) async fn delete_at(
    tx: &mut Tx,
    org: OrgId,
    created_at: Millis,
    of_gateway: Millis,
) -> Result<Millis, sqlx::Error> {
    let own = store::organisations::media_retention(tx, org).await?;
    let after = |hours: u32| {
        let kept = Duration::from_hours(hours.into());
        created_at.saturating_add(millis(kept))
    };
    Ok(own.map_or(of_gateway, after))
}

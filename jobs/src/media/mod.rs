//! Files: taking them in, keeping them, giving them out.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what a tenant does with a file |
//! | `kinds` | what each kind of file may be: types and sizes |
//! | `ingest`, `turns` | from bytes that come in to a stored file; how many come in at once |
//! | `decoding`, `picture`, `voice`, `film` | pictures, voice notes and films, made ready; how many at once |
//! | `recording`, `pages` | how long a recording plays; how many pages a document has |
//! | `confined` | work on a stranger's bytes in a process that can do nothing else |
//! | `objects` | the object store; bytes lie there encrypted, each file under a key of its own |
//! | `claims`, `fetch` | files to fetch as a queue; the job |
//! | `source`, `again` | where they come from: an address, WhatsApp; what WhatsApp no longer keeps |
//! | `outgoing`, `incoming` | the file of a message that goes out; of one that comes in |
//! | `view` | a file as it is shown |
//! | `link` | signed links, which open one file for a while |
//! | `retention` | deleting what is past its time, and what nobody knows |

mod again;
mod claims;
mod confined;
mod decoding;
pub(crate) mod fetch;
mod film;
pub(crate) mod incoming;
mod ingest;
mod kinds;
mod link;
mod objects;
pub(crate) mod outgoing;
mod pages;
mod picture;
mod recording;
pub(crate) mod retention;
mod source;
mod view;
mod voice;

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use passerelle_engine::{
    clock::Millis,
    ids::{MediaId, OrgId},
    store::Tx,
    vault::{DataKey, Place},
};

pub use self::{
    confined::{Confinement, obey},
    film::Ffmpeg,
    ingest::{BadMedia, IngestError, Upload, ingest},
    kinds::INLINE_MAX,
    link::{Link, open as open_link},
    objects::{Objects, ObjectsError},
    outgoing::{Source, SourceError},
    view::{View, sha256},
};
pub(crate) use self::{decoding::Decoding, source::client};
use crate::{
    error::Fault,
    model::{MediaFile, Origin, StoredFile},
    services::Services,
    store::{self, media::Stored},
};

/// A small JPEG of a picture; none when it is none, or cannot be made small.
pub(crate) fn thumbnail(bytes: &[u8]) -> Option<Vec<u8>> {
    picture::small(kinds::sniff(bytes), bytes)
}

/// One file, to be shown.
pub async fn view(services: &Services, file: MediaFile) -> Result<View, Fault> {
    let key = services.0.vault.org_key(file.org).await?;
    let now = services.0.clock.now();
    Ok(View::of(&key, &services.0.settings.media, file, now))
}

/// One file.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: MediaId,
) -> Result<Option<MediaFile>, Fault> {
    let key = services.0.vault.org_key(org).await?;
    let mut conn = services.0.store.read(org).await?;
    let stored = store::media::read(&mut conn, org, id).await?;
    stored.map(|stored| open(&key, &stored)).transpose()
}

/// The bytes `wanted` of a file that is here.
pub async fn bytes(
    services: &Services,
    file: &MediaFile,
    stored: &StoredFile,
    wanted: Range<u64>,
) -> Result<impl Stream<Item = Result<Bytes, ObjectsError>> + use<>, ObjectsError> {
    let objects = &services.0.settings.media.objects;
    objects
        .part(file.org, stored.object, stored.file.clone(), wanted)
        .await
}

/// Deletes a file; false when there is none. Messages that carried it say so still.
pub async fn delete(services: &Services, org: OrgId, id: MediaId) -> Result<bool, Fault> {
    let write = services.0.store.write(org, move |tx: &mut Tx| {
        Box::pin(async move { store::media::delete(tx, org, id).await })
    });
    let deleted: Result<_, sqlx::Error> = write.await;
    let deleted = deleted?;
    if let Some(Some(object)) = deleted {
        // Without its row nothing opens it; the reconciler finds what is left here.
        services.0.settings.media.objects.forget(org, object).await;
    }
    Ok(deleted.is_some())
}

/// Where a file's origin lies.
fn origin_place(org: OrgId, record: &str) -> Place<'_> {
    place(org, "media.origin", record)
}

/// Where what opens a file lies.
fn file_place(org: OrgId, record: &str) -> Place<'_> {
    place(org, "media.file", record)
}

fn place<'a>(org: OrgId, table: &'static str, record: &'a str) -> Place<'a> {
    Place {
        org,
        session: None,
        table,
        record,
    }
}

/// Opens what is sealed of a file.
pub(crate) fn open(key: &DataKey, stored: &Stored) -> Result<MediaFile, Fault> {
    let record = stored.id.to_string();
    let file = stored
        .file_sealed
        .as_ref()
        .map(|sealed| key.open_json(&file_place(stored.org, &record), sealed));
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

/// Opens where a file is to be fetched; none once it is here.
pub(crate) fn origin(key: &DataKey, stored: &Stored) -> Result<Option<Origin>, Fault> {
    let record = stored.id.to_string();
    let origin = stored
        .origin_sealed
        .as_ref()
        .map(|sealed| key.open_json(&origin_place(stored.org, &record), sealed));
    Ok(origin.transpose()?)
}

/// A new file as its row.
pub(crate) fn row(
    key: &DataKey,
    file: &MediaFile,
    origin: Option<&Origin>,
) -> Result<Stored, Fault> {
    let record = file.id.to_string();
    let origin = origin.map(|origin| key.seal_json(&origin_place(file.org, &record), origin));
    let stored = file
        .stored
        .as_ref()
        .map(|stored| key.seal_json(&file_place(file.org, &record), stored));
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
        attempts: 0,
        created_at: file.created_at,
        delete_at: file.delete_at,
        needed_until: 0,
    })
}

/// When a file that came in at `created_at` is deleted: after its organisation's own time, or when the
/// gateway would.
async fn delete_at(
    tx: &mut Tx,
    org: OrgId,
    created_at: Millis,
    of_gateway: Millis,
) -> Result<Millis, sqlx::Error> {
    let own = store::organisations::media_retention(tx, org).await?;
    let after = |hours: u32| {
        let kept = std::time::Duration::from_hours(hours.into());
        created_at.saturating_add(crate::safety::pace::millis(kept))
    };
    Ok(own.map_or(of_gateway, after))
}

/// How files are kept.
#[derive(Debug, Clone)]
pub struct MediaSettings {
    /// Where.
    pub objects: Objects,
    /// For how long.
    pub retention: std::time::Duration,
    /// How long a file at an address may take, from the look-up to its last byte.
    pub url_within: std::time::Duration,
    /// Where callers reach this gateway (`https://…`, without a slash at the end), for links.
    pub public_url: std::sync::Arc<str>,
    /// How full the disk may be, in percent, before no more files come in.
    pub disk_max: u8,
    /// How work on a stranger's bytes is confined; none where there is no such work.
    pub confinement: Option<Confinement>,
    /// What converts films, where it is installed.
    pub ffmpeg: Option<Ffmpeg>,
}

impl MediaSettings {
    /// Of a process that keeps no files.
    pub fn nowhere() -> Self {
        Self {
            objects: Objects::nowhere(),
            retention: std::time::Duration::from_hours(72),
            url_within: std::time::Duration::from_secs(30),
            public_url: "".into(),
            disk_max: 100,
            confinement: None,
            ffmpeg: None,
        }
    }

    /// Whether no more files come in. Texts flow all the same.
    pub(crate) fn is_full(&self) -> bool {
        let fullness = self.objects.fullness();
        fullness.is_some_and(|percent| percent > self.disk_max)
    }

    fn delete_at(&self, now: Millis) -> Millis {
        now.saturating_add(crate::safety::pace::millis(self.retention))
    }
}

//! Files: taking them in, keeping them, giving them out.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what a tenant does with a file |
//! | `kinds` | what each kind of file may be: types and sizes |
//! | `ingest`, `stored`, `error` | from bytes that come in to a stored file, and why there is none |
//! | `ready`, `picture`, `voice`, `film` | pictures, voice notes and films, made ready |
//! | `recording`, `pages` | how long a recording plays; how many pages a document has |
//! | `confined` | work on a stranger's bytes in a process that can do nothing else |
//! | `objects` | the object store; bytes lie there encrypted, each file under a key of its own |
//! | `claims`, `fetch` | files to fetch as a queue; the job |
//! | `source`, `again` | where they come from: an address, WhatsApp; what WhatsApp no longer keeps |
//! | `outgoing`, `incoming` | the file of a message that goes out; of one that comes in |
//! | `view`, `sealed` | a file as it is shown; what is sealed of it, and its row |
//! | `link` | signed links, which open one file for a while |
//! | `retention` | deleting what is past its time, and what nobody knows |

mod again;
mod claims;
pub(crate) mod confined;
pub(crate) mod error;
pub(crate) mod fetch;
pub(crate) mod film;
pub(crate) mod incoming;
mod ingest;
mod kinds;
mod link;
pub(crate) mod objects;
pub(crate) mod outgoing;
mod pages;
mod picture;
mod ready;
mod recording;
pub(crate) mod retention;
pub(crate) mod sealed;
mod source;
mod stored;
pub(crate) mod view;
mod voice;

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use passerelle_engine::{
    ids::{MediaId, OrgId},
    store::Tx,
};

pub(crate) use self::source::client;
pub use self::{
    confined::{Confinement, obey},
    error::{BadMedia, IngestError},
    film::ffmpeg::Ffmpeg,
    ingest::{Upload, ingest},
    kinds::INLINE_MAX,
    link::{SignedUrl, open as open_link},
    objects::{Objects, ObjectsError},
    outgoing::{MediaSource, SourceError},
    view::{View, sha256},
};
use crate::{
    error::Fault,
    model::{MediaFile, StoredFile},
    services::Services,
    store,
};

/// A small JPEG of a picture; none when it is none, or cannot be made small.
pub(crate) fn thumbnail(bytes: &[u8]) -> Option<Vec<u8>> {
    picture::small(kinds::sniff(bytes), bytes)
}

/// One file, to be shown.
pub async fn view(services: &Services, file: MediaFile) -> Result<View, Fault> {
    let key = services.vault().org_key(file.org).await?;
    let now = services.clock().now();
    Ok(View::of(&key, &services.settings().media, file, now))
}

/// One file.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: MediaId,
) -> Result<Option<MediaFile>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let stored = store::media::read(&mut conn, org, id).await?;
    stored.map(|stored| sealed::open(&key, &stored)).transpose()
}

/// The bytes `wanted` of a file that is here.
pub async fn bytes(
    services: &Services,
    file: &MediaFile,
    stored: &StoredFile,
    wanted: Range<u64>,
) -> Result<impl Stream<Item = Result<Bytes, ObjectsError>> + use<>, ObjectsError> {
    let objects = &services.settings().media.objects;
    objects
        .part(file.org, stored.object, stored.file.clone(), wanted)
        .await
}

/// Deletes a file; false when there is none. Messages that carried it say so still.
pub async fn delete(services: &Services, org: OrgId, id: MediaId) -> Result<bool, Fault> {
    let write = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move { store::media::delete(tx, org, id).await })
    });
    let deleted: Result<_, sqlx::Error> = write.await;
    let deleted = deleted?;
    if let Some(Some(object)) = deleted {
        // Without its row nothing opens it; the reconciler finds what is left here.
        services.settings().media.objects.forget(org, object).await;
    }
    Ok(deleted.is_some())
}

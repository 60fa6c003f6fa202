//! Files: storing, keeping and serving them.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what a tenant does with a file |
//! | `kinds` | what a file is, and what a message of each kind carries |
//! | `ingest`, `stored`, `error` | from uploaded bytes to a stored file, and why there is none |
//! | `ready`, `picture`, `voice`, `film`, `bounds` | pictures, voice notes and videos, made ready to be sent; what that may take |
//! | `recording`, `pages` | recordings that are sent without decoding them; how many pages a document has |
//! | `confined`, `work`, `decode` | a process with almost no rights for untrusted bytes; what it does with them; having it done |
//! | `room` | room on the disk for files |
//! | `objects`, `reader` | the object store, which holds encrypted bytes only; a stored file, read like one on disk |
//! | `claims`, `fetch` | files to fetch as a queue; the job |
//! | `source`, `again`, `requested` | where files are fetched: an address, WhatsApp; files that WhatsApp no longer keeps; large files that a tenant asks for |
//! | `outgoing`, `incoming` | the file of an outbound message; of an inbound one |
//! | `view`, `sealed` | a file as it is shown; its encrypted parts and its row |
//! | `link` | signed links, which open one file for a while |
//! | `retention` | deletes expired files and orphaned bytes |

mod again;
pub(crate) mod bounds;
mod claims;
pub(crate) mod confined;
mod decode;
pub(crate) mod error;
pub(crate) mod fetch;
pub(crate) mod film;
pub(crate) mod incoming;
pub(crate) mod ingest;
mod kinds;
mod link;
mod name;
pub(crate) mod objects;
pub(crate) mod outgoing;
mod pages;
mod picture;
mod reader;
mod ready;
pub(crate) mod recording;
mod requested;
pub(crate) mod retention;
mod room;
pub(crate) mod sealed;
mod source;
#[cfg(feature = "sandbox")]
mod stand_in;
mod stored;
pub(crate) mod view;
mod voice;
mod work;

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
    error::{BadFile, BadMedia, IngestError},
    film::ffmpeg::Ffmpeg,
    ingest::{Upload, ingest},
    kinds::{INLINE_MAX, clean_media_type},
    link::{SignedUrl, open as open_link},
    objects::{Objects, ObjectsError},
    outgoing::{MediaSource, SourceError},
    requested::{Requested, request},
    view::{View, sha256},
};
use crate::{
    error::Fault,
    model::{MediaFile, StoredFile},
    services::Services,
    store,
};

/// Returns a small JPEG of a picture; `None` if it is no picture or cannot be made small.
pub(crate) async fn thumbnail(services: &Services, org: OrgId, picture: &[u8]) -> Option<Vec<u8>> {
    let _slot = services.decoding().file(org).await;
    decode::thumbnail(services, org, kinds::sniff(picture), picture).await
}

/// Returns a file as it is shown.
pub async fn view(services: &Services, file: MediaFile) -> Result<View, Fault> {
    let key = services.vault().org_key(file.org).await?;
    let now = services.clock().now();
    Ok(View::of(&key, &services.settings().media, file, now))
}

/// Reads one file.
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

/// Returns the bytes `wanted` of an available file.
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

/// Deletes a file. Returns false if there is none. Messages that carried it still name it.
pub async fn delete(services: &Services, org: OrgId, id: MediaId) -> Result<bool, Fault> {
    let write = services.store().write_in_time(org, move |tx: &mut Tx| {
        Box::pin(async move { store::media::delete(tx, org, id).await })
    });
    let deleted: Result<_, sqlx::Error> = write.await;
    let deleted = deleted?;
    if let Some(Some(object)) = deleted {
        // Without its row nothing can open the bytes; the reconciler deletes them if this fails.
        services.settings().media.objects.forget(org, object).await;
    }
    Ok(deleted.is_some())
}

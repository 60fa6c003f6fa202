//! The file of an outbound message: where the tenant says it is, and what happens with it at accept.

use std::{convert::Infallible, time::Duration};

use futures_util::stream;
use passerelle_engine::{
    clock::Millis,
    content::{Media, MediaKind},
    ids::{MediaId, OrgId},
    store::Tx,
    vault::DataKey,
};

use super::{name, view};
use crate::{
    error::Fault,
    media::{
        error::{BadFile, IngestError},
        ingest::{self, Upload},
        kinds,
    },
    model::{MediaFile, MediaStatus, Origin, millis},
    services::Services,
    store::{self, media::Stored},
    webhook::guard::UrlNotAllowed,
};

/// A file is kept this long after its message's deadline.
const AFTER: Duration = Duration::from_hours(1);

/// Where the file of a message is.
#[derive(Debug, Clone)]
pub enum MediaSource {
    /// It is already stored.
    Kept(MediaId),
    /// At an allowed address; it is fetched while the message waits in its lane.
    Url(String),
    /// In the request.
    Bytes(Vec<u8>),
}

/// Why a file cannot be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// Fetching it failed, or WhatsApp no longer keeps it.
    #[error("the file is not available")]
    NotAvailable,
    /// It was uploaded as another kind.
    #[error("the file is of another kind: {}", .0.as_str())]
    Kind(MediaKind),
    /// The gateway does not call this address.
    #[error(transparent)]
    Url(UrlNotAllowed),
    /// It is not a valid file of the message's kind.
    #[error(transparent)]
    Bad(BadFile),
}

/// The file of a message that is being accepted.
#[derive(Clone)]
pub(crate) enum File {
    /// It was stored before.
    Kept(MediaId),
    /// It was stored with this message.
    Brought(MediaId),
    /// It still has to be fetched.
    Fetched(Box<Stored>),
}

/// Finds or stores the file of a message, and adds the known facts to the message.
pub(crate) async fn find(
    services: &Services,
    key: &DataKey,
    org: OrgId,
    (kind, media): (MediaKind, &mut Media),
    source: MediaSource,
) -> Result<Result<File, SourceError>, IngestError> {
    match source {
        MediaSource::Kept(id) => {
            let found = super::read(services, org, id).await?;
            Ok(usable(found, kind).map(|file| {
                describe(media, &file);
                File::Kept(id)
            }))
        }
        MediaSource::Bytes(bytes) => {
            let size = bytes.len() as u64;
            let whole = stream::iter([Ok::<_, Infallible>(bytes.into())]);
            let upload = Upload {
                kind,
                size: Some(size),
                file_name: media.file_name.clone(),
                mime_type: media.mime_type.clone(),
            };
            match super::ingest(services, org, upload, whole).await {
                Ok(file) => {
                    describe(media, &file);
                    Ok(Ok(File::Brought(file.id)))
                }
                Err(IngestError::Bad(bad)) => Ok(Err(SourceError::Bad(bad))),
                Err(error) => Err(error),
            }
        }
        MediaSource::Url(url) => {
            if let Err(refused) = services.settings().egress.check_url(&url) {
                return Ok(Err(SourceError::Url(refused)));
            }
            if services.settings().media.is_full() {
                return Err(IngestError::Full(services.settings().media.disk_max));
            }
            ingest::in_quota(services, org, None).await?;
            let file = pending(services, org, kind);
            media.media_id = file.id;
            let origin = Origin::Url {
                url,
                file_name: media.file_name.clone(),
                mime_type: media.mime_type.take(),
            };
            let row = super::sealed::row(key, &file, Some(&origin))?;
            Ok(Ok(File::Fetched(Box::new(row))))
        }
    }
}

/// Returns a new file that is to be fetched.
fn pending(services: &Services, org: OrgId, kind: MediaKind) -> MediaFile {
    let now = services.clock().now();
    MediaFile {
        id: MediaId::new(services.clock()),
        org,
        session: None,
        message: None,
        kind,
        status: MediaStatus::Pending,
        error: None,
        stored: None,
        created_at: now,
        delete_at: services.settings().media.delete_at(now),
    }
}

/// Looks a file up that is sent again, and adds the facts that are known by now.
pub(crate) async fn again(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    (kind, media): (MediaKind, &mut Media),
) -> Result<Result<(), SourceError>, Fault> {
    let stored = store::media::read(tx.conn(), org, media.media_id).await?;
    let found = stored
        .map(|stored| super::sealed::open(key, &stored))
        .transpose()?;
    Ok(usable(found, kind).map(|file| describe(media, &file)))
}

fn usable(found: Option<MediaFile>, kind: MediaKind) -> Result<MediaFile, SourceError> {
    let file = found.ok_or(SourceError::NotFound)?;
    if file.kind != kind {
        return Err(SourceError::Kind(file.kind));
    }
    let usable = file.status.is_awaited() || file.status == MediaStatus::Available;
    usable.then_some(file).ok_or(SourceError::NotAvailable)
}

/// Adds the file's facts; the message keeps its own caption, name and, where the content does not say it,
/// type.
fn describe(media: &mut Media, file: &MediaFile) {
    let known = file.stored.as_ref();
    let known = known.map_or_else(
        || Media::new(file.id),
        |stored| view::facts(file.id, stored),
    );
    let file_name = named_as(media, file);
    let mime_type = match known.mime_type.as_deref() {
        Some(found) => Some(sent_as(media, found)),
        None => media.mime_type.take(),
    };
    *media = Media {
        caption: media.caption.take(),
        file_name,
        mime_type,
        ..known
    };
}

/// Returns the type that a stored file of the type `found` is sent as with this message.
pub(crate) fn sent_as(media: &Media, found: &str) -> String {
    let (said, name) = (media.mime_type.as_deref(), media.file_name.as_deref());
    kinds::named(found, said, name).into_owned()
}

/// Returns the name that a file is sent with this message. A document has one as soon as its type is known.
pub(crate) fn named_as(media: &Media, file: &MediaFile) -> Option<String> {
    let stored = file.stored.as_ref();
    let of_file = || stored?.file_name.clone();
    let made = || {
        let found = &stored
            .filter(|_| file.kind == MediaKind::Document)?
            .looks
            .mime_type;
        let mime_type = sent_as(media, found);
        Some(name::of_document(None, &mime_type, file.created_at))
    };
    media.file_name.clone().or_else(of_file).or_else(made)
}

/// Keeps the file of an accepted message, which is sent before `expires_at`. Wake the fetches
/// after the commit.
pub(crate) async fn accepted(
    tx: &mut Tx,
    org: OrgId,
    file: &File,
    expires_at: Millis,
) -> Result<(), sqlx::Error> {
    let until = expires_at.saturating_add(millis(AFTER));
    match file {
        File::Kept(id) | File::Brought(id) => keep(tx, org, *id, expires_at).await,
        File::Fetched(row) => {
            let kept = super::sealed::delete_at(tx, org, row.created_at, row.delete_at).await?;
            let row = Stored {
                delete_at: kept.max(until),
                needed_until: until,
                ..(**row).clone()
            };
            store::media::insert(tx, &row).await
        }
    }
}

/// Keeps a file until the message that has it has expired.
pub(crate) async fn keep(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    expires_at: Millis,
) -> Result<(), sqlx::Error> {
    let until = expires_at.saturating_add(millis(AFTER));
    store::media::keep_until(tx, org, id, until).await
}

/// Deletes the file that came with a message, because the message was not accepted.
pub(crate) async fn refused(services: &Services, org: OrgId, file: &File) {
    let File::Brought(id) = file else { return };
    if let Err(error) = super::delete(services, org, *id).await {
        tracing::debug!(media.id = %id, %error, "the file of a refused message could not be deleted; the sweep will delete it");
    }
}

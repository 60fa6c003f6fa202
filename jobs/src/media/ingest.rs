//! From bytes that come in to a stored file.
//!
//! Pictures are small and held whole, a few at a time; everything else is encrypted and stored while
//! it comes in. A file that turns out to be none of its kind leaves nothing behind.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use passerelle_engine::{
    clock::Millis,
    content::MediaKind,
    ids::{MediaId, OrgId},
    media::{Looks, MediaClass, SealedFile, Sealer},
    store::Tx,
};

use super::{
    kinds::{self, HEAD},
    objects::{Objects, ObjectsError, Writing},
    picture, recording,
};
use crate::{
    error::Fault,
    model::{MediaFile, MediaStatus, StoredFile},
    services::Services,
    store,
};

/// Why the bytes are no file of their kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMedia {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// More bytes than a file of its kind may have.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// Its first bytes are those of another type.
    #[error("the file is {0}, which a message of this kind does not carry")]
    Type(&'static str),
    /// It would have to be converted.
    #[error("the file would have to be converted: needed is {0}")]
    Transcoding(&'static str),
    /// It does not read as what its first bytes say.
    #[error("the file is damaged")]
    Damaged,
    /// A picture of too many pixels, or a sticker of other than 512 by 512.
    #[error("the picture has the wrong size in pixels")]
    Dimensions,
}

impl BadMedia {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "media_empty",
            Self::TooLarge(_) => "media_too_large",
            Self::Type(_) => "media_type_not_supported",
            Self::Transcoding(_) => "transcoding_unavailable",
            Self::Damaged => "media_damaged",
            Self::Dimensions => "media_dimensions",
        }
    }
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are no file of their kind.
    #[error(transparent)]
    Bad(#[from] BadMedia),
    /// The bytes stopped coming.
    #[error("the bytes stopped coming")]
    BrokenOff,
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What is said of a file that comes in.
#[derive(Debug, Clone)]
pub struct Upload {
    /// As what it will be sent.
    pub kind: MediaKind,
    /// Its name, cleaned.
    pub file_name: Option<String>,
}

/// Takes a tenant's file in: checks it, makes it ready for its kind, and stores it.
pub async fn ingest<S, E>(
    services: &Services,
    org: OrgId,
    upload: Upload,
    bytes: S,
) -> Result<MediaFile, IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let shared = &services.0;
    let id = MediaId::new(&shared.clock);
    let stored = take_in(services, org, id, upload, bytes).await?;
    let now = shared.clock.now();
    let file = available(org, id, stored, now, shared.settings.media.delete_at(now));
    let key = shared.vault.org_key(org).await.map_err(Fault::from)?;
    let row = super::row(&key, &file, None)?;
    let written = shared.store.write(move |tx: &mut Tx| {
        Box::pin(async move { store::media::insert(tx, &row).await })
    });
    if let Err(error) = written.await {
        shared.settings.media.objects.forget(org, id).await;
        return Err(Fault::Store(error).into());
    }
    Ok(file)
}

fn available(
    org: OrgId,
    id: MediaId,
    (kind, stored): (MediaKind, StoredFile),
    now: Millis,
    delete_at: Millis,
) -> MediaFile {
    MediaFile {
        id,
        org,
        session: None,
        message: None,
        kind,
        status: MediaStatus::Available,
        error: None,
        stored: Some(stored),
        created_at: now,
        delete_at,
    }
}

/// Checks and stores the bytes; there is no row of them yet.
pub(super) async fn take_in<S, E>(
    services: &Services,
    org: OrgId,
    id: MediaId,
    upload: Upload,
    bytes: S,
) -> Result<(MediaKind, StoredFile), IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let Upload { kind, file_name } = upload;
    let objects = &services.0.settings.media.objects;
    let mut incoming = Incoming {
        bytes,
        seen: 0,
        most: kinds::size_max(kind),
    };
    let head = incoming.gather(HEAD).await?;
    if head.is_empty() {
        return Err(BadMedia::Empty.into());
    }
    let mime_type = kinds::sniff(&head);
    check_type(kind, mime_type)?;
    let (file, looks) = if matches!(kind, MediaKind::Image | MediaKind::Sticker) {
        let picture = incoming.rest(head).await?;
        let ready = services.0.pictures.ready(kind, mime_type, picture).await?;
        let whole = futures_util::stream::iter([Ok::<_, E>(ready.bytes)]);
        let incoming = Incoming {
            bytes: whole,
            seen: 0,
            most: u64::MAX,
        };
        let file = seal(objects, org, id, kind, Bytes::new(), incoming).await?;
        (file, ready.looks)
    } else {
        let file = seal(objects, org, id, kind, head, incoming).await?;
        let looks = recording::looks(objects, org, id, kind, mime_type, &file).await;
        match looks {
            Ok(looks) => (file, looks),
            Err(bad) => {
                objects.forget(org, id).await;
                return Err(bad.into());
            }
        }
    };
    let stored = StoredFile {
        file,
        looks,
        file_name,
    };
    Ok((kind, stored))
}

fn check_type(kind: MediaKind, mime_type: &'static str) -> Result<(), BadMedia> {
    if kinds::takes(kind, mime_type) {
        return Ok(());
    }
    let convertible = match kind {
        MediaKind::Voice => mime_type.starts_with("audio/") || mime_type == "application/ogg",
        MediaKind::Audio => mime_type.starts_with("audio/"),
        MediaKind::Video => mime_type.starts_with("video/"),
        _ => false,
    };
    Err(if convertible {
        BadMedia::Transcoding(recording::needed(kind))
    } else {
        BadMedia::Type(mime_type)
    })
}

/// The bytes as they come, and no more than may be.
struct Incoming<S> {
    bytes: S,
    seen: u64,
    most: u64,
}

impl<S, E> Incoming<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    async fn next(&mut self) -> Result<Option<Bytes>, IngestError> {
        let Some(chunk) = self.bytes.next().await else {
            return Ok(None);
        };
        let chunk = chunk.map_err(|_| IngestError::BrokenOff)?;
        self.seen += chunk.len() as u64;
        if self.seen > self.most {
            return Err(BadMedia::TooLarge(self.most).into());
        }
        Ok(Some(chunk))
    }

    /// At least `enough` bytes, unless they end before.
    async fn gather(&mut self, enough: usize) -> Result<Bytes, IngestError> {
        let mut gathered = BytesMut::new();
        while gathered.len() < enough {
            let Some(chunk) = self.next().await? else {
                break;
            };
            gathered.extend_from_slice(&chunk);
        }
        Ok(gathered.freeze())
    }

    /// Everything, after what came already.
    async fn rest(mut self, head: Bytes) -> Result<Vec<u8>, IngestError> {
        let mut all = head.to_vec();
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// Encrypts the bytes while they come, and stores them.
async fn seal<S, E>(
    objects: &Objects,
    org: OrgId,
    id: MediaId,
    kind: MediaKind,
    head: Bytes,
    incoming: Incoming<S>,
) -> Result<SealedFile, IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let mut writing = objects.write(org, id);
    let sealer = Sealer::new(MediaClass::from(kind));
    match pour(&mut writing, sealer, head, incoming).await {
        Ok(file) => {
            writing.finish().await?;
            Ok(file)
        }
        Err(error) => {
            writing.abort().await;
            Err(error)
        }
    }
}

async fn pour<S, E>(
    writing: &mut Writing,
    mut sealer: Sealer,
    head: Bytes,
    mut incoming: Incoming<S>,
) -> Result<SealedFile, IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    writing.write(sealer.update(&head)).await?;
    while let Some(chunk) = incoming.next().await? {
        writing.write(sealer.update(&chunk)).await?;
    }
    let (last, file) = sealer.finish();
    writing.write(last).await?;
    Ok(file)
}

/// A file of a kind of which only its type is known.
pub(super) fn plain(mime_type: &str) -> Looks {
    Looks {
        mime_type: mime_type.to_owned(),
        ..Looks::default()
    }
}

//! From bytes that come in to a stored file.
//!
//! Every file is encrypted and stored while it comes in; nothing of it is held as a whole, and nothing
//! lies on a disk in the clear. A picture, a voice note or a film is then made ready from there, when its
//! turn comes, and stored anew where that changed it. A file that turns out to be none of its kind leaves nothing behind.

use std::{fs::File, io::Read as _};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream::Fuse};
use passerelle_engine::{
    content::MediaKind,
    ids::{MediaId, ObjectId, OrgId},
    media::{Looks, MediaClass, SealedFile, Sealer},
    store::Tx,
};

use super::{
    film,
    kinds::{self, HEAD},
    objects::Writing,
    pages, recording,
};
use crate::{
    error::Fault,
    media::{
        error::{BadMedia, IngestError},
        picture,
        ready::Ready,
        stored::{Sealed, plain},
        voice,
    },
    model::{MediaFile, MediaStatus, StoredFile},
    services::Services,
    state::decoding::DecodingSlot,
    store,
};

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
    if services.settings().media.is_full() {
        return Err(IngestError::Full);
    }
    let _slot = services
        .upload_slots()
        .of(org)
        .await
        .ok_or(IngestError::Busy)?;
    let kind = upload.kind;
    let stored = take_in(services, org, upload, bytes).await?;
    let object = stored.object;
    let now = services.clock().now();
    let mut file = MediaFile {
        id: MediaId::new(services.clock()),
        org,
        session: None,
        message: None,
        kind,
        status: MediaStatus::Available,
        error: None,
        stored: Some(stored),
        created_at: now,
        delete_at: services.settings().media.delete_at(now),
    };
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let mut row = super::sealed::row(&key, &file, None)?;
    let written = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move {
            row.delete_at = super::sealed::delete_at(tx, org, now, row.delete_at).await?;
            store::media::insert(tx, &row).await?;
            Ok(row.delete_at)
        })
    });
    match written.await {
        Ok(delete_at) => file.delete_at = delete_at,
        Err(error) => {
            services.settings().media.objects.forget(org, object).await;
            return Err(Fault::Store(error).into());
        }
    }
    Ok(file)
}

/// Checks and stores the bytes; no row tells of them yet.
pub(super) async fn take_in<S, E>(
    services: &Services,
    org: OrgId,
    upload: Upload,
    bytes: S,
) -> Result<StoredFile, IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    let Upload { kind, file_name } = upload;
    let mut incoming = Incoming::new(bytes, kinds::size_max(kind));
    let head = incoming.gather(HEAD).await?;
    if head.is_empty() {
        return Err(BadMedia::Empty.into());
    }
    let mime_type = kinds::sniff(&head);
    let converts = services.settings().media.ffmpeg.is_some();
    check_type(kind, mime_type, converts)?;
    let came = Sealing::new(services, org, kind)
        .all(head, incoming)
        .await?;
    let looked = looks(services, &came, kind, mime_type).await;
    let (sealed, looks) = match looked {
        Ok((anew, looks)) => (anew.unwrap_or(came), looks),
        Err(error) => {
            came.forget(&services.settings().media.objects).await;
            return Err(error);
        }
    };
    Ok(StoredFile {
        object: sealed.object,
        file: sealed.file,
        looks,
        file_name,
    })
}

/// Refuses what cannot become a file of this kind. Whether films are converted is told by `converts`.
fn check_type(kind: MediaKind, mime_type: &'static str, converts: bool) -> Result<(), BadMedia> {
    let (recorded, filmed) = (
        mime_type.starts_with("audio/") || mime_type == "application/ogg",
        mime_type.starts_with("video/"),
    );
    let taken = kinds::takes(kind, mime_type)
        || (kind == MediaKind::Voice && recorded)
        || (kind == MediaKind::Video && filmed && converts);
    if taken {
        return Ok(());
    }
    let convertible = match kind {
        MediaKind::Audio => mime_type.starts_with("audio/"),
        MediaKind::Video => filmed,
        _ => false,
    };
    Err(if convertible {
        BadMedia::Transcoding(recording::needed(kind))
    } else {
        BadMedia::Type(mime_type)
    })
}

/// How the file looks; and the file anew, where it had to be changed.
async fn looks(
    services: &Services,
    came: &Sealed,
    kind: MediaKind,
    mime_type: &'static str,
) -> Result<(Option<Sealed>, Looks), IngestError> {
    let settings = &services.settings().media;
    let objects = &settings.objects;
    match kind {
        MediaKind::Image | MediaKind::Sticker | MediaKind::Voice => {
            let slot = services.decoding().slot().await;
            let whole = objects.whole(came.org, came.object, came.file.clone());
            let whole = whole.await?;
            let ready = ready(slot, kind, mime_type, whole).await?;
            let whole = futures_util::stream::iter([Ok::<_, std::io::Error>(ready.bytes)]);
            let anew = replaced(came, services, kind, whole).await?;
            Ok((Some(anew), ready.looks))
        }
        MediaKind::Video => {
            let (made, looks) = film::ready(services, came, mime_type).await?;
            let Some(made) = made else {
                return Ok((None, looks));
            };
            let anew = replaced(came, services, kind, chunks(made)).await?;
            Ok((Some(anew), looks))
        }
        MediaKind::Audio => Ok((None, recording::looks(objects, came, mime_type).await)),
        MediaKind::Document => {
            let mut looks = plain(mime_type);
            if let Some(confinement) = &settings.confinement
                && pages::counts(mime_type, &came.file)
            {
                let decoding = services.decoding();
                looks.pages = pages::of(confinement, objects, decoding, came).await;
            }
            Ok((None, looks))
        }
    }
}

/// Makes a picture, a sticker or a voice note ready to be sent.
async fn ready(
    slot: DecodingSlot,
    kind: MediaKind,
    mime_type: &'static str,
    bytes: Vec<u8>,
) -> Result<Ready, BadMedia> {
    let work = move || match kind {
        MediaKind::Voice => voice::voice(&bytes),
        MediaKind::Sticker => picture::sticker(bytes),
        _ => picture::picture(mime_type, bytes),
    };
    // A decoder that panics says that the file is damaged.
    slot.work(work).await.unwrap_or(Err(BadMedia::Damaged))
}

/// How much is read at once of what lies in memory.
const CHUNK: usize = 64 * 1024;

/// The bytes of a file that lies in memory: reading it waits for no disk.
fn chunks(mut file: File) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
    futures_util::stream::iter(std::iter::from_fn(move || {
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => {
                chunk.truncate(count);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        }
    }))
}

/// The bytes as they come, and no more than may be.
struct Incoming<S> {
    bytes: Fuse<S>,
    seen: u64,
    most: u64,
}

impl<S, E> Incoming<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    fn new(bytes: S, most: u64) -> Self {
        let (bytes, seen) = (bytes.fuse(), 0);
        Self { bytes, seen, most }
    }

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
}

/// Stores what was made of it, and forgets what came.
async fn replaced<S>(
    came: &Sealed,
    services: &Services,
    kind: MediaKind,
    made: S,
) -> Result<Sealed, IngestError>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
{
    let incoming = Incoming::new(made, u64::MAX);
    let sealing = Sealing::new(services, came.org, kind);
    let anew = sealing.all(Bytes::new(), incoming).await?;
    came.forget(&services.settings().media.objects).await;
    Ok(anew)
}

/// A file that is being encrypted and stored. Leaves nothing behind unless it comes to its end.
struct Sealing {
    org: OrgId,
    object: ObjectId,
    sealer: Sealer,
    writing: Writing,
}

impl Sealing {
    fn new(services: &Services, org: OrgId, kind: MediaKind) -> Self {
        let object = ObjectId::new(services.clock());
        Self {
            org,
            object,
            sealer: Sealer::new(MediaClass::from(kind)),
            writing: services.settings().media.objects.write(org, object),
        }
    }

    async fn all<S, E>(self, head: Bytes, incoming: Incoming<S>) -> Result<Sealed, IngestError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    {
        let Self {
            org,
            object,
            sealer,
            mut writing,
        } = self;
        match pour(&mut writing, sealer, &head, incoming).await {
            Ok(file) => {
                writing.finish().await?;
                Ok(Sealed { org, object, file })
            }
            Err(error) => {
                writing.abort().await;
                Err(error)
            }
        }
    }
}

async fn pour<S, E>(
    writing: &mut Writing,
    mut sealer: Sealer,
    head: &[u8],
    mut incoming: Incoming<S>,
) -> Result<SealedFile, IngestError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
{
    writing.write(sealer.update(head)).await?;
    while let Some(chunk) = incoming.next().await? {
        writing.write(sealer.update(&chunk)).await?;
    }
    let (last, file) = sealer.finish();
    writing.write(last).await?;
    Ok(file)
}

//! Turns uploaded bytes into a stored file.
//!
//! Every file is encrypted and stored while it is uploaded; no file is held in memory as a whole, and
//! none is written to a disk in the clear. A picture, a voice note or a video is then processed from the
//! store when a slot is free, and stored again if that changed it. A file that is not valid for its kind
//! leaves nothing behind.

use std::{fs::File, io::Read as _, time::Duration};

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

/// How long an upload waits until its organisation may begin another one.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(25);

/// What the client says about an upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The kind of message that it is for.
    pub kind: MediaKind,
    /// Its file name, cleaned.
    pub file_name: Option<String>,
}

/// Stores a tenant's file: checks it and makes it ready for its kind.
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
    let slot = services.uploads().take(org, 1, UPLOAD_PATIENCE);
    let _slot = slot.await.ok_or(IngestError::Busy)?;
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

/// Checks and stores the bytes, without a row.
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

/// Refuses a type that cannot become a file of this kind. `converts`: whether videos are converted here.
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

/// Returns the file's facts, and a new file if it had to be changed.
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
        MediaKind::Audio => {
            let looks = recording::looks(objects, came, mime_type).await;
            if !matches!(mime_type, "audio/mp4" | "audio/3gpp" | "audio/3gpp2") {
                return Ok((None, looks));
            }
            let slot = services.decoding().slot().await;
            let whole = objects.whole(came.org, came.object, came.file.clone());
            let whole = whole.await?;
            let made = slot.work(move || film::stripped_sound(&whole)).await;
            let Some(made) = made.flatten() else {
                return Ok((None, looks));
            };
            let made = futures_util::stream::iter([Ok::<_, std::io::Error>(made.into())]);
            Ok((Some(replaced(came, services, kind, made).await?), looks))
        }
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
        MediaKind::Sticker => picture::sticker(&bytes),
        _ => picture::picture(mime_type, &bytes),
    };
    // If the decoder panics, the file counts as damaged.
    slot.work(work).await.unwrap_or(Err(BadMedia::Damaged))
}

/// How much of a file in memory is read at once.
const CHUNK: usize = 64 * 1024;

/// Returns the bytes of a file in memory; reading them waits for no disk.
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

/// The uploaded bytes, with a limit on their number.
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

    /// Returns at least `enough` bytes, unless the upload ends before.
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

/// Stores the processed file and deletes the original.
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

/// A file that is being encrypted and stored. Leaves nothing behind unless it is completed.
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

//! Turns uploaded bytes into a stored file.
//!
//! Every file is encrypted and stored while it is uploaded; no file is held in memory as a whole, and
//! none is written to a disk in the clear. A picture, a voice note or a video is then processed from the
//! store when a slot is free, and stored again if that changed it. A file that is not valid for its kind
//! leaves nothing behind.

use std::{borrow::Cow, fs::File, io::Read as _, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream::Fuse};
use passerelle_engine::{
    content::MediaKind,
    ids::{MediaId, ObjectId, OrgId},
    media::{Looks, MediaClass, SealedFile, Sealer},
    store::Tx,
};

use super::{
    decode, film,
    kinds::{self, HEAD},
    objects::{ObjectsError, Writing},
    pages, reader,
    work::Work,
};
use crate::{
    crash,
    error::Fault,
    media::{
        error::{BadMedia, IngestError},
        ready::plain,
        stored::Sealed,
    },
    model::{MediaFile, MediaStatus, StoredFile},
    services::Services,
    store,
};

/// How long an upload waits until its organisation may begin another one.
pub const UPLOAD_PATIENCE: Duration = Duration::from_secs(25);

/// What the client says about an upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The kind of message that it is for.
    pub kind: MediaKind,
    /// Its size in bytes, if it is known before.
    pub size: Option<u64>,
    /// Its file name, cleaned.
    pub file_name: Option<String>,
    /// Its media type, cleaned. It counts where the content does not say it.
    pub mime_type: Option<String>,
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
        return Err(IngestError::Full(services.settings().media.disk_max));
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
    let quota = services.settings().media.quota;
    let written = services.store().write_in_time(org, move |tx: &mut Tx| {
        Box::pin(async move {
            // Uploads that end at once are counted one after another.
            store::organisations::lock(tx, org).await?;
            row.delete_at = super::sealed::delete_at(tx, org, now, row.delete_at).await?;
            // Others may have been stored meanwhile.
            let used = store::media::used(tx.conn(), org).await?;
            if used.saturating_add(row.size.unsigned_abs()) > quota {
                return Ok(None);
            }
            store::media::insert(tx, &row).await?;
            Ok(Some(row.delete_at))
        })
    });
    let written = written.await;
    let written = written.and_then(|kept| crash::lost_answer("ingest.answer").map(|()| kept));
    match written {
        Ok(Some(delete_at)) => file.delete_at = delete_at,
        Ok(None) => {
            services.settings().media.objects.forget(org, object).await;
            return Err(IngestError::Quota(quota));
        }
        Err(error) => {
            let fault = Fault::Store(error);
            // After an outage the row may have been written, and then it needs the bytes. Without a row the
            // reconciler deletes them.
            if !fault.is_outage() {
                services.settings().media.objects.forget(org, object).await;
            }
            return Err(fault.into());
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
    let (kind, most) = (upload.kind, kinds::size_max(upload.kind));
    in_quota(services, org, upload.size).await?;
    let mut incoming = Incoming::new(bytes, most);
    let head = incoming.gather(HEAD).await?;
    if head.is_empty() {
        return Err(BadMedia::Empty.into());
    }
    let sniffed = kinds::sniff(&head);
    let films = services.settings().media.ffmpeg.is_some();
    let checked = |found: &str| {
        let refused = kinds::check(kind, found, films).map_err(IngestError::from);
        refused.map_err(|error| error.of(found))
    };
    if !kinds::is_open(sniffed) || kind == MediaKind::Image || kind == MediaKind::Sticker {
        checked(sniffed)?;
    }
    let size = upload.size.map(|size| size.min(most));
    let sealing = Sealing::new(services, org, kind, size)?;
    let came = sealing.all(head.clone(), incoming).await;
    let came = came.map_err(|error| error.of(sniffed))?;
    let objects = &services.settings().media.objects;
    let found = match found(services, &came, head).await {
        Ok(found) => found,
        Err(error) => {
            came.forget(objects).await;
            return Err(error.into());
        }
    };
    // Only archives name a type that is not one of ours; they are documents.
    let fixed = match &found {
        Cow::Borrowed(found) => *found,
        Cow::Owned(_) => kinds::OCTETS,
    };
    let looked = match checked(&found) {
        Ok(()) => looks(services, &came, &upload, (&found, fixed)).await,
        Err(error) => Err(error),
    };
    let (sealed, looks) = match looked {
        Ok((anew, looks)) => (anew.unwrap_or(came), looks),
        Err(error) => {
            came.forget(objects).await;
            return Err(error.of(&found));
        }
    };
    Ok(StoredFile {
        object: sealed.object,
        file: sealed.file,
        looks,
        file_name: upload.file_name,
    })
}

/// Returns an error if an organisation may not have this many bytes more.
pub(super) async fn in_quota(
    services: &Services,
    org: OrgId,
    size: Option<u64>,
) -> Result<(), IngestError> {
    let quota = services.settings().media.quota;
    let used = {
        let mut conn = services.store().read(org).await.map_err(Fault::from)?;
        store::media::used(&mut conn, org)
            .await
            .map_err(Fault::from)?
    };
    if used.saturating_add(size.unwrap_or(1)) > quota {
        return Err(IngestError::Quota(quota));
    }
    Ok(())
}

/// Returns the type of a stored file by its content. `head` is its beginning.
pub(super) async fn found(
    services: &Services,
    came: &Sealed,
    head: Bytes,
) -> Result<Cow<'static, str>, ObjectsError> {
    let sniffed = kinds::sniff(&head);
    if !kinds::is_open(sniffed) {
        return Ok(Cow::Borrowed(sniffed));
    }
    let slot = services.decoding().reading(came.org).await;
    let file = reader::open(&services.settings().media.objects, came);
    let look = move || file.look(|file| kinds::look(&head, file));
    // If a parser panics, the first bytes have to be enough.
    let looked = slot.work(look).await;
    looked.unwrap_or(Ok(Cow::Borrowed(sniffed)))
}

/// The type of every sticker.
const STICKER: &str = "image/webp";

/// Returns the file's facts, and a new file if it had to be changed.
async fn looks(
    services: &Services,
    came: &Sealed,
    upload: &Upload,
    (found, fixed): (&str, &'static str),
) -> Result<(Option<Sealed>, Looks), IngestError> {
    let settings = &services.settings().media;
    let (objects, kind) = (&settings.objects, upload.kind);
    match kind {
        MediaKind::Sticker if fixed != STICKER => {
            let made = film::sticker::sticker(services, came, fixed).await?;
            let slot = services.decoding().file(came.org).await;
            let (checked, looks) = ready(services, came.org, kind, STICKER, made.clone()).await?;
            drop(slot);
            let made = checked.unwrap_or_else(|| made.into());
            let size = made.len() as u64;
            let made = futures_util::stream::iter([Ok::<_, std::io::Error>(made)]);
            let anew = replaced(came, services, kind, (made, size)).await?;
            Ok((Some(anew), looks))
        }
        MediaKind::Image | MediaKind::Sticker | MediaKind::Voice | MediaKind::Audio => {
            let _slot = services.decoding().file(came.org).await;
            let whole = objects.whole(came.org, came.object, came.file.clone());
            let (made, looks) = ready(services, came.org, kind, fixed, whole.await?).await?;
            let Some(made) = made else {
                return Ok((None, looks));
            };
            let size = made.len() as u64;
            let made = futures_util::stream::iter([Ok::<_, std::io::Error>(made)]);
            let anew = replaced(came, services, kind, (made, size)).await?;
            Ok((Some(anew), looks))
        }
        MediaKind::Video => {
            let (made, looks) = film::ready(services, came, fixed).await?;
            let Some(made) = made else {
                return Ok((None, looks));
            };
            let size = made.metadata().map_or(0, |file| file.len());
            let anew = replaced(came, services, kind, (chunks(made), size)).await?;
            Ok((Some(anew), looks))
        }
        MediaKind::Document => {
            let (said, name) = (upload.mime_type.as_deref(), upload.file_name.as_deref());
            let mut looks = plain(&kinds::named(found, said, name));
            if pages::counts(found, &came.file) {
                looks.pages = count_pages(services, came).await;
            }
            Ok((None, looks))
        }
    }
}

/// Makes a picture, a sticker or a recording ready to be sent. Returns no bytes if nothing is changed.
async fn ready(
    services: &Services,
    org: OrgId,
    kind: MediaKind,
    mime_type: &'static str,
    bytes: Vec<u8>,
) -> Result<(Option<Bytes>, Looks), IngestError> {
    let work = Work::Ready {
        kind,
        mime_type: mime_type.to_owned(),
    };
    let made = decode::done(services, org, &work, &bytes).await?;
    let is_sound = kind == MediaKind::Audio && !made.is_changed && kinds::iso::is(mime_type);
    if !is_sound {
        return Ok((made.bytes, made.looks));
    }
    let strip = move || film::stripped_sound(&bytes);
    // A file that makes the parser panic counts as damaged.
    let stripped = tokio::task::spawn_blocking(strip).await;
    let stripped = stripped.unwrap_or_else(|_| Err(BadMedia::Damaged.into()))?;
    Ok((stripped.map(Bytes::from), made.looks))
}

/// Returns the number of pages of a stored PDF; `None` if it cannot be found out.
async fn count_pages(services: &Services, came: &Sealed) -> Option<u32> {
    let _slot = services.decoding().file(came.org).await;
    let objects = &services.settings().media.objects;
    let whole = objects.whole(came.org, came.object, came.file.clone());
    let pdf = whole.await.ok()?;
    let made = decode::done(services, came.org, &Work::CountPages, &pdf).await;
    made.ok()?.looks.pages
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
    (made, size): (S, u64),
) -> Result<Sealed, IngestError>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
{
    let incoming = Incoming::new(made, u64::MAX);
    let sealing = Sealing::new(services, came.org, kind, Some(size))?;
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
    fn new(
        services: &Services,
        org: OrgId,
        kind: MediaKind,
        size: Option<u64>,
    ) -> Result<Self, ObjectsError> {
        let object = ObjectId::new(services.clock());
        let size = size.map(SealedFile::sealed_size);
        let objects = &services.settings().media.objects;
        Ok(Self {
            org,
            object,
            sealer: Sealer::new(MediaClass::from(kind)),
            writing: objects.write(org, object, size)?,
        })
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

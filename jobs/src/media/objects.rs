//! The object store: a folder or an S3 bucket. Only encrypted bytes are stored in it.

use std::{ops::Range, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder,
    buffered::BufWriter, local::LocalFileSystem, path::Path,
};
use passerelle_engine::{
    ids::{ObjectId, OrgId},
    media::{Part, SealedFile},
};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::room::{self, Reservation, Room};

/// How much of a file is buffered while it is written to a folder.
const FOLDER_CHUNK: usize = 128 * 1024;
/// The same for a bucket: S3 accepts no smaller part.
const BUCKET_CHUNK: usize = 5 * 1024 * 1024;

/// The object store failed, or does not have the object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The object does not exist.
    #[error("the object store does not have it")]
    NotFound,
    /// The disk is as full as it may be, in percent.
    #[error("the disk may be {0} % full")]
    Full(u8),
    /// The store cannot be reached, or refused the request.
    #[error("the object store failed")]
    Failed(#[source] object_store::Error),
}

impl ObjectsError {
    /// Returns the error of a copy in memory that could not be made.
    pub(super) fn in_memory(error: std::io::Error) -> Self {
        Self::Failed(object_store::Error::Generic {
            store: "memory",
            source: Box::new(error),
        })
    }
}

impl From<object_store::Error> for ObjectsError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error if room::is_full(&error) => Self::Full(100),
            error => Self::Failed(error),
        }
    }
}

/// The object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    chunk: usize,
    room: Room,
}

impl Objects {
    /// Opens `s3://bucket[/prefix]`, or a folder, which is created if needed. Access to a bucket is
    /// configured with AWS's environment variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_REGION`, and `AWS_ENDPOINT` for a server that is not Amazon's.
    ///
    /// A folder's disk may be `disk_max` percent full.
    pub fn open(place: &str, disk_max: u8) -> anyhow::Result<Self> {
        if place.starts_with("s3://") {
            return Self::bucket(&Url::parse(place).context("reading the bucket's address")?);
        }
        let folder = PathBuf::from(place.strip_prefix("file:").unwrap_or(place));
        std::fs::create_dir_all(&folder).context("creating the folder for files")?;
        let store = LocalFileSystem::new_with_prefix(&folder)
            .context("opening the folder for files")?
            .with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::default(),
            chunk: FOLDER_CHUNK,
            room: Room::of(Some(folder), disk_max),
        })
    }

    /// Returns a store for a process that keeps no files: it discards what is written.
    pub fn nowhere() -> Self {
        Self {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: Path::default(),
            chunk: FOLDER_CHUNK,
            room: Room::of(None, 100),
        }
    }

    /// Returns how full the folder's disk is, in percent; `None` for a bucket.
    pub(crate) fn fullness(&self) -> Option<u8> {
        room::fullness(self.room.folder()?)
    }

    /// Returns how full the folder's disk is, in percent, if another folder is on the same disk.
    pub(crate) fn fullness_beside(&self, other: &std::path::Path) -> Option<u8> {
        let folder = self.room.folder()?;
        let disk = |folder| Some(rustix::fs::stat(folder).ok()?.st_dev);
        (disk(folder)? == disk(other)?).then(|| room::fullness(folder))?
    }

    fn bucket(url: &Url) -> anyhow::Result<Self> {
        let endpoint = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok());
        let plain = endpoint.is_some_and(|at| at.starts_with("http://"));
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(url.host_str().context("the address names no bucket")?)
            .with_allow_http(plain)
            .build()
            .context("opening the bucket for files")?;
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::parse(url.path()).context("reading the prefix in the bucket")?,
            chunk: BUCKET_CHUNK,
            room: Room::of(None, 100),
        })
    }

    fn path(&self, org: OrgId, object: ObjectId) -> Path {
        let parts = self.prefix.parts();
        parts
            .chain([org.to_string().into(), object.to_string().into()])
            .collect()
    }

    /// Starts writing a new object. Fails if the disk has no room for `size` bytes.
    pub(super) fn write(
        &self,
        org: OrgId,
        object: ObjectId,
        size: Option<u64>,
    ) -> Result<Writing, ObjectsError> {
        let reservation = self.room.reserve(size)?;
        let (store, path) = (Arc::clone(&self.store), self.path(org, object));
        let writer = BufWriter::with_capacity(store, path, self.chunk).with_max_concurrency(1);
        Ok(Writing {
            writer,
            reservation,
        })
    }

    /// Returns the bytes `wanted` of a file, decrypted while they are read.
    pub(super) async fn part(
        &self,
        org: OrgId,
        object: ObjectId,
        file: SealedFile,
        wanted: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, ObjectsError>> + use<>, ObjectsError> {
        let mut part = Part::new(file, wanted);
        let sealed: BoxStream<'static, _> = if part.size() == 0 {
            futures_util::stream::empty().boxed()
        } else {
            let options = object_store::GetOptions {
                range: Some(part.sealed().into()),
                ..Default::default()
            };
            let got = self
                .store
                .get_opts(&self.path(org, object), options)
                .await?;
            got.into_stream()
        };
        Ok(sealed
            .map(move |chunk| Ok(Bytes::from(part.update(&chunk?))))
            .try_filter(|chunk| std::future::ready(!chunk.is_empty())))
    }

    /// Returns the whole file. Only for small files.
    pub(crate) async fn whole(
        &self,
        org: OrgId,
        object: ObjectId,
        file: SealedFile,
    ) -> Result<Vec<u8>, ObjectsError> {
        let size = file.size;
        let bytes = self.part(org, object, file, 0..size).await?;
        let all = bytes.try_fold(Vec::new(), |mut all, chunk| {
            all.extend_from_slice(&chunk);
            std::future::ready(Ok(all))
        });
        all.await
    }

    /// Returns the whole encrypted file as a file on this machine. For a folder that is the object
    /// itself; for a bucket it is a copy that is deleted when this is dropped.
    pub(crate) async fn on_disk(
        &self,
        org: OrgId,
        object: ObjectId,
    ) -> Result<OnDisk, ObjectsError> {
        let got = self.store.get(&self.path(org, object)).await?;
        if let GetResultPayload::File(_, path) = got.payload {
            return Ok(OnDisk::Own(path));
        }
        let failed = |error| {
            ObjectsError::from(object_store::Error::Generic {
                store: "disk",
                source: Box::new(error),
            })
        };
        let copy = tempfile::NamedTempFile::new().map_err(failed)?;
        let handle = copy.reopen().map_err(failed)?;
        let mut file = tokio::fs::File::from_std(handle);
        let mut chunks = got.into_stream();
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        Ok(OnDisk::Copy(copy))
    }

    /// Deletes the object. If that fails, the reconciler finds it later.
    pub(crate) async fn forget(&self, org: OrgId, object: ObjectId) {
        match self.store.delete(&self.path(org, object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(object.id = %object, %error, "an object could not be deleted");
            }
        }
    }

    /// Lists every object older than `age`.
    pub(super) fn older_than(
        &self,
        age: Duration,
        now_ms: i64,
    ) -> impl Stream<Item = Result<(OrgId, ObjectId), ObjectsError>> + use<> {
        let before = now_ms.saturating_sub(crate::model::millis(age));
        let depth = self.prefix.parts().count();
        let all = self.store.list(Some(&self.prefix));
        all.map_err(ObjectsError::from)
            .try_filter_map(move |meta: ObjectMeta| {
                let old = meta.last_modified.timestamp_millis() < before;
                std::future::ready(Ok(old.then(|| ids(&meta.location, depth)).flatten()))
            })
    }

    /// Returns whether the object exists.
    pub(super) async fn has(&self, org: OrgId, object: ObjectId) -> Result<bool, ObjectsError> {
        match self.store.head(&self.path(org, object)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the ids in an object's path; `None` if the object is not ours.
fn ids(path: &Path, depth: usize) -> Option<(OrgId, ObjectId)> {
    let parts: Vec<_> = path.parts().skip(depth).collect();
    let [org, object] = parts.as_slice() else {
        return None;
    };
    Some((
        OrgId::parse(org.as_ref()).ok()?,
        ObjectId::parse(object.as_ref()).ok()?,
    ))
}

/// An object that is being written. It does not exist before it is finished.
pub(super) struct Writing {
    writer: BufWriter,
    reservation: Reservation,
}

impl Writing {
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> Result<(), ObjectsError> {
        self.reservation.write(bytes.len() as u64)?;
        Ok(self.writer.put(bytes.into()).await?)
    }

    pub(super) async fn finish(mut self) -> Result<(), ObjectsError> {
        let failed = |error| {
            ObjectsError::from(object_store::Error::Generic {
                store: "writer",
                source: Box::new(error),
            })
        };
        self.writer.shutdown().await.map_err(failed)
    }

    /// Gives up the object; nothing stays behind.
    pub(super) async fn abort(mut self) {
        if let Err(error) = self.writer.abort().await {
            tracing::debug!(%error, "a half-written object could not be deleted");
        }
    }
}

/// An encrypted file on this machine.
#[derive(Debug)]
pub(crate) enum OnDisk {
    /// The object in the folder of files.
    Own(PathBuf),
    /// A copy.
    Copy(tempfile::NamedTempFile),
}

impl OnDisk {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Own(path) => path.clone(),
            Self::Copy(copy) => copy.path().to_owned(),
        }
    }
}

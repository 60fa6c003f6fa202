//! Copies media between the network and files, one chunk at a time.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::state::media_store::{Hash, MediaStore, remove};

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// The largest upload: WhatsApp's 2 GB, and the overhead of encryption.
pub(crate) const LARGEST: u64 = 2 * 1024 * 1024 * 1024 + 4096;

/// An upload in progress.
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
    digest: Sha256,
    pub(crate) length: u64,
}

/// How an upload ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UploadEnd {
    /// The client sent everything.
    All,
    /// The client stopped, or the limit was reached.
    Stopped,
}

impl Incoming {
    /// Starts an upload, or resumes one at `offset`.
    pub(crate) async fn begin(
        store: &MediaStore,
        hash: &Hash,
        offset: u64,
    ) -> anyhow::Result<Self> {
        if offset == 0 {
            let path = store.new_file()?;
            let file = File::create(&path).await.context("creating a media file")?;
            return Ok(Self {
                path,
                file,
                digest: Sha256::new(),
                length: 0,
            });
        }
        let (path, length) = store
            .take_partial(hash)
            .context("there is no upload to resume")?;
        if offset > length {
            store.keep_partial(*hash, path, length);
            bail!("only {length} bytes were uploaded before");
        }
        Self::go_on(path, offset).await
    }

    async fn go_on(path: PathBuf, offset: u64) -> anyhow::Result<Self> {
        let mut options = File::options();
        let mut file = options.read(true).write(true).open(&path).await?;
        file.set_len(offset).await?;
        let mut digest = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).await? {
                0 => break,
                read => digest.update(&chunk[..read]),
            }
        }
        Ok(Self {
            path,
            file,
            digest,
            length: offset,
        })
    }

    /// Writes what arrives, up to `limit` bytes in total.
    pub(crate) async fn take<E>(
        &mut self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        limit: u64,
    ) -> anyhow::Result<UploadEnd> {
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else {
                return Ok(UploadEnd::Stopped);
            };
            let room = usize::try_from(limit - self.length).unwrap_or(usize::MAX);
            let part = &chunk[..chunk.len().min(room)];
            self.digest.update(part);
            self.file.write_all(part).await?;
            self.length += part.len() as u64;
            if part.len() < chunk.len() || self.length == limit {
                return Ok(UploadEnd::Stopped);
            }
        }
        Ok(UploadEnd::All)
    }

    /// Keeps a partial upload, so that the client can resume it.
    pub(crate) async fn pause(mut self, store: &MediaStore, hash: Hash) -> anyhow::Result<()> {
        self.file.flush().await?;
        store.keep_partial(hash, self.path, self.length);
        Ok(())
    }

    /// Stores the upload if its hash is right. Returns its direct path.
    pub(crate) async fn finish(
        mut self,
        store: &MediaStore,
        hash: Hash,
        expires: u64,
    ) -> anyhow::Result<String> {
        self.file.flush().await?;
        if <Hash>::from(self.digest.finalize()) != hash {
            remove(&self.path);
            bail!("the token is not the body's SHA-256");
        }
        Ok(store.keep(self.path, hash, self.length, expires))
    }
}

/// Returns a part of a file as a stream. With `spoil`, the byte at that offset is wrong.
pub(crate) async fn read(
    path: PathBuf,
    part: Range<u64>,
    spoil: Option<u64>,
) -> anyhow::Result<impl Stream<Item = std::io::Result<Bytes>>> {
    let mut file = File::open(&path).await.context("opening a media file")?;
    ensure!(part.start <= part.end, "a range ends before it begins");
    file.seek(SeekFrom::Start(part.start)).await?;
    Ok(futures_util::stream::try_unfold(
        (file, part),
        move |(mut file, part)| async move {
            if part.is_empty() {
                return Ok(None);
            }
            let left = usize::try_from(part.end - part.start).unwrap_or(CHUNK);
            let mut chunk = vec![0; left.min(CHUNK)];
            file.read_exact(&mut chunk).await?;
            if let Some(at) = spoil.and_then(|at| at.checked_sub(part.start))
                && let Some(byte) = usize::try_from(at).ok().and_then(|at| chunk.get_mut(at))
            {
                *byte ^= 1;
            }
            let next = part.start + chunk.len() as u64..part.end;
            Ok(Some((Bytes::from(chunk), (file, next))))
        },
    ))
}

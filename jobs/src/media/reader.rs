//! A stored file that is read and seeked like one on disk.

use std::io::{BufReader, Read, Seek, SeekFrom};

use futures_util::StreamExt as _;
use passerelle_engine::{
    ids::{ObjectId, OrgId},
    media::SealedFile,
};
use tokio::runtime::Handle;

use super::objects::Objects;
use crate::media::stored::Sealed;

/// How much is read from the store at once.
const WINDOW: usize = 64 * 1024;

/// Opens a stored file. Must be called inside a runtime, and used on a thread of it that may block.
pub(super) fn open(objects: &Objects, came: &Sealed) -> BufReader<Reader> {
    BufReader::with_capacity(WINDOW, Reader::of(objects, came))
}

/// A stored file, decrypted where it is read.
pub(super) struct Reader {
    runtime: Handle,
    objects: Objects,
    org: OrgId,
    object: ObjectId,
    file: SealedFile,
    at: u64,
}

impl Reader {
    fn of(objects: &Objects, came: &Sealed) -> Self {
        Self {
            runtime: Handle::current(),
            objects: objects.clone(),
            org: came.org,
            object: came.object,
            file: came.file.clone(),
            at: 0,
        }
    }

    async fn some(&self, most: usize) -> std::io::Result<Vec<u8>> {
        let wanted = self.at..self.at.saturating_add(most as u64);
        let part = self
            .objects
            .part(self.org, self.object, self.file.clone(), wanted);
        let part = part.await.map_err(std::io::Error::other)?;
        let mut part = std::pin::pin!(part);
        let mut bytes = Vec::with_capacity(most);
        while let Some(chunk) = part.next().await {
            bytes.extend_from_slice(&chunk.map_err(std::io::Error::other)?);
        }
        Ok(bytes)
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(WINDOW);
        let bytes = self.runtime.clone().block_on(self.some(most))?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

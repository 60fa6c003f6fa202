//! A stored file that is read and seeked like one on disk.

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;

use super::objects::{Objects, ObjectsError};
use crate::media::stored::Sealed;

/// How much is read from the store at once.
const WINDOW: u64 = 64 * 1024;

/// Opens a stored file. Must be called inside a runtime, and used on a thread of it that may block.
pub(super) fn open(objects: &Objects, came: &Sealed) -> Reader<impl Fetch + Send + use<>> {
    let (runtime, objects) = (Handle::current(), objects.clone());
    let (org, object, file) = (came.org, came.object, came.file.clone());
    Reader::new(file.size, move |wanted| {
        runtime.block_on(async {
            let part = objects.part(org, object, file.clone(), wanted).await?;
            let bytes = part.try_fold(Vec::new(), |mut all, chunk| {
                all.extend_from_slice(&chunk);
                std::future::ready(Ok(all))
            });
            bytes.await
        })
    })
}

/// Fetches a part of a file and decrypts it.
pub(super) trait Fetch: FnMut(Range<u64>) -> Result<Vec<u8>, ObjectsError> {}

impl<F: FnMut(Range<u64>) -> Result<Vec<u8>, ObjectsError>> Fetch for F {}

/// A stored file. A seek costs nothing: what was fetched last is kept, and read again where it fits.
pub(super) struct Reader<F> {
    fetch: F,
    size: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Why the store could not be read. Nothing is read afterwards.
    failed: Option<ObjectsError>,
}

impl<F: Fetch> Reader<F> {
    fn new(size: u64, fetch: F) -> Self {
        Self {
            fetch,
            size,
            at: 0,
            window: Vec::new(),
            window_at: 0,
            failed: None,
        }
    }

    /// Returns what `look` finds in the file, or the error if the store failed. Parsers take a failed read
    /// for the end of the file, so what they find then does not count.
    pub(super) fn look<T>(mut self, look: impl FnOnce(&mut Self) -> T) -> Result<T, ObjectsError> {
        let found = look(&mut self);
        self.failed.map_or(Ok(found), Err)
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.failed.is_none() {
            let wanted = self.at..self.size.min(self.at.saturating_add(WINDOW));
            match (self.fetch)(wanted) {
                Ok(bytes) => (self.window, self.window_at) = (bytes, self.at),
                Err(error) => self.failed = Some(error),
            }
        }
        match &self.failed {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(()),
        }
    }

    /// Returns what was fetched and begins here.
    fn fetched(&self) -> &[u8] {
        let skipped = self.at.checked_sub(self.window_at);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        let fetched = skipped.and_then(|skipped| self.window.get(skipped..));
        fetched.unwrap_or_default()
    }
}

impl<F: Fetch> Read for Reader<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.fetched().is_empty() && self.at < self.size {
            self.fill()?;
        }
        let count = self.fetched().read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<F> Seek for Reader<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a part of the file whose bytes are their own places, modulo 251.
    fn part(wanted: Range<u64>) -> Vec<u8> {
        wanted.map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn what_was_fetched_is_read_again_after_a_seek() {
        let (mut fetched, size) = (Vec::new(), 3 * WINDOW + 5);
        let mut file = Reader::new(size, |wanted: Range<u64>| {
            fetched.push(wanted.clone());
            Ok(part(wanted))
        });
        let mut ten = [0; 10];
        for at in (0..WINDOW - 10).step_by(500) {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut ten).unwrap();
            assert_eq!(ten[..], part(at..at + 10));
        }
        // Across the end of what was fetched, and back.
        file.seek(SeekFrom::Start(WINDOW - 4)).unwrap();
        file.read_exact(&mut ten).unwrap();
        assert_eq!(ten[..], part(WINDOW - 4..WINDOW + 6));
        file.seek(SeekFrom::Current(-2)).unwrap();
        file.read_exact(&mut ten).unwrap();
        assert_eq!(ten[..], part(WINDOW + 4..WINDOW + 14));
        let mut rest = Vec::new();
        file.seek(SeekFrom::End(-3)).unwrap();
        file.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, part(size - 3..size));
        file.seek(SeekFrom::End(3)).unwrap();
        assert_eq!(file.read(&mut ten).unwrap(), 0, "behind the end");
        let windows = [0..WINDOW, WINDOW..2 * WINDOW, size - 3..size];
        assert_eq!(fetched, windows);
    }

    #[test]
    fn what_a_parser_finds_does_not_count_if_the_store_failed_once() {
        use crate::media::kinds;
        let head = b"\0\0\0\x14ftypmp42\0\0\0\0isom";
        let looked = |fails: usize| {
            let mut reads = 0;
            let file = Reader::new(head.len() as u64, |_| {
                reads += 1;
                if reads <= fails {
                    return Err(ObjectsError::in_memory(io::Error::other("a short break")));
                }
                Ok(head.to_vec())
            });
            file.look(|file| kinds::look(head, file).into_owned())
        };
        assert_eq!(looked(0).unwrap(), "video/mp4");
        assert!(looked(1).is_err());
    }
}

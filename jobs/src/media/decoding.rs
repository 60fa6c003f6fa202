//! Files that are decoded whole: at most one for each core, so that memory stays bounded.

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, media::Looks};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{ingest::BadMedia, picture, voice};

/// Whose turn it is to be decoded.
#[derive(Debug)]
pub(crate) struct Decoding {
    files: Semaphore,
    /// A film takes half a minute, in a process that is politer than this one: no picture waits for it.
    films: Semaphore,
}

impl Default for Decoding {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            files: Semaphore::new(cores),
            films: Semaphore::new(cores),
        }
    }
}

impl Decoding {
    /// The turn of the next file. A whole file is held only while it has one.
    pub(crate) async fn turn(&self) -> DecodingTurn<'_> {
        DecodingTurn {
            _permit: self.files.acquire().await.ok(),
        }
    }

    /// The turn of the next film.
    pub(super) async fn film(&self) -> DecodingTurn<'_> {
        DecodingTurn {
            _permit: self.films.acquire().await.ok(),
        }
    }
}

/// A file's turn.
pub(crate) struct DecodingTurn<'d> {
    _permit: Option<SemaphorePermit<'d>>,
}

/// A file that may be sent.
pub(super) struct Ready {
    pub(super) bytes: Bytes,
    pub(super) looks: Looks,
}

impl DecodingTurn<'_> {
    /// Does some work on somebody else's bytes; none when it panics.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Makes a picture, a sticker or a voice note ready to be sent.
    pub(super) async fn ready(
        self,
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
        self.work(work).await.unwrap_or(Err(BadMedia::Damaged))
    }
}

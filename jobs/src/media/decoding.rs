//! Files that are decoded whole: at most one for each core, so that memory stays bounded.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, media::Looks};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ingest::BadMedia, picture, voice};

/// Whose turn it is to be decoded.
#[derive(Debug)]
pub(crate) struct Decoding {
    files: Arc<Semaphore>,
    /// A film takes half a minute, in a process that is politer than this one: no picture waits for it.
    films: Arc<Semaphore>,
    /// A document may take as long as its process may.
    documents: Arc<Semaphore>,
}

impl Default for Decoding {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            files: Arc::new(Semaphore::new(cores)),
            films: Arc::new(Semaphore::new(cores)),
            documents: Arc::new(Semaphore::new(cores)),
        }
    }
}

impl Decoding {
    /// The turn of the next file. A whole file is held only while it has one.
    pub(crate) async fn turn(&self) -> DecodingTurn {
        DecodingTurn::of(&self.files).await
    }

    /// The turn of the next film.
    pub(super) async fn film(&self) -> DecodingTurn {
        DecodingTurn::of(&self.films).await
    }

    /// The turn of the next document.
    pub(super) async fn document(&self) -> DecodingTurn {
        DecodingTurn::of(&self.documents).await
    }
}

/// A file's turn.
pub(crate) struct DecodingTurn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A file that may be sent.
pub(super) struct Ready {
    pub(super) bytes: Bytes,
    pub(super) looks: Looks,
}

impl DecodingTurn {
    async fn of(all: &Arc<Semaphore>) -> Self {
        Self {
            _permit: Arc::clone(all).acquire_owned().await.ok(),
        }
    }

    /// Does some work on somebody else's bytes; none when it panics. Whoever waits for it may go: the
    /// work has its turn until it ends.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let work = move || {
            let _turn = self;
            work()
        };
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

//! Files that are decoded whole: at most one for each core, so that memory stays bounded.

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, media::Looks};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{ingest::BadMedia, picture, voice};

/// Whose turn it is to be decoded.
#[derive(Debug)]
pub(crate) struct Decoding(Semaphore);

impl Default for Decoding {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Semaphore::new(cores))
    }
}

impl Decoding {
    /// The turn of the next file. A whole file is held only while it has one.
    pub(crate) async fn turn(&self) -> DecodingTurn<'_> {
        DecodingTurn {
            _permit: self.0.acquire().await.ok(),
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

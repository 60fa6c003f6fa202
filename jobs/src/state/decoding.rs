//! Files that are decoded whole: at most one for each core, so that memory stays bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    pub(crate) async fn slot(&self) -> DecodingSlot {
        DecodingSlot::of(&self.files).await
    }

    /// The turn of the next film.
    pub(crate) async fn film(&self) -> DecodingSlot {
        DecodingSlot::of(&self.films).await
    }

    /// The turn of the next document.
    pub(crate) async fn document(&self) -> DecodingSlot {
        DecodingSlot::of(&self.documents).await
    }
}

/// A file's turn.
pub(crate) struct DecodingSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

impl DecodingSlot {
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
            let _slot = self;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

//! Slots for decoding: at most one whole file per core and kind, so that memory stays bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The decoding slots of this process.
#[derive(Debug)]
pub(crate) struct Decoding {
    files: Arc<Semaphore>,
    /// Separate, so that no picture waits for a film. A film takes half a minute, in a process with a lower
    /// priority than this one.
    films: Arc<Semaphore>,
    /// Separate, because a document may use the whole time limit of its process.
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
    /// Waits for a file's slot. A whole file may be in memory only while its slot is held.
    pub(crate) async fn slot(&self) -> DecodingSlot {
        DecodingSlot::of(&self.files).await
    }

    /// Waits for a film's slot.
    pub(crate) async fn film(&self) -> DecodingSlot {
        DecodingSlot::of(&self.films).await
    }

    /// Waits for a document's slot.
    pub(crate) async fn document(&self) -> DecodingSlot {
        DecodingSlot::of(&self.documents).await
    }
}

/// The right to decode one file; released on drop.
pub(crate) struct DecodingSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

impl DecodingSlot {
    async fn of(all: &Arc<Semaphore>) -> Self {
        Self {
            _permit: Arc::clone(all).acquire_owned().await.ok(),
        }
    }

    /// Runs `work` on untrusted bytes in a blocking thread. Returns `None` if it panics. The slot is held
    /// until the work ends, even if the caller stops waiting.
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

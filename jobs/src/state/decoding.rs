//! The right to take files apart: memory for confined processes, counted in MiB, and slots for what this
//! process reads itself. An organisation has a share of each, so that one with many files delays no other.

use std::num::NonZeroUsize;

use passerelle_engine::ids::OrgId;

use crate::shares::{Share, Shares};

/// Address space of a process that converts a film, and of a worker for other files, in MiB.
pub const FILM_MIB: u32 = 640;
pub const WORKER_MIB: u32 = 448;

/// The least memory for decoding, in MiB: a film and another file at once.
pub const LEAST_MIB: u32 = FILM_MIB + WORKER_MIB;

/// Returns the memory for decoding if nobody sets it: on each core a film of one organisation, a film of
/// another one, and another file.
pub(crate) fn default_mib() -> u32 {
    let cores = u32::try_from(cores()).unwrap_or(u32::MAX);
    cores.saturating_mul(FILM_MIB).saturating_add(LEAST_MIB)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What may be taken apart in this process at once.
#[derive(Debug)]
pub(crate) struct Decoding {
    /// MiB of confined processes.
    memory: Shares<OrgId>,
    /// Films have slots besides, so that memory for another file is always left.
    films: Shares<OrgId>,
    /// What is read in this process.
    reading: Shares<OrgId>,
}

impl Decoding {
    /// Divides `mib` of memory.
    pub(crate) fn new(mib: u32) -> Self {
        let mib = mib.max(LEAST_MIB);
        let films = (mib - WORKER_MIB) / FILM_MIB;
        let of_one = (mib - LEAST_MIB).max(FILM_MIB);
        let [mib, films, of_one] = [mib, films, of_one].map(|units| units as usize);
        Self {
            memory: Shares::new(mib, of_one),
            films: Shares::new(films, films.saturating_sub(1).max(1)),
            reading: Shares::new(cores() + 1, (cores() / 2).max(1)),
        }
    }

    /// Waits until a file may be taken apart by a worker. A whole file may be in memory only then.
    pub(crate) async fn file(&self, org: OrgId) -> DecodingSlot {
        DecodingSlot(vec![self.memory.wait(org, WORKER_MIB).await])
    }

    /// Waits until a film may be taken apart.
    pub(crate) async fn film(&self, org: OrgId) -> DecodingSlot {
        let film = self.films.wait(org, 1).await;
        DecodingSlot(vec![film, self.memory.wait(org, FILM_MIB).await])
    }

    /// Waits until something may be read in this process.
    pub(crate) async fn reading(&self, org: OrgId) -> DecodingSlot {
        DecodingSlot(vec![self.reading.wait(org, 1).await])
    }
}

/// The right to take one file apart; released on drop.
pub(crate) struct DecodingSlot(#[expect(dead_code, reason = "held")] Vec<Option<Share>>);

impl DecodingSlot {
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

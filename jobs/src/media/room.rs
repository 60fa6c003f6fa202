//! Room on the disk for files: what is being written is counted before it is there, so that many files at
//! once do not fill the disk together.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::objects::ObjectsError;

/// How much is asked for at once, in bytes, where the size of a file is not known, or was stated wrongly.
const STEP: u64 = 16 * 1024 * 1024;

/// The disk of the folder of files. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// `None` for a bucket, which is never full.
    folder: Option<PathBuf>,
    /// How full the disk may be, in percent.
    most: u8,
    reserved: Arc<AtomicU64>,
}

/// How much of a disk is used.
struct Disk {
    used: u64,
    whole: u64,
}

impl Disk {
    fn of(folder: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(folder).ok()?;
        // As `df` counts: space reserved for root is not free.
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        let whole = used.saturating_add(disk.f_bavail).max(1);
        Some(Self {
            used: used.saturating_mul(disk.f_frsize),
            whole: whole.saturating_mul(disk.f_frsize),
        })
    }
}

/// Returns how full the disk of a folder is, in percent; `None` if that cannot be read.
pub(super) fn fullness(folder: &Path) -> Option<u8> {
    let disk = Disk::of(folder)?;
    u8::try_from(disk.used.saturating_mul(100).div_ceil(disk.whole)).ok()
}

impl Room {
    pub(super) fn of(folder: Option<PathBuf>, most: u8) -> Self {
        Self {
            folder,
            most,
            reserved: Arc::default(),
        }
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Reserves room for a file, or the first part of it if its size is not known.
    pub(super) fn reserve(&self, size: Option<u64>) -> Result<Reservation, ObjectsError> {
        let mut reservation = Reservation {
            room: self.clone(),
            left: 0,
        };
        reservation.extend(size.unwrap_or(STEP))?;
        Ok(reservation)
    }

    fn take(&self, bytes: u64) -> Result<(), ObjectsError> {
        let Some(disk) = self.folder.as_deref().and_then(Disk::of) else {
            return Ok(());
        };
        let most = disk.whole / 100 * u64::from(self.most);
        let before = self.reserved.fetch_add(bytes, Ordering::Relaxed);
        if disk.used.saturating_add(before).saturating_add(bytes) <= most {
            return Ok(());
        }
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        Err(ObjectsError::Full(self.most))
    }
}

/// Room for what is still to be written; given up on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    room: Room,
    left: u64,
}

impl Reservation {
    fn extend(&mut self, bytes: u64) -> Result<(), ObjectsError> {
        if self.room.folder.is_some() {
            self.room.take(bytes)?;
            self.left += bytes;
        }
        Ok(())
    }

    /// Counts bytes that are written now. Asks for more room if they are more than were reserved.
    pub(super) fn write(&mut self, bytes: u64) -> Result<(), ObjectsError> {
        if self.left < bytes {
            self.extend(STEP.max(bytes))?;
        }
        self.give_back(bytes);
        Ok(())
    }

    fn give_back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.room.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.left);
    }
}

/// Returns whether an error of the object store means that the disk has no room.
pub(super) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_at_once_are_counted_before_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let free = {
            let disk = Disk::of(folder.path()).unwrap();
            disk.whole / 100 * 100 - disk.used
        };
        let room = Room::of(Some(folder.path().to_owned()), 100);
        let first = room.reserve(Some(free / 4 * 3)).unwrap();
        assert!(matches!(
            room.reserve(Some(free / 2)),
            Err(ObjectsError::Full(100))
        ));
        drop(first);
        let mut second = room.reserve(Some(free / 2)).unwrap();
        second.write(free / 4).unwrap();
        assert_eq!(room.reserved.load(Ordering::Relaxed), free / 2 - free / 4);
        assert!(second.write(free).is_err(), "more than it said");
        drop(second);
        assert_eq!(room.reserved.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_bucket_has_room() {
        let room = Room::of(None, 1);
        let mut all = room.reserve(Some(u64::MAX)).unwrap();
        all.write(u64::MAX).unwrap();
    }

    #[test]
    fn a_full_disk_is_known_behind_other_errors() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let behind = object_store::Error::Generic {
            store: "test",
            source: Box::new(full),
        };
        assert!(is_full(&behind));
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert!(!is_full(&other));
    }
}

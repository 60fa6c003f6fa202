//! What the media server stores: encrypted files in a temporary folder, and partial uploads that
//! can be resumed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;

/// The most bytes stored. Beyond it the oldest object is deleted, with a warning.
pub const MEDIA_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// SHA-256 of a ciphertext. The media server identifies files by it.
pub(crate) type Hash = [u8; 32];

/// An object of the media server.
#[derive(Clone, Debug)]
pub(crate) struct MediaObject {
    pub(crate) file: PathBuf,
    pub(crate) hash: Hash,
    /// Bytes of ciphertext.
    pub(crate) length: u64,
    /// The status of every download, if the object has expired.
    pub(crate) expired_status: Option<u16>,
    /// Whether downloads contain one wrong byte.
    pub(crate) corrupt: bool,
    /// Whether the phone has lost the file, too.
    pub(crate) lost: bool,
}

/// How much of an upload has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UploadProgress {
    /// Everything. Holds the direct path.
    Complete(String),
    /// This many bytes.
    Partial(u64),
    Nothing,
}

#[derive(Default)]
struct MediaIndex {
    folder: Option<TempDir>,
    /// Objects by the path part of their direct path.
    objects: HashMap<String, MediaObject>,
    /// Paths, oldest first.
    order: VecDeque<String>,
    /// The newest object with this ciphertext.
    by_hash: HashMap<Hash, String>,
    /// Partial uploads: file and length.
    partial: HashMap<Hash, (PathBuf, u64)>,
    bytes: u64,
    last: u64,
}

/// The media server's files. They are deleted when it is dropped.
#[derive(Default)]
pub(crate) struct MediaStore {
    index: Mutex<MediaIndex>,
}

/// Returns the path part of a direct path, which identifies an object.
pub(crate) fn name(direct_path: &str) -> &str {
    direct_path
        .split_once('?')
        .map_or(direct_path, |(path, _)| path)
}

impl MediaStore {
    /// Returns a path to write to. The first call makes the folder.
    pub(crate) fn new_file(&self) -> io::Result<PathBuf> {
        let mut index = self.index();
        index.last += 1;
        let name = index.last.to_string();
        if index.folder.is_none() {
            index.folder = Some(TempDir::with_prefix("passerelle-media-")?);
        }
        let folder = index.folder.as_ref().map(TempDir::path);
        Ok(folder.expect("the folder was made above").join(name))
    }

    /// Stores a complete ciphertext and returns its direct path. `expires` is the time that its
    /// address claims, in seconds.
    pub(crate) fn keep(&self, file: PathBuf, hash: Hash, length: u64, expires: u64) -> String {
        let mut index = self.index();
        index.last += 1;
        let short = BASE64_URL_SAFE_NO_PAD.encode(&hash[..12]);
        let name = format!("/v/t62.7118-24/{}_{short}_n.enc", index.last);
        // Real addresses carry a signature and an expiry. Nothing checks them here.
        let direct_path = format!("{name}?ccb=11-4&oh=01_sim&oe={expires:X}&_nc_sid=5e03e0");
        index.bytes += length;
        index.by_hash.insert(hash, name.clone());
        index.order.push_back(name.clone());
        let object = MediaObject {
            file,
            hash,
            length,
            expired_status: None,
            corrupt: false,
            lost: false,
        };
        index.objects.insert(name, object);
        index.make_room();
        direct_path
    }

    /// Keeps a partial upload.
    pub(crate) fn keep_partial(&self, hash: Hash, file: PathBuf, length: u64) {
        let older = self.index().partial.insert(hash, (file, length));
        if let Some((file, _)) = older {
            remove(&file);
        }
    }

    /// Takes a partial upload to resume it. No other client can resume it then.
    pub(crate) fn take_partial(&self, hash: &Hash) -> Option<(PathBuf, u64)> {
        self.index().partial.remove(hash)
    }

    /// Returns how much of a ciphertext has been uploaded.
    pub(crate) fn progress(&self, hash: &Hash, expires: u64) -> UploadProgress {
        let index = self.index();
        let complete = index.by_hash.get(hash).and_then(|name| {
            let object = index.objects.get(name)?;
            object.expired_status.is_none().then_some(name)
        });
        match (complete, index.partial.get(hash)) {
            (Some(name), _) => UploadProgress::Complete(format!(
                "{name}?ccb=11-4&oh=01_sim&oe={expires:X}&_nc_sid=5e03e0"
            )),
            (None, Some((_, length))) => UploadProgress::Partial(*length),
            (None, None) => UploadProgress::Nothing,
        }
    }

    /// Returns the object at a direct path.
    pub(crate) fn find(&self, direct_path: &str) -> Option<MediaObject> {
        self.index().objects.get(name(direct_path)).cloned()
    }

    /// Changes the object at a direct path. Returns `false` if there is none.
    pub(crate) fn change(&self, direct_path: &str, change: impl FnOnce(&mut MediaObject)) -> bool {
        let mut index = self.index();
        index
            .objects
            .get_mut(name(direct_path))
            .is_some_and(|object| {
                change(object);
                true
            })
    }

    /// Returns the number of objects and their bytes.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let index = self.index();
        (index.objects.len() as u64, index.bytes)
    }

    fn index(&self) -> MutexGuard<'_, MediaIndex> {
        self.index.lock()
    }
}

impl MediaIndex {
    fn make_room(&mut self) {
        while self.bytes > MEDIA_BYTES
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
            && let Some(object) = self.objects.remove(&oldest)
        {
            tracing::warn!("the media server is full; its oldest object is deleted");
            self.bytes -= object.length;
            if self.by_hash.get(&object.hash) == Some(&oldest) {
                self.by_hash.remove(&object.hash);
            }
            remove(&object.file);
        }
    }
}

/// Deletes a file. If that fails, the file is deleted with the folder.
pub(crate) fn remove(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::debug!(%error, "a media file could not be deleted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &MediaStore, hash: Hash) -> (PathBuf, String) {
        let file = store.new_file().unwrap();
        std::fs::write(&file, b"sealed").unwrap();
        let path = store.keep(file.clone(), hash, 6, 1);
        (file, path)
    }

    #[test]
    fn an_object_is_found_by_its_path_whatever_follows_it() {
        let store = MediaStore::default();
        let (_, path) = put(&store, [1; 32]);
        assert_eq!(store.find(&path).unwrap().length, 6);
        assert!(store.find(&format!("{path}?auth=x&token=y")).is_some());
        assert!(store.find("/v/t62.7118-24/none.enc").is_none());
    }

    #[test]
    fn what_has_expired_is_no_complete_upload_any_more() {
        let store = MediaStore::default();
        let (_, path) = put(&store, [1; 32]);
        assert!(
            matches!(store.progress(&[1; 32], 1), UploadProgress::Complete(again) if again == path)
        );
        assert!(store.change(&path, |object| object.expired_status = Some(410)));
        assert_eq!(store.progress(&[1; 32], 1), UploadProgress::Nothing);
    }

    #[test]
    fn the_oldest_object_makes_room() {
        let store = MediaStore::default();
        let (file, path) = put(&store, [1; 32]);
        let (other, _) = put(&store, [2; 32]);
        let large = store.keep(other, [3; 32], MEDIA_BYTES, 1);
        assert!(store.find(&path).is_none() && !file.exists());
        assert_eq!(store.progress(&[1; 32], 1), UploadProgress::Nothing);
        assert!(store.find(&large).is_some());
        assert_eq!(store.counts(), (1, MEDIA_BYTES));
    }

    #[test]
    fn the_files_go_with_the_store() {
        let store = MediaStore::default();
        let (file, _) = put(&store, [1; 32]);
        let folder = file.parent().unwrap().to_owned();
        assert!(file.exists());
        drop(store);
        assert!(!folder.exists());
    }
}

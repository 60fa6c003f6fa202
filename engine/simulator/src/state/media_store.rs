//! What the media server keeps: ciphertexts in files of a folder that goes with the simulator, and
//! uploads that stopped half-way, to be resumed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::{Mutex, MutexGuard};
use tempfile::TempDir;

/// Bytes kept; beyond it the oldest object is forgotten, with a warning.
pub const MEDIA_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// SHA-256 of a ciphertext: how the media server names things.
pub(crate) type Hash = [u8; 32];

/// An object of the media server.
#[derive(Clone, Debug)]
pub(crate) struct MediaObject {
    pub(crate) file: PathBuf,
    pub(crate) hash: Hash,
    /// Bytes of ciphertext.
    pub(crate) length: u64,
    /// The status of every download, once it has expired.
    pub(crate) expired_status: Option<u16>,
    /// A byte of it is given out wrong.
    pub(crate) corrupt: bool,
    /// Not even its phone has it any more.
    pub(crate) lost: bool,
}

/// How far an upload has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UploadProgress {
    /// All of it: where it can be had.
    Complete(String),
    /// So many bytes.
    Partial(u64),
    Nothing,
}

#[derive(Default)]
struct MediaIndex {
    folder: Option<TempDir>,
    /// By the path part of the address clients are given.
    objects: HashMap<String, MediaObject>,
    /// Oldest first.
    order: VecDeque<String>,
    /// The newest object with a ciphertext.
    by_hash: HashMap<Hash, String>,
    /// Uploads that stopped: file and length.
    partial: HashMap<Hash, (PathBuf, u64)>,
    bytes: u64,
    last: u64,
}

/// The media server's files. They are deleted with it.
#[derive(Default)]
pub(crate) struct MediaStore {
    index: Mutex<MediaIndex>,
}

/// The path part of a direct path, which names an object.
pub(crate) fn name(direct_path: &str) -> &str {
    direct_path
        .split_once('?')
        .map_or(direct_path, |(path, _)| path)
}

impl MediaStore {
    /// A file to write to; the folder is made with the first.
    pub(crate) fn new_file(&self) -> io::Result<PathBuf> {
        let mut index = self.index();
        index.last += 1;
        let name = index.last.to_string();
        if index.folder.is_none() {
            index.folder = Some(TempDir::with_prefix("passerelle-media-")?);
        }
        let folder = index.folder.as_ref().map(TempDir::path);
        Ok(folder.expect("made above").join(name))
    }

    /// Take a whole ciphertext; the direct path clients get it by. `expires` is the second that
    /// its address says.
    pub(crate) fn keep(&self, file: PathBuf, hash: Hash, length: u64, expires: u64) -> String {
        let mut index = self.index();
        index.last += 1;
        let short = BASE64_URL_SAFE_NO_PAD.encode(&hash[..12]);
        let name = format!("/v/t62.7118-24/{}_{short}_n.enc", index.last);
        // The signature and the expiry that real addresses carry; nobody checks them here.
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

    /// Remember an upload that stopped.
    pub(crate) fn keep_partial(&self, hash: Hash, file: PathBuf, length: u64) {
        let older = self.index().partial.insert(hash, (file, length));
        if let Some((file, _)) = older {
            remove(&file);
        }
    }

    /// Go on with an upload that stopped; nobody else can any more.
    pub(crate) fn take_partial(&self, hash: &Hash) -> Option<(PathBuf, u64)> {
        self.index().partial.remove(hash)
    }

    /// How far the upload of a ciphertext has come.
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

    /// The object at a direct path.
    pub(crate) fn find(&self, direct_path: &str) -> Option<MediaObject> {
        self.index().objects.get(name(direct_path)).cloned()
    }

    /// Change the object at a direct path; `false` if there is none.
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

    /// Objects and their bytes.
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
            tracing::warn!("the media server is full, its oldest object is forgotten");
            self.bytes -= object.length;
            if self.by_hash.get(&object.hash) == Some(&oldest) {
                self.by_hash.remove(&object.hash);
            }
            remove(&object.file);
        }
    }
}

/// Delete a file; what stays behind goes with the folder.
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

//! Encryption of files in WhatsApp's format. The object store holds files in the same format. Each
//! file has its own key, which the vault seals; when the key is destroyed, the file cannot be read
//! again.
//!
//! The format is AES-256-CBC followed by an HMAC-SHA256 of which 10 bytes are kept. Initialisation
//! vector and both keys are derived from the file's key by HKDF, with an info text for each media
//! class (whatsapp-rust 0.7.0, `wacore/src/{upload,download}.rs`). Everything works on chunks, so a
//! whole file is never in memory.
//!
//! | page | what it holds |
//! |---|---|
//! | here | [`SealedFile`]: what is needed to open a file; [`Remote`]: where WhatsApp keeps one |
//! | `seal` | encrypts the bytes as they arrive |
//! | `open` | checks and decrypts a whole file; decrypts any part of a checked file |

mod open;
mod seal;
pub(crate) mod text;

use serde::{Deserialize, Serialize};
use wacore::download::{DownloadUtils, MediaType};
use zeroize::{Zeroize as _, ZeroizeOnDrop};

pub use self::{
    open::{BadFile, Opener, Part},
    seal::Sealer,
};
use crate::{content::MediaKind, sealed::sealed_debug};

/// Size of an AES block, in bytes.
const BLOCK: usize = 16;
/// Size of the MAC after the encrypted bytes.
const MAC: usize = 10;

/// How WhatsApp encrypts a file. Each class derives its own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaClass {
    /// Images and stickers.
    Image,
    /// Videos.
    Video,
    /// Recordings and voice notes.
    Audio,
    /// All other files.
    Document,
}

impl MediaClass {
    pub(crate) fn library(self) -> MediaType {
        match self {
            Self::Image => MediaType::Image,
            Self::Video => MediaType::Video,
            Self::Audio => MediaType::Audio,
            Self::Document => MediaType::Document,
        }
    }
}

impl From<MediaKind> for MediaClass {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Image | MediaKind::Sticker => Self::Image,
            MediaKind::Video => Self::Video,
            MediaKind::Audio | MediaKind::Voice => Self::Audio,
            MediaKind::Document => Self::Document,
        }
    }
}

/// An encrypted file: its key, and the digests and size that its content must have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Decides which keys are derived.
    pub class: MediaClass,
    /// The file's key.
    pub key: FileKey,
    /// SHA-256 of the plain file.
    #[serde(with = "text")]
    pub sha256: Vec<u8>,
    /// SHA-256 of the encrypted file.
    #[serde(with = "text")]
    pub enc_sha256: Vec<u8>,
    /// Size of the plain file, in bytes.
    pub size: u64,
    /// Lets a player check each 64 KiB of a video or recording while it downloads. Empty for other
    /// files.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub sidecar: Vec<u8>,
}

impl SealedFile {
    /// Returns the size of the encrypted form of a file of `size` bytes.
    pub fn sealed_size(size: u64) -> u64 {
        (size / BLOCK as u64 + 1) * BLOCK as u64 + MAC as u64
    }
}

/// The key of one file: 32 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct FileKey(#[serde(with = "text")] Vec<u8>);

impl FileKey {
    /// Takes a key from outside. Returns `None` unless it has 32 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self(bytes.to_vec()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Derives the initialisation vector, the cipher's key and the HMAC's key.
    fn expand(&self, class: MediaClass) -> Expanded {
        let (iv, cipher, mac) = DownloadUtils::get_media_keys(&self.0, class.library())
            .expect("80 bytes are within HKDF-SHA256's limit");
        Expanded { iv, cipher, mac }
    }
}

struct Expanded {
    iv: [u8; BLOCK],
    cipher: [u8; 32],
    mac: [u8; 32],
}

impl Drop for Expanded {
    fn drop(&mut self) {
        self.cipher.zeroize();
        self.mac.zeroize();
    }
}

/// Returns whether this is a path on WhatsApp's media hosts. Paths come from strangers, and are appended to
/// the name of a host: one that does not begin with a slash could change that name.
pub fn is_direct_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
    path.starts_with('/') && path.bytes().all(plain)
}

/// A file on WhatsApp's servers, and what opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Its path on WhatsApp's media hosts.
    pub direct_path: String,
    /// Its key and digests.
    pub file: SealedFile,
    /// When its key was made, in seconds since 1970 UTC.
    pub key_at: i64,
}

/// What a phone shows before it has downloaded the file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// Media type, such as `image/jpeg`.
    pub mime_type: String,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u32>,
    /// Duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
    /// Number of pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// A small JPEG. Empty if there is none.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub thumbnail: Vec<u8>,
    /// Whether a video plays in a loop without sound, as a GIF does.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub gif: bool,
    /// Loudness of a voice note over time: 64 values of 0 to 100.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub waveform: Vec<u8>,
}

sealed_debug!(SealedFile, FileKey, Remote, Looks);

#[cfg(test)]
mod tests;

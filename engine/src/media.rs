//! Files as WhatsApp encrypts them, which is also how they are kept here: one key a file, in the
//! vault, so that a file whose key is destroyed is gone.
//!
//! AES-256-CBC and an HMAC-SHA256 cut to 10 bytes behind it, initialisation vector and both keys
//! drawn from the file's key by HKDF with a text for its class (whatsapp-rust 0.7.0,
//! `wacore/src/{upload,download}.rs`). All of it works on chunks: a file is never held as a whole.
//!
//! | page | what it holds |
//! |---|---|
//! | here | [`SealedFile`], what must be known to open a file, and where WhatsApp keeps one |
//! | `seal` | encrypting while the bytes come in |
//! | `open` | checking and decrypting a whole file; decrypting any part of a checked one |

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

/// AES's block.
const BLOCK: usize = 16;
/// What stands behind the encrypted bytes.
const MAC: usize = 10;

/// How WhatsApp encrypts a file; each class has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaClass {
    /// Pictures and stickers.
    Image,
    /// Films.
    Video,
    /// Recordings.
    Audio,
    /// Anything else.
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

/// An encrypted file: what opens it and what it must then be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Which of the keys.
    pub class: MediaClass,
    /// The file's key.
    pub key: FileKey,
    /// SHA-256 of the file.
    #[serde(with = "text")]
    pub sha256: Vec<u8>,
    /// SHA-256 of its encrypted form.
    #[serde(with = "text")]
    pub enc_sha256: Vec<u8>,
    /// Bytes of the file.
    pub size: u64,
    /// With which a player checks each 64 KiB of a recording or a film while it loads.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub sidecar: Vec<u8>,
}

impl SealedFile {
    /// Bytes of the encrypted form of a file of `size` bytes.
    pub fn sealed_size(size: u64) -> u64 {
        (size / BLOCK as u64 + 1) * BLOCK as u64 + MAC as u64
    }
}

/// The key of one file, 32 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct FileKey(#[serde(with = "text")] Vec<u8>);

impl FileKey {
    /// Takes a key from outside; `None` unless it has 32 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self(bytes.to_vec()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Initialisation vector, key of the cipher, key of the HMAC.
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

/// A file that WhatsApp keeps, and what opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Its path on WhatsApp's media hosts.
    pub direct_path: String,
    /// What opens it.
    pub file: SealedFile,
    /// When its key was made, seconds UTC.
    pub key_at: i64,
}

/// What a phone needs to show a file before it has loaded it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// Its type, such as `image/jpeg`.
    pub mime_type: String,
    /// Pixels from left to right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub width: Option<u32>,
    /// Pixels from top to bottom.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u32>,
    /// How long it plays.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u32>,
    /// How many pages it has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<u32>,
    /// A small JPEG.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub thumbnail: Vec<u8>,
    /// How loud a voice note is, 64 numbers of 0 to 100.
    #[serde(with = "text", skip_serializing_if = "Vec::is_empty", default)]
    pub waveform: Vec<u8>,
}

sealed_debug!(SealedFile, FileKey, Remote, Looks);

#[cfg(test)]
mod tests;

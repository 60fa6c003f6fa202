//! Decryption: of a whole file, which is checked, and of any part of a checked file.

use std::ops::Range;

use aes::Aes256;
use cbc::{
    Decryptor,
    cipher::{Block, BlockModeDecrypt as _, KeyIvInit as _},
};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{BLOCK, FileKey, MAC, MediaClass, SealedFile};

/// Bytes that are held back from decryption until the end of the file is seen.
const HELD_BACK: usize = BLOCK + MAC;

/// The bytes are not the expected file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// Not a whole number of blocks and a MAC: the file is cut off, or is no encrypted file.
    #[error("the encrypted file is cut off")]
    CutOff,
    /// The bytes were changed, or the key is wrong.
    #[error("the encrypted file was changed, or the key is wrong")]
    Changed,
}

/// Decrypts a whole file, chunk by chunk. Do not trust the output before [`Opener::finish`]
/// succeeds.
pub struct Opener {
    cipher: Decryptor<Aes256>,
    mac: Hmac<Sha256>,
    sealed: Sha256,
    plain: Sha256,
    size: u64,
    /// Bytes that are not decrypted yet.
    held: Vec<u8>,
}

impl Opener {
    /// Starts to decrypt a file that was encrypted under this key.
    pub fn new(key: &FileKey, class: MediaClass) -> Self {
        let keys = key.expand(class);
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&keys.mac)
            .expect("HMAC takes a key of any length");
        mac.update(&keys.iv);
        Self {
            cipher: Decryptor::new(&keys.cipher.into(), &keys.iv.into()),
            mac,
            sealed: Sha256::new(),
            plain: Sha256::new(),
            size: 0,
            held: Vec::new(),
        }
    }

    /// Returns the next decrypted bytes.
    pub fn update(&mut self, sealed: &[u8]) -> Vec<u8> {
        self.sealed.update(sealed);
        self.held.extend_from_slice(sealed);
        let ready = self.held.len().saturating_sub(HELD_BACK) / BLOCK * BLOCK;
        let mut blocks: Vec<u8> = self.held.drain(..ready).collect();
        self.mac.update(&blocks);
        decrypt(&mut self.cipher, &mut blocks);
        self.give(blocks)
    }

    /// Returns the last bytes, and the size and digests of the file. Fails if the MAC does not
    /// match.
    pub fn finish(mut self) -> Result<(Vec<u8>, OpenedFile), BadFile> {
        let end = self.held.len().checked_sub(MAC).ok_or(BadFile::CutOff)?;
        let mac = self.held.split_off(end);
        if end == 0 || end % BLOCK != 0 {
            return Err(BadFile::CutOff);
        }
        let mut blocks = std::mem::take(&mut self.held);
        self.mac.update(&blocks);
        let expected = self.mac.clone().finalize().into_bytes();
        if !bool::from(expected[..MAC].ct_eq(&mac)) {
            return Err(BadFile::Changed);
        }
        decrypt(&mut self.cipher, &mut blocks);
        let padding = padding(&blocks).ok_or(BadFile::Changed)?;
        blocks.truncate(blocks.len() - padding);
        let last = self.give(blocks);
        let found = OpenedFile {
            sha256: self.plain.finalize().to_vec(),
            enc_sha256: self.sealed.finalize().to_vec(),
            size: self.size,
        };
        Ok((last, found))
    }

    fn give(&mut self, plain: Vec<u8>) -> Vec<u8> {
        self.plain.update(&plain);
        self.size += plain.len() as u64;
        plain
    }
}

/// Digests and size of a file that was decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedFile {
    /// SHA-256 of the plain file.
    pub sha256: Vec<u8>,
    /// SHA-256 of the encrypted file.
    pub enc_sha256: Vec<u8>,
    /// Size of the plain file, in bytes.
    pub size: u64,
}

impl OpenedFile {
    /// Returns whether this is the announced file. An announced size of 0 means that the sender
    /// gave none.
    pub fn is(&self, announced: &SealedFile) -> bool {
        self.sha256 == announced.sha256
            && self.enc_sha256 == announced.enc_sha256
            && (announced.size == 0 || self.size == announced.size)
    }
}

/// Returns the number of padding bytes at the end (PKCS #7). Returns `None` if the padding is
/// wrong.
fn padding(blocks: &[u8]) -> Option<usize> {
    let padding = usize::from(*blocks.last()?);
    let valid = (1..=BLOCK).contains(&padding)
        && blocks[blocks.len() - padding..]
            .iter()
            .all(|byte| usize::from(*byte) == padding);
    valid.then_some(padding)
}

/// Decrypts whole blocks in place.
fn decrypt(cipher: &mut Decryptor<Aes256>, blocks: &mut [u8]) {
    for block in blocks.chunks_exact_mut(BLOCK) {
        let block = <&mut Block<Aes256>>::try_from(block).expect("a chunk has a block's length");
        cipher.decrypt_block(block);
    }
}

/// Decrypts a part of a file that was checked when it was stored.
pub struct Part {
    file: SealedFile,
    /// The wanted bytes of the plain file.
    wanted: Range<u64>,
    cipher: Option<Decryptor<Aes256>>,
    /// Bytes that are not decrypted yet.
    held: Vec<u8>,
    /// Decrypted bytes before the wanted ones, still to be dropped.
    skip: usize,
    /// Wanted bytes still to come.
    left: u64,
}

impl Part {
    /// Starts to decrypt the bytes `wanted` of the plain file. The range is cut at the end of the
    /// file.
    pub fn new(file: SealedFile, wanted: Range<u64>) -> Self {
        let end = wanted.end.min(file.size);
        let wanted = wanted.start.min(end)..end;
        let skip = usize::try_from(wanted.start % BLOCK as u64).expect("less than a block");
        Self {
            left: wanted.end - wanted.start,
            cipher: None,
            held: Vec::new(),
            skip,
            file,
            wanted,
        }
    }

    /// Returns the number of bytes it will return in total.
    pub fn size(&self) -> u64 {
        self.wanted.end - self.wanted.start
    }

    /// Returns which bytes of the encrypted file it needs: whole blocks, and the block before them,
    /// because CBC chains each block to the one before.
    pub fn sealed(&self) -> Range<u64> {
        let block = BLOCK as u64;
        let first = self.wanted.start / block * block;
        first.saturating_sub(block)..self.wanted.end.div_ceil(block) * block
    }

    /// Takes the next chunk of the range [`Part::sealed`], and returns the wanted bytes in it.
    pub fn update(&mut self, sealed: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(sealed);
        if self.cipher.is_none() && !self.start() {
            return Vec::new();
        }
        let ready = self.held.len() / BLOCK * BLOCK;
        let mut blocks: Vec<u8> = self.held.drain(..ready).collect();
        if let Some(cipher) = &mut self.cipher {
            decrypt(cipher, &mut blocks);
        }
        let skip = self.skip.min(blocks.len());
        self.skip -= skip;
        blocks.drain(..skip);
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        blocks.truncate(left);
        self.left -= blocks.len() as u64;
        blocks
    }

    /// Sets up the cipher. Returns false until the whole block before the wanted ones has arrived.
    fn start(&mut self) -> bool {
        let mut keys = self.file.key.expand(self.file.class);
        if self.wanted.start >= BLOCK as u64 {
            if self.held.len() < BLOCK {
                return false;
            }
            keys.iv.copy_from_slice(&self.held[..BLOCK]);
            self.held.drain(..BLOCK);
        }
        self.cipher = Some(Decryptor::new(&keys.cipher.into(), &keys.iv.into()));
        true
    }
}

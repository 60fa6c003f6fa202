//! Media encryption: HKDF-SHA256 over the media key, AES-256-CBC and ten bytes of HMAC-SHA256
//! (WhatsApp's security white paper, "Transmitting Media and Other Attachments"). It is our own
//! code and not the library's, so that each checks the other. Memory use does not grow with the
//! file.

use std::io::{self, Read, Write};

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, consts::U16};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::MediaKind;

/// Bytes of the authentication code after the ciphertext.
const MAC: usize = 10;
const BLOCK: usize = 16;
/// Bytes processed at a time, a multiple of the block size.
const CHUNK: usize = 64 * 1024;

/// The hashes and the length of a file, as its message states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) plain: [u8; 32],
    pub(crate) sealed: [u8; 32],
    /// Bytes of plaintext.
    pub(crate) length: u64,
}

/// Why a file could not be decrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error("the ciphertext is not whole blocks followed by a mac")]
    Length,
    #[error("the mac does not match")]
    Mac,
    #[error("the padding is wrong")]
    Padding,
    #[error("reading the file failed: {0}")]
    Io(#[from] io::Error),
}

struct MediaKeys {
    iv: [u8; 16],
    cipher: [u8; 32],
    mac: [u8; 32],
}

fn keys(media_key: &[u8], kind: MediaKind) -> MediaKeys {
    let mut out = [0; 112];
    Hkdf::<Sha256>::new(None, media_key)
        .expand(kind.key_info().as_bytes(), &mut out)
        .expect("HKDF can produce 112 bytes");
    let part = |from: usize, to: usize| &out[from..to];
    MediaKeys {
        iv: part(0, 16).try_into().expect("16 bytes"),
        cipher: part(16, 48).try_into().expect("32 bytes"),
        mac: part(48, 80).try_into().expect("32 bytes"),
    }
}

fn authenticator(keys: &MediaKeys) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&keys.mac)
        .expect("HMAC takes keys of any length");
    mac.update(&keys.iv);
    mac
}

/// Computes both hashes while the file is read.
#[derive(Default)]
struct Hashes {
    plain: Sha256,
    sealed: Sha256,
    length: u64,
}

impl Hashes {
    fn plain(&mut self, bytes: &[u8]) {
        self.plain.update(bytes);
        self.length += bytes.len() as u64;
    }

    fn sealed(&mut self, bytes: &[u8]) {
        self.sealed.update(bytes);
    }

    fn sums(self) -> Sums {
        Sums {
            plain: self.plain.finalize().into(),
            sealed: self.sealed.finalize().into(),
            length: self.length,
        }
    }
}

/// Encrypts all of `from` into `to`.
pub(crate) fn seal(
    media_key: &[u8; 32],
    kind: MediaKind,
    mut from: impl Read,
    mut to: impl Write,
) -> io::Result<Sums> {
    let keys = keys(media_key, kind);
    let mut cipher = cbc::Encryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    let mut mac = authenticator(&keys);
    let mut hashes = Hashes::default();
    let mut chunk = vec![0; CHUNK + BLOCK];
    loop {
        let mut filled = fill(&mut from, &mut chunk[..CHUNK])?;
        hashes.plain(&chunk[..filled]);
        let last = filled < CHUNK;
        if last {
            filled += pad(&mut chunk, filled);
        }
        for block in chunk[..filled].chunks_exact_mut(BLOCK) {
            cipher.encrypt_block(as_block(block));
        }
        mac.update(&chunk[..filled]);
        hashes.sealed(&chunk[..filled]);
        to.write_all(&chunk[..filled])?;
        if last {
            break;
        }
    }
    let mac = mac.finalize().into_bytes();
    hashes.sealed(&mac[..MAC]);
    to.write_all(&mac[..MAC])?;
    to.flush()?;
    Ok(hashes.sums())
}

/// Decrypts `size` bytes of `from` into `to` and hashes both. Do not use the output if this fails:
/// the authentication code comes last.
pub(crate) fn open(
    media_key: &[u8],
    kind: MediaKind,
    mut from: impl Read,
    size: u64,
    mut to: impl Write,
) -> Result<Sums, MediaError> {
    let keys = keys(media_key, kind);
    let mut left = size.checked_sub(MAC as u64).ok_or(MediaError::Length)?;
    if left == 0 || !left.is_multiple_of(BLOCK as u64) {
        return Err(MediaError::Length);
    }
    let mut cipher = cbc::Decryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    let mut mac = authenticator(&keys);
    let mut hashes = Hashes::default();
    let mut chunk = vec![0; CHUNK];
    // Wrong padding is reported only if the authentication code is right.
    let mut padded = true;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = &mut chunk[..take];
        from.read_exact(chunk)?;
        left -= take as u64;
        mac.update(chunk);
        hashes.sealed(chunk);
        for block in chunk.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block(as_block(block));
        }
        let end = match left {
            0 => unpad(chunk),
            _ => Some(take),
        };
        padded = end.is_some();
        let opened = &chunk[..end.unwrap_or(0)];
        hashes.plain(opened);
        to.write_all(opened)?;
    }
    let mut tag = [0; MAC];
    from.read_exact(&mut tag)?;
    hashes.sealed(&tag);
    mac.verify_truncated_left(&tag)
        .map_err(|_| MediaError::Mac)?;
    if !padded {
        return Err(MediaError::Padding);
    }
    Ok(hashes.sums())
}

/// Reads until the buffer is full or the source ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn as_block(bytes: &mut [u8]) -> &mut Array<u8, U16> {
    bytes.try_into().expect("chunks are cut into whole blocks")
}

/// Adds PKCS#7 padding and returns its length.
fn pad(chunk: &mut [u8], at: usize) -> usize {
    let count = BLOCK - at % BLOCK;
    let value = u8::try_from(count).expect("the padding is at most a block");
    chunk[at..at + count].fill(value);
    count
}

/// Returns where the padding begins.
fn unpad(chunk: &[u8]) -> Option<usize> {
    let value = *chunk.last()?;
    let count = usize::from(value);
    let start = chunk.len().checked_sub(count)?;
    let good = (1..=BLOCK).contains(&count) && chunk[start..].iter().all(|byte| *byte == value);
    good.then_some(start)
}

#[cfg(test)]
mod tests {
    use wacore::download::{DownloadUtils, MediaType};

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn sample(size: usize) -> Vec<u8> {
        (0..size).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect()
    }

    /// Around the size of a block, around the size of a chunk, and empty.
    const SIZES: [usize; 7] = [0, 1, 15, 16, CHUNK - 1, CHUNK, CHUNK + 17];

    #[test]
    fn what_is_sealed_opens_and_the_sums_agree() {
        for size in SIZES {
            let (mut sealed, mut opened) = (Vec::new(), Vec::new());
            let sums = seal(&KEY, MediaKind::Image, &*sample(size), &mut sealed).unwrap();
            let total = sealed.len() as u64;
            let again = open(&KEY, MediaKind::Image, &*sealed, total, &mut opened).unwrap();
            assert_eq!(opened, sample(size), "{size} bytes");
            assert_eq!(again, sums);
            assert_eq!(sums.sealed, <[u8; 32]>::from(Sha256::digest(&sealed)));
        }
    }

    #[test]
    fn the_library_opens_what_is_sealed_here_and_the_other_way_round() {
        for size in SIZES {
            let mut sealed = Vec::new();
            let sums = seal(&KEY, MediaKind::Video, &*sample(size), &mut sealed).unwrap();
            let theirs =
                wacore::upload::encrypt_media_with_key(&sample(size), MediaType::Video, Some(&KEY))
                    .unwrap();
            assert_eq!(theirs.data_to_upload, sealed, "{size} bytes");
            assert_eq!(theirs.file_enc_sha256, sums.sealed);
            let mut opened = Vec::new();
            DownloadUtils::decrypt_stream_to_writer(&*sealed, &KEY, MediaType::Video, &mut opened)
                .unwrap();
            assert_eq!(opened, sample(size));
        }
    }

    #[test]
    fn a_changed_byte_another_kind_and_a_short_file_do_not_open() {
        let mut sealed = Vec::new();
        seal(&KEY, MediaKind::Audio, &*sample(100), &mut sealed).unwrap();
        let total = sealed.len() as u64;
        let open = |bytes: &[u8], kind, total| open(&KEY, kind, bytes, total, io::sink());
        assert!(open(&sealed, MediaKind::Audio, total).is_ok());
        assert!(matches!(
            open(&sealed, MediaKind::Document, total),
            Err(MediaError::Mac)
        ));
        assert!(matches!(
            open(&sealed, MediaKind::Audio, total - 1),
            Err(MediaError::Length)
        ));
        for at in [0, 50, sealed.len() - 1] {
            sealed[at] ^= 1;
            assert!(matches!(
                open(&sealed, MediaKind::Audio, total),
                Err(MediaError::Mac)
            ));
            sealed[at] ^= 1;
        }
    }
}

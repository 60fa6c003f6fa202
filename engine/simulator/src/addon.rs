//! Encrypts with a key derived from another secret: HKDF-SHA256, then AES-256-GCM. Poll votes use
//! the secret of their poll; requests for lost media use the media key.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes in a nonce.
pub(crate) const IV: usize = 12;

fn cipher(secret: &[u8], info: &[u8]) -> Aes256Gcm {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, &mut key)
        .expect("HKDF can produce 32 bytes");
    Aes256Gcm::new(&key.into())
}

/// Encrypts for everyone who has the secret.
pub(crate) fn seal(secret: &[u8], info: &[u8], aad: &[u8], iv: [u8; IV], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad };
    cipher(secret, info)
        .encrypt(&iv.into(), payload)
        .expect("messages are far below AES-GCM's limit")
}

/// Decrypts. Returns `None` if the secret, the purpose or the nonce differs.
pub(crate) fn open(
    secret: &[u8],
    info: &[u8],
    aad: &[u8],
    iv: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let iv: [u8; IV] = iv.try_into().ok()?;
    let payload = Payload { msg: sealed, aad };
    cipher(secret, info).decrypt(&iv.into(), payload).ok()
}

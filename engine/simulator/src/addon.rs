//! Boxes that only who has another secret can open: HKDF-SHA256 to a key, then AES-256-GCM. Votes
//! are sealed so with the secret of their poll, requests for lost media with the media's key.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes of a nonce.
pub(crate) const IV: usize = 12;

fn cipher(secret: &[u8], info: &[u8]) -> Aes256Gcm {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, &mut key)
        .expect("32 bytes are fewer than HKDF can give");
    Aes256Gcm::new(&key.into())
}

/// Seal for who knows the secret.
pub(crate) fn seal(secret: &[u8], info: &[u8], aad: &[u8], iv: [u8; IV], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad };
    cipher(secret, info)
        .encrypt(&iv.into(), payload)
        .expect("what is sealed here is far below AES-GCM's limit")
}

/// Open; `None` if it was not sealed with this secret, for this, under this nonce.
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

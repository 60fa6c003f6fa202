//! Key-encryption keys. The operator gives them at start; they are never in the store.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::record::{self, KEY_LEN};
use crate::sealed::sealed_debug;

/// The key-encryption keys given at start. The first one seals; all of them can open.
pub struct KekRing(Vec<Kek>);

/// One key-encryption key, with its id in the store.
pub(super) struct Kek {
    pub(super) id: String,
    key: Zeroizing<[u8; KEY_LEN]>,
}

/// Why a text is not a valid list of key-encryption keys. Never contains key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KekError {
    /// No key was given.
    #[error("no key-encryption key was given")]
    Empty,
    /// The entry with this number, counted from 1, is not `id:base64`, where the id has 1 to 64
    /// letters, digits, `-` or `_`.
    #[error("key-encryption key number {0} does not have the form id:base64")]
    Shape(usize),
    /// The key with this id is not 32 bytes in standard base64.
    #[error("key-encryption key `{0}` is not 32 bytes in standard base64")]
    Length(String),
    /// Two entries have the same id.
    #[error("the key-encryption key id `{0}` occurs twice")]
    Twice(String),
}

impl KekRing {
    /// Parses `id:base64[,id:base64…]`. Each key is 32 bytes in standard base64.
    pub fn parse(text: &str) -> Result<Self, KekError> {
        let mut ring: Vec<Kek> = Vec::new();
        for (at, entry) in text.split(',').map(str::trim).enumerate() {
            if entry.is_empty() && text.trim().is_empty() {
                return Err(KekError::Empty);
            }
            let kek = Kek::parse(entry, at + 1)?;
            if ring.iter().any(|known| known.id == kek.id) {
                return Err(KekError::Twice(kek.id));
            }
            ring.push(kek);
        }
        Ok(Self(ring))
    }

    /// Makes a ring of one new key, and the text that [`KekRing::parse`] reads it from. The text is
    /// a secret; show it to the operator once.
    pub fn generate() -> (Self, String) {
        let key = record::random_key();
        // The id is random, so that a key made later gets another one.
        let id = format!("kek-{}", hex::encode(&record::random_key()[..4]));
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(key.as_slice()));
        let line = format!("{id}:{}", encoded.as_str());
        (Self(vec![Kek { id, key }]), line)
    }

    /// Returns the key that seals.
    pub(super) fn first(&self) -> &Kek {
        self.0
            .first()
            .expect("parse and generate never make an empty ring")
    }

    /// Returns the key with this id, if it was given.
    pub(super) fn get(&self, id: &str) -> Option<&Kek> {
        self.0.iter().find(|kek| kek.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kek> {
        self.0.iter()
    }
}

impl Kek {
    fn parse(entry: &str, number: usize) -> Result<Self, KekError> {
        let (id, encoded) = entry.split_once(':').ok_or(KekError::Shape(number))?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(KekError::Shape(number));
        }
        let bytes = BASE64_STANDARD.decode(encoded).map(Zeroizing::new);
        let key = bytes
            .ok()
            .and_then(|bytes| <[u8; KEY_LEN]>::try_from(bytes.as_slice()).ok())
            .ok_or_else(|| KekError::Length(id.to_owned()))?;
        Ok(Self {
            id: id.to_owned(),
            key: Zeroizing::new(key),
        })
    }

    pub(super) fn wrap(&self, owner: &[&[u8]], key: &[u8; KEY_LEN]) -> Vec<u8> {
        record::seal(&self.key, &self.bound(owner), key)
    }

    /// Returns `None` if this key did not wrap the data key for this owner.
    pub(super) fn unwrap(
        &self,
        owner: &[&[u8]],
        wrapped: &[u8],
    ) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let plain = record::open(&self.key, &self.bound(owner), wrapped)?;
        <[u8; KEY_LEN]>::try_from(plain.as_slice())
            .ok()
            .map(Zeroizing::new)
    }

    /// Binds a wrapped key to the id of its key-encryption key, so that a row whose `kek_id` was
    /// changed does not open.
    fn bound(&self, owner: &[&[u8]]) -> Vec<u8> {
        let parts: Vec<&[u8]> = owner.iter().copied().chain([self.id.as_bytes()]).collect();
        record::associated(&parts)
    }
}

sealed_debug!(KekRing);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_ring_reads_back_from_its_line() {
        let (ring, line) = KekRing::generate();
        let read = KekRing::parse(&line).unwrap();
        let wrapped = ring.first().wrap(&[b"owner"], &[7; 32]);
        assert_eq!(
            *read.first().unwrap(&[b"owner"], &wrapped).unwrap(),
            [7; 32]
        );
        assert!(read.first().unwrap(&[b"another"], &wrapped).is_none());
    }

    #[test]
    fn the_first_of_a_ring_seals_and_all_are_found() {
        let key = BASE64_STANDARD.encode([1; 32]);
        let ring = KekRing::parse(&format!("new:{key}, old:{key}")).unwrap();
        assert_eq!(ring.first().id, "new");
        assert!(ring.get("old").is_some());
        assert!(ring.get("other").is_none());
    }

    #[test]
    fn a_bad_ring_is_refused_without_showing_the_key() {
        let key = BASE64_STANDARD.encode([1; 32]);
        let short = BASE64_STANDARD.encode([1; 31]);
        let why = |text: &str| KekRing::parse(text).unwrap_err();
        assert_eq!(why(""), KekError::Empty);
        assert_eq!(why("  "), KekError::Empty);
        assert_eq!(why(&key), KekError::Shape(1));
        assert_eq!(why(&format!("a:{key},")), KekError::Shape(2));
        assert_eq!(why(&format!("a b:{key}")), KekError::Shape(1));
        assert_eq!(why(&format!("a:{short}")), KekError::Length("a".into()));
        assert_eq!(why("a:%%%"), KekError::Length("a".into()));
        assert_eq!(
            why(&format!("a:{key},a:{key}")),
            KekError::Twice("a".into())
        );
        let (ring, _) = KekRing::generate();
        assert_eq!(format!("{ring:?}"), "KekRing[sealed]");
    }
}

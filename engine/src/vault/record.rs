//! The format of sealed values, and look-up HMACs.
//!
//! A sealed value is `version (1 byte) | nonce (12 bytes, random) | ciphertext | tag (16 bytes)`,
//! encrypted with AES-256-GCM. Random 96-bit nonces are safe for up to 2^32 values per key (NIST SP
//! 800-38D §8.3). The associated data names the place of the value, so a value that was moved to
//! another place does not open.

use aes_gcm::{AeadInOut as _, Aes256Gcm, Key, KeyInit as _, Nonce, Tag};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand::{TryRng as _, rngs::SysRng};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::VaultError;
use crate::{
    ids::{OrgId, SessionId},
    sealed::sealed_debug,
};

/// Size of every key, in bytes.
pub(super) const KEY_LEN: usize = 32;
const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEAD: usize = 1 + NONCE_LEN;

/// Number of bytes that sealing adds.
pub const SEAL_OVERHEAD: usize = HEAD + TAG_LEN;

/// The place of a sealed value. The value opens only there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The organisation that owns the row.
    pub org: OrgId,
    /// The session, if the value belongs to one.
    pub session: Option<SessionId>,
    /// Table and column, without the column's suffix `_sealed`, such as `message.content`.
    pub table: &'static str,
    /// Identifies the row in its table: usually its id.
    pub record: &'a str,
}

impl<'a> Place<'a> {
    /// The place of a value that belongs to the organisation, not to one of its sessions.
    pub fn of(org: OrgId, table: &'static str, record: &'a str) -> Self {
        Self {
            org,
            session: None,
            table,
            record,
        }
    }

    fn associated(&self) -> Vec<u8> {
        let org = self.org.to_string();
        let session = self.session.map(|id| id.to_string()).unwrap_or_default();
        let parts: [&str; 4] = [&org, &session, self.table, self.record];
        associated(&parts.map(str::as_bytes))
    }
}

/// The data key of one organisation or one session. It seals values and makes look-up HMACs.
///
/// It holds two keys derived from the stored one, so that sealing and look-ups are independent.
pub struct DataKey {
    seal: Zeroizing<[u8; KEY_LEN]>,
    look_up: Zeroizing<[u8; KEY_LEN]>,
}

impl DataKey {
    pub(super) fn derive(stored: &[u8; KEY_LEN]) -> Self {
        Self {
            seal: expand(stored, b"passerelle-v1 seal"),
            look_up: expand(stored, b"passerelle-v1 look-up"),
        }
    }

    /// Seals `plain` for one place. The result is [`SEAL_OVERHEAD`] bytes longer.
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Vec<u8> {
        seal(&self.seal, &place.associated(), plain)
    }

    /// Opens a value that was sealed under this key for this place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        open(&self.seal, &place.associated(), sealed).ok_or(VaultError::DoesNotOpen(place.table))
    }

    /// Seals a value as JSON.
    pub fn seal_json<T: Serialize>(
        &self,
        place: &Place<'_>,
        value: &T,
    ) -> Result<Vec<u8>, VaultError> {
        let plain = serde_json::to_vec(value).map(Zeroizing::new);
        let plain = plain.map_err(|_| VaultError::NotJson(place.table))?;
        Ok(self.seal(place, &plain))
    }

    /// Opens a value that [`DataKey::seal_json`] sealed.
    pub fn open_json<T: DeserializeOwned>(
        &self,
        place: &Place<'_>,
        sealed: &[u8],
    ) -> Result<T, VaultError> {
        let plain = self.open(place, sealed)?;
        // The original error would quote the plain text.
        serde_json::from_slice(&plain).map_err(|_| VaultError::NotJson(place.table))
    }

    /// Returns the look-up HMAC of a value in one column (`table.column`). Equal values in the same
    /// column under the same key give equal bytes; otherwise the bytes differ.
    pub fn mac(&self, column: &'static str, value: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.look_up.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(&associated(&[column.as_bytes()]));
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

sealed_debug!(DataKey);

/// Joins parts, each with its length first, so that different lists never give the same bytes.
pub(super) fn associated(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    for part in [&b"passerelle-v1"[..]].iter().chain(parts) {
        let length = u32::try_from(part.len()).expect("a name or an id is short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Makes a new key from the operating system's random source.
pub(super) fn random_key() -> Zeroizing<[u8; KEY_LEN]> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    fill_random(key.as_mut_slice());
    key
}

fn fill_random(bytes: &mut [u8]) {
    // Without random bytes nothing can be sealed, so the process must stop.
    SysRng
        .try_fill_bytes(bytes)
        .expect("the operating system returns random bytes");
}

fn expand(stored: &[u8; KEY_LEN], purpose: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    Hkdf::<Sha256>::new(None, stored)
        .expand(purpose, key.as_mut_slice())
        .expect("32 bytes are within HKDF-SHA256's limit");
    key
}

fn cipher(key: &[u8; KEY_LEN]) -> Aes256Gcm {
    Aes256Gcm::new(<&Key<Aes256Gcm>>::from(key))
}

pub(super) fn seal(key: &[u8; KEY_LEN], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    fill_random(&mut nonce);
    let mut sealed = Vec::with_capacity(plain.len() + SEAL_OVERHEAD);
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = cipher(key)
        .encrypt_inout_detached(
            &Nonce::from(nonce),
            associated,
            (&mut sealed[HEAD..]).into(),
        )
        .expect("a value is far shorter than AES-GCM's 64 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// Returns `None` unless `sealed` was made by [`seal`] with the same key and associated data.
pub(super) fn open(
    key: &[u8; KEY_LEN],
    associated: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (head, rest) = sealed.split_at_checked(HEAD)?;
    let (version, nonce) = head.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
    let nonce = Nonce::try_from(nonce).ok()?;
    let tag = Tag::try_from(tag).ok()?;
    let mut plain = Zeroizing::new(text.to_vec());
    cipher(key)
        .decrypt_inout_detached(&nonce, associated, plain.as_mut_slice().into(), &tag)
        .ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn key() -> DataKey {
        DataKey::derive(&random_key())
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let (clock, key) = (Clock::system(), key());
        let here = Place {
            org: OrgId::new(&clock),
            session: Some(SessionId::new(&clock)),
            table: "message.content",
            record: "msg_1",
        };
        let sealed = key.seal(&here, b"hello");
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        assert_eq!(key.open(&here, &sealed).unwrap().as_slice(), b"hello");
        let elsewhere = [
            Place {
                org: OrgId::new(&clock),
                ..here
            },
            Place {
                session: None,
                ..here
            },
            Place {
                session: Some(SessionId::new(&clock)),
                ..here
            },
            Place {
                table: "message.peer",
                ..here
            },
            Place {
                record: "msg_2",
                ..here
            },
        ];
        for place in elsewhere {
            assert!(key.open(&place, &sealed).is_err(), "opened at {place:?}");
        }
        let other = DataKey::derive(&random_key());
        assert!(other.open(&here, &sealed).is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_does_not_open() {
        let key = key();
        let here = Place {
            org: OrgId::new(&Clock::system()),
            session: None,
            table: "endpoint.secret",
            record: "whe_1",
        };
        let sealed = key.seal(&here, b"a secret of some length");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                assert!(key.open(&here, &flipped).is_err(), "byte {at}, bit {bit}");
            }
        }
        for cut in 0..sealed.len() {
            assert!(key.open(&here, &sealed[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn parts_that_join_to_the_same_text_stay_apart() {
        assert_ne!(associated(&[b"ab", b"c"]), associated(&[b"a", b"bc"]));
        assert_ne!(associated(&[b"ab", b""]), associated(&[b"ab"]));
    }

    #[test]
    fn look_ups_agree_within_a_column_and_a_key_only() {
        let (key, other) = (key(), key());
        let phone = b"+4915112345678";
        assert_eq!(
            key.mac("contact.phone", phone),
            key.mac("contact.phone", phone)
        );
        assert_ne!(
            key.mac("contact.phone", phone),
            key.mac("contact.lid", phone)
        );
        assert_ne!(
            key.mac("contact.phone", phone),
            other.mac("contact.phone", phone)
        );
    }

    #[test]
    fn nonces_never_repeat() {
        let key = random_key();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50_000 {
            let sealed = seal(&key, b"", b"");
            assert!(seen.insert(sealed[1..HEAD].to_vec()));
        }
    }
}

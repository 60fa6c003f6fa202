//! A scripted phone's Signal sessions, by account and device. Clients switch between phone number
//! and LID addresses; the session stays the same.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use futures_util::FutureExt;
use rand::rngs::StdRng;
use wacore_libsignal::crypto::hmac_sha256;
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, DeviceId, Direction, IdentityChange, IdentityKey,
    IdentityKeyPair, IdentityKeyStore, PreKeyBundle, PreKeyId, PreKeyRecord, PreKeySignalMessage,
    PreKeyStore, ProtocolAddress, PublicKey, SessionRecord, SessionStore, SignalMessage,
    SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, UsePQRatchet,
    message_decrypt, message_encrypt, process_prekey_bundle,
};

use crate::state::address::Address;
use crate::state::bundle::Bundle;
use crate::state::phone_keys::PhoneKeys;

pub(super) type SignalResult<T> = Result<T, SignalProtocolError>;

/// Everything a phone needs to encrypt and decrypt messages.
pub(crate) struct Signal {
    sessions: Sessions,
    identities: Identities,
    one_time: OneTimeStore,
    signed: SignedStore,
    rng: StdRng,
}

/// A ciphertext and the `type` of its `<enc>`.
pub(crate) struct Sealed {
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Sealed {
    /// Corrupts the authentication code. In a first message the code is in the middle.
    pub(crate) fn break_code(&mut self) {
        let inner = PreKeySignalMessage::try_from(&*self.bytes);
        let inner = inner.map(|first| first.message().serialized().to_vec());
        let inner = inner.unwrap_or_else(|_| self.bytes.clone());
        let start = self
            .bytes
            .windows(inner.len())
            .position(|part| part == inner);
        if let Some(last) = start.and_then(|start| self.bytes.get_mut(start + inner.len() - 1)) {
            *last ^= 1;
        }
    }
}

/// Why a message could not be decrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecryptError {
    /// The same ciphertext was decrypted before.
    #[error("decrypted before")]
    Duplicate,
    /// Any other reason. The sender must encrypt it again.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl Signal {
    /// Returns a store without sessions.
    pub(crate) fn new(keys: &Arc<PhoneKeys>, rng: StdRng) -> Self {
        Self {
            sessions: Sessions::default(),
            identities: Identities {
                own: Arc::clone(keys),
                known: HashMap::new(),
            },
            one_time: OneTimeStore(Arc::clone(keys)),
            signed: SignedStore(Arc::clone(keys)),
            rng,
        }
    }

    /// Returns whether there is a session with this device.
    pub(crate) fn has_session(&self, device: &Address) -> bool {
        self.sessions.0.contains_key(&name(device))
    }

    /// Starts a session from the keys that the server returned.
    pub(crate) fn start(&mut self, device: &Address, bundle: &Bundle) -> anyhow::Result<()> {
        let bundle = parse(bundle, device)?;
        now(process_prekey_bundle(
            &name(device),
            &mut self.sessions,
            &mut self.identities,
            &bundle,
            &mut self.rng,
            UsePQRatchet::No,
        ))?;
        Ok(())
    }

    /// Removes the session. The next message starts a new one.
    pub(crate) fn forget(&mut self, device: &Address) {
        self.sessions.0.remove(&name(device));
    }

    /// Encrypts for a device that has a session.
    pub(crate) fn seal(&mut self, device: &Address, plain: &[u8]) -> anyhow::Result<Sealed> {
        let address = name(device);
        let sealed = now(message_encrypt(
            plain,
            &address,
            &mut self.sessions,
            &mut self.identities,
        ))?;
        let kind = match sealed.message_type() {
            CiphertextMessageType::PreKey => "pkmsg",
            _ => "msg",
        };
        Ok(Sealed {
            kind,
            bytes: sealed.serialize().to_vec(),
        })
    }

    /// Decrypts a message from a device.
    pub(crate) fn open(
        &mut self,
        device: &Address,
        kind: &str,
        bytes: &[u8],
    ) -> Result<Vec<u8>, DecryptError> {
        let message = match kind {
            "pkmsg" => PreKeySignalMessage::try_from(bytes)
                .map(CiphertextMessage::PreKeySignalMessage)
                .map_err(anyhow::Error::from)?,
            "msg" => SignalMessage::try_from(bytes)
                .map(CiphertextMessage::SignalMessage)
                .map_err(anyhow::Error::from)?,
            other => return Err(anyhow!("unknown encryption type {other}").into()),
        };
        let opened = now(message_decrypt(
            &message,
            &name(device),
            &mut self.sessions,
            &mut self.identities,
            &mut self.one_time,
            &self.signed,
            &mut self.rng,
            UsePQRatchet::No,
        ));
        match opened {
            Ok(opened) => {
                if let Some(id) = opened.consumed_prekey_id {
                    self.one_time.0.remove_one_time_key(id);
                }
                Ok(opened.plaintext)
            }
            Err(SignalProtocolError::DuplicatedMessage(..)) => Err(DecryptError::Duplicate),
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }
}

/// Runs one of the library's async functions. It never waits, because these stores are in memory.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("stores in memory never wait")
}

/// Returns the address of a session. It hides the phone number, because the Signal library logs
/// addresses.
pub(super) fn name(device: &Address) -> ProtocolAddress {
    let digest = hmac_sha256(b"session address", device.pn.as_bytes());
    let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
    let opaque = format!("{:016x}", u64::from_be_bytes(*first));
    ProtocolAddress::new(&opaque, DeviceId::from(u32::from(device.device)))
}

fn parse(bundle: &Bundle, device: &Address) -> anyhow::Result<PreKeyBundle> {
    let registration = bundle.registration.as_slice().try_into();
    let one_time = match &bundle.one_time {
        Some((id, value)) => Some((PreKeyId::from(number(id)), key(value)?)),
        None => None,
    };
    Ok(PreKeyBundle::new(
        u32::from_be_bytes(registration.context("a registration id has 4 bytes")?),
        DeviceId::from(u32::from(device.device)),
        one_time,
        SignedPreKeyId::from(number(&bundle.signed_key.id)),
        key(&bundle.signed_key.value)?,
        bundle.signed_key.signature.clone(),
        IdentityKey::new(key(&bundle.identity)?),
    )?)
}

fn key(bytes: &[u8]) -> anyhow::Result<PublicKey> {
    Ok(PublicKey::from_djb_public_key_bytes(bytes)?)
}

/// Reads a big-endian id of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[derive(Default)]
struct Sessions(HashMap<ProtocolAddress, SessionRecord>);

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        Ok(self.0.get(address).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.0.contains_key(address))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> SignalResult<()> {
        self.0.insert(address.clone(), record);
        Ok(())
    }
}

struct Identities {
    own: Arc<PhoneKeys>,
    known: HashMap<ProtocolAddress, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        let pair = &self.own.identity;
        let public = IdentityKey::new(pair.public_key);
        Ok(IdentityKeyPair::new(public, pair.private_key.clone()))
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.own.registration)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> SignalResult<IdentityChange> {
        let before = self.known.insert(address.clone(), *identity);
        let changed = before.is_some_and(|before| before != *identity);
        Ok(IdentityChange::from_changed(changed))
    }

    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> SignalResult<bool> {
        // Phones accept a contact's new identity and mention it in the chat.
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        Ok(self.known.get(address).copied())
    }
}

struct OneTimeStore(Arc<PhoneKeys>);

#[async_trait]
impl PreKeyStore for OneTimeStore {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        self.0
            .one_time(id)
            .ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, _id: PreKeyId, _record: &PreKeyRecord) -> SignalResult<()> {
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> SignalResult<()> {
        self.0.remove_one_time_key(id);
        Ok(())
    }
}

struct SignedStore(Arc<PhoneKeys>);

#[async_trait]
impl SignedPreKeyStore for SignedStore {
    async fn get_signed_pre_key(&self, _id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        Ok(self.0.signed())
    }

    async fn save_signed_pre_key(
        &mut self,
        _id: SignedPreKeyId,
        _record: &SignedPreKeyRecord,
    ) -> SignalResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::certs::raw;

    fn phone(seed: u64) -> (Arc<PhoneKeys>, Signal) {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys = Arc::new(PhoneKeys::generate(1_800_000_000, &mut rng).unwrap());
        let signal = Signal::new(&keys, rng);
        (keys, signal)
    }

    fn address(pn: &str) -> Address {
        Address {
            pn: pn.into(),
            device: 0,
        }
    }

    fn bundle(keys: &PhoneKeys) -> Bundle {
        let mut rng = StdRng::seed_from_u64(99);
        Bundle {
            registration: keys.registration.to_be_bytes().to_vec(),
            identity: raw(&keys.identity).to_vec(),
            signed_key: keys.published(),
            one_time: Some(keys.make_one_time_key(&mut rng)),
            identity_proof: Vec::new(),
        }
    }

    #[test]
    fn two_phones_understand_each_other_and_notice_a_repeat() {
        let ((_, mut ada), (bob_keys, mut bob)) = (phone(1), phone(2));
        let (to_ada, to_bob) = (address("1"), address("2"));
        ada.start(&to_bob, &bundle(&bob_keys)).unwrap();
        let first = ada.seal(&to_bob, b"hello").unwrap();
        assert_eq!(first.kind, "pkmsg");
        assert_eq!(bob.open(&to_ada, "pkmsg", &first.bytes).unwrap(), b"hello");
        let reply = bob.seal(&to_ada, b"hello back").unwrap();
        assert_eq!(reply.kind, "msg");
        assert_eq!(
            ada.open(&to_bob, "msg", &reply.bytes).unwrap(),
            b"hello back"
        );
        assert!(matches!(
            ada.open(&to_bob, "msg", &reply.bytes),
            Err(DecryptError::Duplicate)
        ));
    }

    #[test]
    fn with_a_broken_code_nothing_opens_and_the_session_goes_on() {
        let ((_, mut ada), (bob_keys, mut bob)) = (phone(1), phone(2));
        let (to_ada, to_bob) = (address("1"), address("2"));
        ada.start(&to_bob, &bundle(&bob_keys)).unwrap();
        let mut first = ada.seal(&to_bob, b"broken").unwrap();
        first.break_code();
        assert!(matches!(
            bob.open(&to_ada, first.kind, &first.bytes),
            Err(DecryptError::Broken(_))
        ));
        let next = ada.seal(&to_bob, b"whole").unwrap();
        assert_eq!(bob.open(&to_ada, next.kind, &next.bytes).unwrap(), b"whole");
    }

    #[test]
    fn a_session_can_be_started_again() {
        let ((_, mut ada), (bob_keys, mut bob)) = (phone(1), phone(2));
        let (to_ada, to_bob) = (address("1"), address("2"));
        for text in [&b"one"[..], b"two"] {
            ada.start(&to_bob, &bundle(&bob_keys)).unwrap();
            let sealed = ada.seal(&to_bob, text).unwrap();
            assert_eq!(bob.open(&to_ada, sealed.kind, &sealed.bytes).unwrap(), text);
            ada.forget(&to_bob);
            assert!(!ada.has_session(&to_bob));
        }
    }
}

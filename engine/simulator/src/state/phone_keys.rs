//! A scripted phone's keys, and its signatures over devices and lists of devices.

use std::collections::HashMap;

use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;
use wacore_libsignal::crypto::hmac_sha256;
use wacore_libsignal::protocol::{
    GenericSignedPreKey, KeyPair, PreKeyId, PreKeyRecord, PublicKey, SignedPreKeyId,
    SignedPreKeyRecord, Timestamp,
};
use waproto::buffa::Message;
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVKeyIndexList, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC,
    ADVSignedKeyIndexList,
};

use super::device::SignedKey;
use crate::certs::raw;

/// Prefix of an account's signature over a device (WhatsApp's ADV).
const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
/// Prefix of a device's signature over its account.
const DEVICE_SIGNATURE: [u8; 2] = [6, 1];
/// Prefix of an account's signature over its list of devices.
const LIST_SIGNATURE: [u8; 2] = [6, 2];

/// The identity, the signed pre-key and the one-time keys of a phone.
pub(crate) struct PhoneKeys {
    pub(crate) identity: KeyPair,
    pub(crate) registration: u32,
    /// Identifies this generation of the account's devices in its signed lists.
    raw_id: u32,
    signed: SignedPreKeyRecord,
    published: SignedKey,
    one_time: Mutex<OneTimeKeys>,
}

#[derive(Default)]
struct OneTimeKeys {
    last: u32,
    keys: HashMap<u32, KeyPair>,
}

/// The most one-time keys kept. The oldest unused one is dropped first.
const ONE_TIME_KEYS: u32 = 4096;

impl PhoneKeys {
    /// Generates new keys.
    pub(crate) fn generate(now: u64, rng: &mut StdRng) -> anyhow::Result<Self> {
        let identity = KeyPair::generate(rng);
        let signed_pair = KeyPair::generate(rng);
        let signature = identity.calculate_signature(&signed_pair.public_key.serialize(), rng)?;
        let time = Timestamp::from_epoch_millis(now * 1000);
        Ok(Self {
            published: SignedKey {
                id: vec![0, 0, 1],
                value: raw(&signed_pair).to_vec(),
                signature: signature.to_vec(),
            },
            signed: SignedPreKeyRecord::new(
                SignedPreKeyId::from(1),
                time,
                &signed_pair,
                &signature,
            ),
            registration: rng.random_range(1..0x3fff),
            raw_id: rng.random(),
            one_time: Mutex::default(),
            identity,
        })
    }

    /// Returns the public signed pre-key.
    pub(crate) fn published(&self) -> SignedKey {
        self.published.clone()
    }

    /// Returns the signed pre-key with its private half.
    pub(crate) fn signed(&self) -> SignedPreKeyRecord {
        self.signed.clone()
    }

    /// Generates a one-time pre-key. Returns its id (3 bytes, big endian) and public key.
    pub(crate) fn make_one_time_key(&self, rng: &mut StdRng) -> (Vec<u8>, Vec<u8>) {
        let pair = KeyPair::generate(rng);
        let public = raw(&pair).to_vec();
        let mut one_time = self.one_time.lock();
        one_time.last = one_time.last % 0x00ff_fffe + 1;
        let id = one_time.last;
        one_time.keys.insert(id, pair);
        one_time.keys.remove(&id.wrapping_sub(ONE_TIME_KEYS));
        (id.to_be_bytes()[1..].to_vec(), public)
    }

    /// Returns a one-time pre-key that was published and not used yet.
    pub(crate) fn one_time(&self, id: PreKeyId) -> Option<PreKeyRecord> {
        let one_time = self.one_time.lock();
        let pair = one_time.keys.get(&u32::from(id))?;
        Some(PreKeyRecord::new(id, pair))
    }

    /// Removes a used one-time pre-key.
    pub(crate) fn remove_one_time_key(&self, id: PreKeyId) {
        let mut one_time = self.one_time.lock();
        one_time.keys.remove(&u32::from(id));
    }

    /// Signs a device. Returns the container for `pair-success` and the signed identity inside it.
    pub(crate) fn sign_device(
        &self,
        device_identity: &[u8; 32],
        key_index: u32,
        adv_secret: &[u8; 32],
        now: u64,
        rng: &mut StdRng,
    ) -> anyhow::Result<(Vec<u8>, ADVSignedDeviceIdentity)> {
        let details = ADVDeviceIdentity {
            raw_id: Some(self.raw_id),
            timestamp: Some(now),
            key_index: Some(key_index),
            ..Default::default()
        }
        .encode_to_vec();
        let message = [&ACCOUNT_SIGNATURE[..], &details, device_identity].concat();
        let signature = self.identity.calculate_signature(&message, rng)?;
        let signed = ADVSignedDeviceIdentity {
            details: Some(details),
            account_signature_key: Some(raw(&self.identity).to_vec()),
            account_signature: Some(signature.to_vec()),
            ..Default::default()
        };
        let inner = signed.encode_to_vec();
        let container = ADVSignedDeviceIdentityHMAC {
            hmac: Some(hmac_sha256(adv_secret, &inner).to_vec()),
            details: Some(inner),
            ..Default::default()
        };
        Ok((container.encode_to_vec(), signed))
    }

    /// Checks a device's answer to [`Self::sign_device`]. Returns the identity proof for other
    /// devices. It contains the account's key even if the device left it out.
    pub(crate) fn verify_device(
        &self,
        offered: &ADVSignedDeviceIdentity,
        device_identity: &[u8; 32],
        answer: &[u8],
    ) -> Option<Vec<u8>> {
        let answer = ADVSignedDeviceIdentity::decode_from_slice(answer).ok()?;
        let details = offered.details.as_deref()?;
        let account = raw(&self.identity);
        let message = [&DEVICE_SIGNATURE[..], details, device_identity, &account].concat();
        let device = PublicKey::from_djb_public_key_bytes(device_identity).ok()?;
        let signature = answer.device_signature?;
        device.verify_signature(&message, &signature).then(|| {
            let mut proof = offered.clone();
            proof.device_signature = Some(signature);
            proof.encode_to_vec()
        })
    }

    /// Returns an encoded `ADVSignedKeyIndexList` over these devices.
    pub(crate) fn sign_index_list(&self, now: u64, valid: Vec<u32>, rng: &mut StdRng) -> Vec<u8> {
        let details = ADVKeyIndexList {
            raw_id: Some(self.raw_id),
            timestamp: Some(now),
            current_index: valid.iter().copied().max(),
            valid_indexes: valid,
            ..Default::default()
        }
        .encode_to_vec();
        let message = [&LIST_SIGNATURE[..], &details].concat();
        let signature = self.identity.calculate_signature(&message, rng);
        ADVSignedKeyIndexList {
            details: Some(details),
            account_signature: signature.ok().map(|bytes| bytes.to_vec()),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use wacore::adv::{AdvValidation, validate_adv_with_identity_key};

    use super::*;

    fn device_answer(
        offered: &ADVSignedDeviceIdentity,
        device: &KeyPair,
        rng: &mut StdRng,
    ) -> Vec<u8> {
        let details = offered.details.clone().unwrap();
        let account = offered.account_signature_key.clone().unwrap();
        let message = [&DEVICE_SIGNATURE[..], &details, &raw(device), &account].concat();
        ADVSignedDeviceIdentity {
            device_signature: Some(device.calculate_signature(&message, rng).unwrap().to_vec()),
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn a_device_the_phone_vouched_for_proves_itself_to_others() {
        let mut rng = StdRng::seed_from_u64(3);
        let phone = PhoneKeys::generate(1_800_000_000, &mut rng).unwrap();
        let device = KeyPair::generate(&mut rng);
        let (_, offered) = phone
            .sign_device(&raw(&device), 1, &[5; 32], 1, &mut rng)
            .unwrap();
        let answer = device_answer(&offered, &device, &mut rng);
        let proof = phone
            .verify_device(&offered, &raw(&device), &answer)
            .unwrap();
        assert_eq!(
            validate_adv_with_identity_key(&proof, &raw(&device), None),
            AdvValidation::Valid
        );
    }

    #[test]
    fn a_strangers_signature_is_not_accepted() {
        let mut rng = StdRng::seed_from_u64(4);
        let phone = PhoneKeys::generate(1_800_000_000, &mut rng).unwrap();
        let (device, stranger) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let (_, offered) = phone
            .sign_device(&raw(&device), 1, &[5; 32], 1, &mut rng)
            .unwrap();
        let answer = device_answer(&offered, &stranger, &mut rng);
        assert!(
            phone
                .verify_device(&offered, &raw(&device), &answer)
                .is_none()
        );
    }
}

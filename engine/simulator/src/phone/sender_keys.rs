//! A scripted phone's sender keys: its own key for each group, and the keys that others gave it.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use rand::rngs::StdRng;
use wacore_libsignal::protocol::{
    SenderKeyDistributionMessage, SenderKeyRecord, SenderKeyStore, SignalProtocolError,
    create_sender_key_distribution_message, group_decrypt, group_encrypt,
    process_sender_key_distribution_message,
};
use wacore_libsignal::store::sender_key_name::SenderKeyName;

use super::signal::{DecryptError, SignalResult, name, now};
use crate::state::address::Address;

#[derive(Default)]
struct Records(HashMap<String, SenderKeyRecord>);

#[async_trait]
impl SenderKeyStore for Records {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> SignalResult<()> {
        self.0.insert(key(name), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> SignalResult<Option<SenderKeyRecord>> {
        Ok(self.0.get(&key(name)).cloned())
    }
}

fn key(name: &SenderKeyName) -> String {
    format!("{}:{}", name.group_id(), name.sender_id())
}

/// Returns the name of a device's chain in a group. It is opaque, because the library logs names.
fn chain(group: &str, sender: &Address) -> SenderKeyName {
    SenderKeyName::from_parts(group, &name(sender).to_string())
}

/// All sender keys of one phone.
pub(crate) struct SenderKeys {
    own: Address,
    records: Records,
    /// The devices that have the phone's own key of a group.
    given: HashMap<String, HashSet<Address>>,
    rng: StdRng,
}

impl SenderKeys {
    /// Returns an empty set of keys.
    pub(crate) fn new(own: Address, rng: StdRng) -> Self {
        Self {
            own,
            records: Records::default(),
            given: HashMap::new(),
            rng,
        }
    }

    /// Returns the devices that do not have the phone's own key of the group. If a device outside
    /// this list has it, the key is replaced and no device has the new one.
    pub(crate) fn lacking(&mut self, group: &str, devices: &[Address]) -> Vec<Address> {
        let given = self.given.entry(group.to_owned()).or_default();
        if given.iter().any(|device| !devices.contains(device)) {
            given.clear();
            let chain = chain(group, &self.own);
            self.records.0.remove(&key(&chain));
        }
        let given = self.given.get(group);
        let lacking = devices.iter();
        lacking
            .filter(|device| given.is_none_or(|given| !given.contains(*device)))
            .cloned()
            .collect()
    }

    /// Records whether a device has the phone's own key. A device that asks again does not have it.
    pub(crate) fn mark(&mut self, group: &str, device: &Address, has: bool) {
        let given = self.given.entry(group.to_owned()).or_default();
        if has {
            given.insert(device.clone());
        } else {
            given.remove(device);
        }
    }

    /// Returns the phone's own key of the group, for distribution.
    pub(crate) fn share(&mut self, group: &str) -> anyhow::Result<Vec<u8>> {
        let chain = chain(group, &self.own);
        let message = now(create_sender_key_distribution_message(
            &chain,
            &mut self.records,
            &mut self.rng,
        ))?;
        Ok(message.serialized().to_vec())
    }

    /// Encrypts for every device that has the phone's own key.
    pub(crate) fn seal(&mut self, group: &str, plain: &[u8]) -> anyhow::Result<Vec<u8>> {
        let chain = chain(group, &self.own);
        let sealed = now(group_encrypt(
            &mut self.records,
            &chain,
            plain,
            &mut self.rng,
        ))?;
        Ok(sealed.serialized().to_vec())
    }

    /// Stores the key of another device.
    pub(crate) fn store_key(
        &mut self,
        group: &str,
        of: &Address,
        shared: &[u8],
    ) -> anyhow::Result<()> {
        let message = SenderKeyDistributionMessage::try_from(shared)?;
        let chain = chain(group, of);
        now(process_sender_key_distribution_message(
            &chain,
            &message,
            &mut self.records,
        ))?;
        Ok(())
    }

    /// Decrypts what a device encrypted for the group.
    pub(crate) fn open(
        &mut self,
        group: &str,
        of: &Address,
        sealed: &[u8],
    ) -> Result<Vec<u8>, DecryptError> {
        let chain = chain(group, of);
        match now(group_decrypt(sealed, &mut self.records, &chain)) {
            Ok(plain) => Ok(plain),
            Err(SignalProtocolError::DuplicatedMessage(..)) => Err(DecryptError::Duplicate),
            Err(error) => Err(anyhow::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn address(pn: &str, device: u16) -> Address {
        Address {
            pn: pn.into(),
            device,
        }
    }

    fn keys(pn: &str) -> SenderKeys {
        SenderKeys::new(address(pn, 0), StdRng::seed_from_u64(5))
    }

    #[test]
    fn who_was_given_the_key_opens_and_notices_a_repeat() {
        let (mut ada, mut bob) = (keys("1"), keys("2"));
        let shared = ada.share("g").unwrap();
        let sealed = ada.seal("g", b"hello all").unwrap();
        let from = address("1", 0);
        assert!(matches!(
            bob.open("g", &from, &sealed),
            Err(DecryptError::Broken(_))
        ));
        bob.store_key("g", &from, &shared).unwrap();
        assert_eq!(bob.open("g", &from, &sealed).unwrap(), b"hello all");
        assert!(matches!(
            bob.open("g", &from, &sealed),
            Err(DecryptError::Duplicate)
        ));
    }

    #[test]
    fn a_device_that_left_gets_nothing_sealed_later() {
        let mut ada = keys("1");
        let (bob, eve) = (address("2", 0), address("3", 0));
        let all = [bob.clone(), eve.clone()];
        assert_eq!(ada.lacking("g", &all), all);
        let mut left = keys("3");
        left.store_key("g", &address("1", 0), &ada.share("g").unwrap())
            .unwrap();
        for device in &all {
            ada.mark("g", device, true);
        }
        assert!(ada.lacking("g", &all).is_empty());
        assert_eq!(ada.lacking("g", &all[..1]), [bob]);
        ada.share("g").unwrap();
        let sealed = ada.seal("g", b"without you").unwrap();
        assert!(left.open("g", &address("1", 0), &sealed).is_err());
    }
}

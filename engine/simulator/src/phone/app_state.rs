//! The app state that a phone begins with: the key of the settings that the account's devices share,
//! and the salt of its tokens for first contacts.

use std::sync::Arc;

use rand::RngExt;
use wacore::appstate::encode::encode_record;
use wacore::appstate::hash::{HashState, generate_patch_mac};
use wacore::appstate::keys::expand_app_state_keys;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::sync_action_value::NctSaltSyncAction;
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{KeyId, SyncActionValue, SyncdMutation, SyncdPatch};

use super::Phone;
use crate::stanza::{el, notification};

/// The collection of the salt.
const COLLECTION: &str = "regular_high";
/// The place of the salt in it.
const INDEX: &[u8] = br#"["nct_salt_sync"]"#;

/// The key of the account's app state.
#[derive(Clone, Copy)]
pub(super) struct AppStateKey {
    pub(super) id: [u8; 6],
    pub(super) data: [u8; 32],
    pub(super) made_ms: i64,
}

impl Phone {
    /// Returns the key of the account's app state, and whether it is new.
    pub(super) fn app_state_key(&mut self) -> (AppStateKey, bool) {
        if let Some(key) = self.app_state_key {
            return (key, false);
        }
        let (id, data) = (self.rng.random(), self.rng.random());
        let made_ms = i64::try_from(self.world.clock.millis()).unwrap_or(i64::MAX);
        let key = AppStateKey { id, data, made_ms };
        self.app_state_key = Some(key);
        (key, true)
    }

    /// Stores the account's salt in its app state, and tells the linked devices.
    pub(super) fn publish_salt(&mut self, key: &AppStateKey) {
        let now = self.world.clock.seconds();
        let iv: [u8; 16] = self.rng.random();
        let mut state = self.world.state();
        let id = state.fresh_id();
        let Some(account) = state.accounts.get_mut(&self.own.pn) else {
            return;
        };
        let patch = patch(key, &account.token_salt, iv);
        let collection = account.app_state.entry(COLLECTION.to_owned()).or_default();
        collection.push(&patch);
        let change = el("collection")
            .attr("name", COLLECTION)
            .attr("version", collection.version);
        let node = notification("server_sync", None, id, now).children([change.build()]);
        account.send_to_devices(&Arc::new(node.build()), Some(0), true);
    }
}

/// Returns the first patch of the collection.
fn patch(key: &AppStateKey, salt: &[u8], iv: [u8; 16]) -> Vec<u8> {
    let keys = expand_app_state_keys(&key.data);
    let value = SyncActionValue {
        timestamp: Some(key.made_ms),
        nct_salt_sync_action: MessageField::some(NctSaltSyncAction {
            salt: Some(salt.to_vec()),
        }),
        ..Default::default()
    };
    let set = SyncdOperation::SET;
    let (mutation, _) = encode_record(set, INDEX, &value, &keys, &key.id, &iv, 1);
    let mutations: Vec<SyncdMutation> = vec![mutation];
    let mut hashes = HashState::default();
    let _ = hashes.update_hash(&mutations, |_, _| Ok(None));
    hashes.version = 1;
    let mut patch = SyncdPatch {
        snapshot_mac: Some(hashes.generate_snapshot_mac(COLLECTION, &keys.snapshot_mac)),
        key_id: MessageField::some(KeyId {
            id: Some(key.id.to_vec()),
        }),
        mutations,
        ..Default::default()
    };
    let mac = generate_patch_mac(&patch, COLLECTION, &keys.patch_mac, 1);
    patch.patch_mac = Some(mac);
    patch.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use wacore::appstate::process_patch;

    use super::*;
    use crate::state::account::Collection;

    #[test]
    fn a_device_with_the_key_reads_the_salt() {
        let key = AppStateKey {
            id: [1; 6],
            data: [2; 32],
            made_ms: 3,
        };
        let mut collection = Collection::default();
        collection.push(&patch(&key, &[7; 32], [4; 16]));
        let (version, bytes) = &collection.patches[0];
        assert_eq!(*version, 1);
        let patch = SyncdPatch::decode_from_slice(bytes).unwrap();
        let keys = Arc::new(expand_app_state_keys(&key.data));
        let read = process_patch(
            &patch,
            &mut HashState::default(),
            |_| Ok(Arc::clone(&keys)),
            |_| Ok(None),
            true,
            COLLECTION,
        )
        .unwrap();
        let mutation = &read.mutations[0];
        assert_eq!(mutation.index, ["nct_salt_sync"]);
        let value = mutation.action_value.as_ref().unwrap();
        let salt = value.nct_salt_sync_action.as_option().unwrap();
        assert_eq!(salt.salt.as_deref(), Some(&[7; 32][..]));
    }
}

//! Counts the round trips of a batch between a store and its PostgreSQL: as many as for one entry,
//! plus the preparation of its statement.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::TaskTracker;
use wacore::{
    appstate::processor::AppStateMutationMAC,
    store::traits::{
        AppSyncStore as _, DeviceInfo, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
        MsgSecretStore as _, PendingInboundKey, PendingInboundRow, ProtocolStore as _,
        SignalStore as _,
    },
};

use super::Linked;
use crate::{
    store::{
        Dialect, Store,
        round_trip_tests::{Turns, between},
    },
    testing::{Fresh, stores},
};

const COLLECTION: &str = "regular";
const GROUP: &str = "1@g.us";
const CHAT: &str = "491@s.whatsapp.net";

fn name(n: usize) -> Arc<str> {
    format!("{n}@lid").into()
}

fn bytes(n: usize) -> Bytes {
    Bytes::from(format!("{n:032}"))
}

fn key(n: usize) -> [u8; 32] {
    bytes(n)[..].try_into().unwrap()
}

fn mac(n: usize) -> AppStateMutationMAC {
    AppStateMutationMAC {
        index_mac: key(n).to_vec(),
        value_mac: key(n).to_vec(),
    }
}

fn mapping(n: usize) -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: n.to_string(),
        phone_number: format!("49{n}"),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".to_owned(),
    }
}

fn devices(n: usize) -> DeviceListRecord {
    DeviceListRecord {
        user: n.to_string(),
        devices: vec![DeviceInfo::new(3, None)],
        timestamp: 1,
        phash: None,
        raw_id: None,
    }
}

fn secret(n: usize) -> MsgSecretEntry {
    MsgSecretEntry {
        chat: CHAT.into(),
        sender: CHAT.into(),
        msg_id: n.to_string().into(),
        secret: key(n),
        expires_at: 0,
        message_ts: 1,
    }
}

/// Returns the round trips of each method that takes many entries, for this number of entries.
async fn turns_with(
    entries: usize,
    linked: &Linked,
    store: &Store,
    turns: &Turns,
) -> Vec<(&'static str, u64)> {
    let keys = &*linked.keys;
    let each = || 1..=entries;
    let names: Vec<String> = each().map(|n| name(n).to_string()).collect();
    let ids: Vec<u32> = (1..).take(entries).collect();
    let pairs: Vec<_> = each().map(|n| (name(n), bytes(n))).collect();
    let identities: Vec<_> = each().map(|n| (name(n), key(n))).collect();
    let prekeys: Vec<_> = ids.iter().copied().zip(each().map(bytes)).collect();
    let macs: Vec<_> = each().map(mac).collect();
    let indexes: Vec<_> = each().map(key).collect();
    let gone: Vec<_> = each().map(|n| key(n).to_vec()).collect();
    let status: Vec<_> = names.iter().map(|name| (&**name, true)).collect();
    let rows: Vec<_> = names
        .iter()
        .map(|id| PendingInboundRow {
            chat: CHAT,
            sender: CHAT,
            id,
            message: b"text",
        })
        .collect();
    let keys_of_rows: Vec<_> = names
        .iter()
        .map(|id| PendingInboundKey {
            chat: CHAT,
            sender: CHAT,
            id,
        })
        .collect();
    let devices_of_group: Vec<_> = names.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    macro_rules! count {
        ($($method:ident($($argument:expr),*);)+) => {
            $(let work = async { assert!(keys.$method($($argument),*).await.is_ok()) };
            all.push((stringify!($method), turns.of_tenants(store, work).await));)+
        };
    }
    count!(
        put_identities_batch(&identities);
        put_sessions_batch(&pairs);
        store_prekeys_batch(&prekeys, false);
        load_prekeys_batch(&ids);
        mark_prekeys_uploaded(&ids);
        put_sender_keys_batch(&pairs);
        put_mutation_macs(COLLECTION, 1, &macs);
        get_mutation_macs(COLLECTION, &indexes);
        delete_mutation_macs(COLLECTION, &gone);
        set_sender_key_status(GROUP, &status);
        delete_sender_key_device_rows(&devices_of_group);
        put_lid_mappings(&each().map(mapping).collect::<Vec<_>>());
        update_device_lists(each().map(devices).collect());
        store_pending_inbound_batch(&rows);
        delete_pending_inbound_batch(&keys_of_rows);
        put_msg_secrets(each().map(secret).collect());
        has_signal_state_for_user("1");
    );
    all
}

#[tokio::test]
async fn a_batch_is_one_statement() {
    let Some(fresh) = stores().await.pop() else {
        return;
    };
    if fresh.store.dialect() == Dialect::Sqlite {
        return;
    }
    let turns = Turns::default();
    let url = between(&fresh.url, turns.clone(), TaskTracker::new()).await;
    // One connection for tenants, one for the system.
    let store = Store::open_with(&url, 2).await.unwrap();
    let between = Fresh {
        store: store.clone(),
        clock: fresh.clock.clone(),
        url,
        folder: None,
    };
    let linked = Linked::on(&between).await;
    // The first run prepares the statements for one entry.
    turns_with(1, &linked, &store, &turns).await;
    let one = turns_with(1, &linked, &store, &turns).await;
    let many = turns_with(50, &linked, &store, &turns).await;
    for ((method, one), (_, many)) in one.into_iter().zip(many) {
        // One round trip more, for a statement whose length is not kept prepared.
        assert!(
            many <= one + 1,
            "{method} takes {one} turns, with fifty entries {many}"
        );
    }
    store.close().await;
    fresh.close().await;
}

//! The same random operations give the same results on this store and on the library's in-memory
//! store.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use wacore::{
    appstate::processor::AppStateMutationMAC,
    store::{
        InMemoryBackend,
        traits::{
            AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry,
            MsgSecretEntry, PendingInboundKey, PendingInboundRow, TcTokenEntry,
        },
    },
};

use super::Linked;
use crate::testing::stores;

const STEPS: u64 = 1500;

#[tokio::test]
async fn random_operations_answer_as_the_librarys_own_store() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        // Another session under the same vault must never be visible.
        let neighbour = Linked::with(&fresh, linked.vault.clone()).await;
        let reference = InMemoryBackend::new();
        for seed in 0..STEPS {
            let ours = step(&*linked.keys, seed).await;
            let theirs = step(&reference, seed).await;
            assert_eq!(ours, theirs, "step {seed}");
            if seed % 10 == 0 {
                step(&*neighbour.keys, seed.wrapping_mul(31)).await;
            }
        }
        fresh.close().await;
    }
}

/// Runs one operation that the seed chooses. There are few names, so that operations meet.
async fn step(backend: &dyn Backend, seed: u64) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    match rng.random_range(0..6) {
        0 | 1 => signal(backend, &mut rng).await,
        2 => appsync(backend, &mut rng).await,
        3 => groups(backend, &mut rng).await,
        4 => people(backend, &mut rng).await,
        _ => messages(backend, &mut rng).await,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a hundred calls pass on their results"
)]
fn show<T: Debug, E: Debug>(what: &str, answer: Result<T, E>) -> String {
    format!("{what}: {answer:?}")
}

fn show_sorted<T: Debug, E: Debug>(what: &str, answer: Result<Vec<T>, E>) -> String {
    let mut lines: Vec<_> = answer
        .unwrap()
        .iter()
        .map(|one| format!("{one:?}"))
        .collect();
    lines.sort();
    format!("{what}: {lines:?}")
}

fn pick(rng: &mut StdRng, from: &[&'static str]) -> &'static str {
    from.choose(rng)
        .expect("a list to choose from is never empty")
}

fn address(rng: &mut StdRng) -> &'static str {
    const ADDRESSES: [&str; 6] = [
        "491@s.whatsapp.net",
        "491:3@s.whatsapp.net",
        "4915@s.whatsapp.net",
        "77@lid",
        "77:12@lid",
        "770@lid",
    ];
    pick(rng, &ADDRESSES)
}

fn value(rng: &mut StdRng) -> Vec<u8> {
    let length = rng.random_range(0..40);
    (0..length).map(|_| rng.random()).collect()
}

fn numbers(rng: &mut StdRng) -> Vec<u32> {
    (0..rng.random_range(0..6))
        .map(|_| rng.random_range(1..20))
        .collect()
}

async fn signal(backend: &dyn Backend, rng: &mut StdRng) -> String {
    let at = address(rng);
    let id = rng.random_range(1..20);
    match rng.random_range(0..27) {
        24 => show(
            "save_base",
            backend
                .save_base_key(at, "3EB01", &[rng.random_range(0..2)])
                .await,
        ),
        25 => show(
            "same_base",
            backend
                .has_same_base_key(at, "3EB01", &[rng.random_range(0..2)])
                .await,
        ),
        26 => show("delete_base", backend.delete_base_key(at, "3EB01").await),
        0 => show("put_identity", backend.put_identity(at, rng.random()).await),
        1 => {
            let batch: Vec<_> = (0..3)
                .map(|_| (Arc::from(address(rng)), rng.random()))
                .collect();
            show("put_identities", backend.put_identities_batch(&batch).await)
        }
        2 => show("load_identity", backend.load_identity(at).await),
        3 => show("delete_identity", backend.delete_identity(at).await),
        4 => show("put_session", backend.put_session(at, &value(rng)).await),
        5 => {
            let batch: Vec<_> = (0..4)
                .map(|_| (Arc::from(address(rng)), Bytes::from(value(rng))))
                .collect();
            show("put_sessions", backend.put_sessions_batch(&batch).await)
        }
        6 => show("get_session", backend.get_session(at).await),
        7 => show("has_session", backend.has_session(at).await),
        8 => show("delete_session", backend.delete_session(at).await),
        9 => {
            let user = pick(rng, &["491", "49", "4915", "77", "770", "7", ""]);
            show("has_state", backend.has_signal_state_for_user(user).await)
        }
        10 => show(
            "store_prekey",
            backend.store_prekey(id, &value(rng), rng.random()).await,
        ),
        11 => {
            let batch: Vec<_> = numbers(rng)
                .into_iter()
                .map(|id| (id, Bytes::from(value(rng))))
                .collect();
            show(
                "store_prekeys",
                backend.store_prekeys_batch(&batch, rng.random()).await,
            )
        }
        12 => show("load_prekey", backend.load_prekey(id).await),
        13 => show(
            "load_prekeys",
            backend.load_prekeys_batch(&numbers(rng)).await,
        ),
        14 => show(
            "mark_uploaded",
            backend.mark_prekeys_uploaded(&numbers(rng)).await,
        ),
        15 => show("remove_prekey", backend.remove_prekey(id).await),
        16 => show("max_prekey", backend.get_max_prekey_id().await),
        17 => show(
            "store_signed",
            backend.store_signed_prekey(id, &value(rng)).await,
        ),
        18 => show("load_signed", backend.load_signed_prekey(id).await),
        19 => show_sorted("all_signed", backend.load_all_signed_prekeys().await),
        20 => show("remove_signed", backend.remove_signed_prekey(id).await),
        21 => {
            let batch: Vec<_> = (0..3)
                .map(|_| (Arc::from(address(rng)), Bytes::from(value(rng))))
                .collect();
            show(
                "put_sender_keys",
                backend.put_sender_keys_batch(&batch).await,
            )
        }
        22 => show("get_sender_key", backend.get_sender_key(at).await),
        _ => show("delete_sender_key", backend.delete_sender_key(at).await),
    }
}

async fn appsync(backend: &dyn Backend, rng: &mut StdRng) -> String {
    let name = pick(rng, &["regular", "critical_block", "regular_low"]);
    let index = |rng: &mut StdRng| [rng.random_range(0..5_u8); 32];
    let key_id = vec![rng.random_range(0..4_u8)];
    match rng.random_range(0..10) {
        0 => {
            let key = AppStateSyncKey {
                key_data: value(rng),
                fingerprint: value(rng),
                timestamp: rng.random(),
            };
            show("set_sync_key", backend.set_sync_key(&key_id, key).await)
        }
        1 => show("get_sync_key", backend.get_sync_key(&key_id).await),
        2 => show("latest", backend.get_latest_sync_key_id().await),
        3 => {
            let mut state = backend.get_version(name).await.unwrap();
            state.version += 1;
            state.hash[5] = rng.random();
            show("set_version", backend.set_version(name, state).await)
        }
        4 => show("get_version", backend.get_version(name).await),
        5 => {
            let macs: Vec<_> = (0..3)
                .map(|_| AppStateMutationMAC {
                    index_mac: index(rng).to_vec(),
                    value_mac: value(rng),
                })
                .collect();
            show("put_macs", backend.put_mutation_macs(name, 1, &macs).await)
        }
        6 => show("get_mac", backend.get_mutation_mac(name, &index(rng)).await),
        7 => {
            let wanted = [index(rng), index(rng), index(rng)];
            let found = backend.get_mutation_macs(name, &wanted).await;
            show_sorted("get_macs", found.map(|found| found.into_iter().collect()))
        }
        8 => {
            let gone = [index(rng).to_vec(), index(rng).to_vec()];
            show(
                "delete_macs",
                backend.delete_mutation_macs(name, &gone).await,
            )
        }
        _ => show("clear_macs", backend.clear_mutation_macs(name).await),
    }
}

async fn groups(backend: &dyn Backend, rng: &mut StdRng) -> String {
    let group = pick(rng, &["1@g.us", "2@g.us", "3@g.us"]);
    let user = pick(rng, &["491", "4915", "77"]);
    match rng.random_range(0..12) {
        0 | 1 => {
            let entries = [(address(rng), rng.random()), (address(rng), rng.random())];
            show(
                "set_status",
                backend.set_sender_key_status(group, &entries).await,
            )
        }
        2 | 3 => show_sorted("group_devices", backend.get_sender_key_devices(group).await),
        4 => show(
            "clear_devices",
            backend.clear_sender_key_devices(group).await,
        ),
        5 => {
            let gone = [address(rng), address(rng)];
            show(
                "delete_rows",
                backend.delete_sender_key_device_rows(&gone).await,
            )
        }
        6 if rng.random_ratio(1, 4) => {
            show("clear_all", backend.clear_all_sender_key_devices().await)
        }
        6 => show("no_rows", backend.delete_sender_key_device_rows(&[]).await),
        7 => {
            let record = |user: &str, rng: &mut StdRng| DeviceListRecord {
                user: user.to_owned(),
                devices: vec![DeviceInfo::new(rng.random_range(0..9), Some(3))],
                timestamp: rng.random(),
                phash: Some("2:abc".to_owned()),
                raw_id: Some(rng.random()),
            };
            let lists = vec![record(user, rng), record("491", rng)];
            show("update_lists", backend.update_device_lists(lists).await)
        }
        8 => show("get_devices", backend.get_devices(user).await),
        9 => show("delete_devices", backend.delete_devices(user).await),
        10 => show(
            "put_group",
            backend.put_group_metadata(group, &value(rng)).await,
        ),
        _ if rng.random_ratio(1, 3) => {
            show("delete_group", backend.delete_group_metadata(group).await)
        }
        _ => show("get_group", backend.get_group_metadata(group).await),
    }
}

async fn people(backend: &dyn Backend, rng: &mut StdRng) -> String {
    // Each LID has its own phone numbers: when they are shared, the in-memory store forgets too
    // much.
    let (lid, phones) = *[
        ("77", ["491", "492"]),
        ("78", ["493", "494"]),
        ("79", ["495", "496"]),
    ]
    .choose(rng)
    .expect("three people");
    let phone = pick(rng, &phones);
    let mapping = |rng: &mut StdRng| LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone.to_owned(),
        created_at: rng.random_range(0..99),
        updated_at: rng.random_range(0..99),
        learning_source: "usync".to_owned(),
    };
    let jid = pick(rng, &["77@lid", "78@lid", "79@lid"]);
    let at = rng.random_range(0..20);
    match rng.random_range(0..13) {
        0 => show("put_lid", backend.put_lid_mapping(&mapping(rng)).await),
        1 => {
            let batch = [mapping(rng), mapping(rng)];
            show("put_lids", backend.put_lid_mappings(&batch).await)
        }
        2 => show("by_lid", backend.get_lid_mapping(lid).await),
        3 => show("by_phone", backend.get_pn_mapping(phone).await),
        4 => show_sorted("all_lids", backend.get_all_lid_mappings().await),
        5 => {
            let entry = TcTokenEntry {
                token: value(rng),
                token_timestamp: at,
                sender_timestamp: rng.random::<bool>().then_some(at),
            };
            show("put_token", backend.put_tc_token(jid, &entry).await)
        }
        6 => show(
            "touch",
            backend.touch_tc_token_sender_timestamp(jid, at).await,
        ),
        7 => show(
            "receive",
            backend.store_received_tc_token(jid, &value(rng), at).await,
        ),
        8 | 9 => show("get_token", backend.get_tc_token(jid).await),
        10 => show("delete_token", backend.delete_tc_token(jid).await),
        11 => show_sorted("token_names", backend.get_all_tc_token_jids().await),
        _ => show(
            "expire",
            backend
                .delete_expired_tc_tokens(at, rng.random_range(0..20))
                .await,
        ),
    }
}

async fn messages(backend: &dyn Backend, rng: &mut StdRng) -> String {
    let chat = pick(rng, &["491@s.whatsapp.net", "1@g.us"]);
    let sender = pick(rng, &["491@s.whatsapp.net", "77@lid"]);
    let id = pick(rng, &["3EB01", "3EB02", "3EB03"]);
    // Both stores use the current time, so only a distant past or future gives the same result in
    // both.
    let cutoff = if rng.random_ratio(1, 5) { i64::MAX } else { 0 };
    match rng.random_range(0..15) {
        0 => show(
            "store_sent",
            backend.store_sent_message(chat, id, &value(rng)).await,
        ),
        1 => {
            // The library stores again what it takes, and ours is never gone.
            let taken = backend.take_sent_message(chat, id).await;
            if let Ok(Some(message)) = &taken {
                backend.store_sent_message(chat, id, message).await.unwrap();
            }
            show("take_sent", taken)
        }
        2 => show(
            "expire_sent",
            backend.delete_expired_sent_messages(cutoff).await,
        ),
        3 => show(
            "store_in",
            backend
                .store_pending_inbound(chat, sender, id, &value(rng))
                .await,
        ),
        4 => {
            let message = value(rng);
            let rows = ["3EB01", "3EB02"].map(|id| PendingInboundRow {
                chat,
                sender,
                id,
                message: &message,
            });
            show(
                "store_ins",
                backend.store_pending_inbound_batch(&rows).await,
            )
        }
        5 => show(
            "get_in",
            backend.get_pending_inbound(chat, sender, id).await,
        ),
        6 => show(
            "delete_in",
            backend.delete_pending_inbound(chat, sender, id).await,
        ),
        7 => {
            let keys = ["3EB01", "3EB03"].map(|id| PendingInboundKey { chat, sender, id });
            show(
                "delete_ins",
                backend.delete_pending_inbound_batch(&keys).await,
            )
        }
        8 => show(
            "expire_in",
            backend.delete_expired_pending_inbound(cutoff).await,
        ),
        9 | 10 => {
            let entry = |rng: &mut StdRng| MsgSecretEntry {
                chat: Arc::from(chat),
                sender: Arc::from(sender),
                msg_id: Arc::from(pick(rng, &["3EB01", "3EB02"])),
                secret: rng.random(),
                expires_at: rng.random_range(0..6),
                message_ts: rng.random_range(0..6),
            };
            let entries = vec![entry(rng), entry(rng), entry(rng)];
            show("put_secrets", backend.put_msg_secrets(entries).await)
        }
        11 => show(
            "put_secret",
            backend
                .put_msg_secret(chat, sender, id, &rng.random())
                .await,
        ),
        12 => show("get_secret", backend.get_msg_secret(chat, sender, id).await),
        13 => show(
            "secret_and_time",
            backend.get_msg_secret_with_ts(chat, sender, id).await,
        ),
        _ => show(
            "expire_secrets",
            backend
                .delete_expired_msg_secrets(rng.random_range(0..6))
                .await,
        ),
    }
}

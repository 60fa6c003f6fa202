//! Values are sealed, bound to their place, and written only under the lease.

use std::sync::Arc;

use bytes::Bytes;
use wacore::{
    appstate::processor::AppStateMutationMAC,
    store::{
        Device,
        error::StoreError,
        traits::{
            AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, DeviceStore as _,
            LidPnMappingEntry, PendingInboundKey, PendingInboundRow, SignalStore as _,
            TcTokenEntry,
        },
    },
};

use super::Linked;
use crate::testing::{Fresh, stores};

const ADDRESS: &str = "4915198765432:3@s.whatsapp.net";
const PHONE: &str = "4915198765432";
const LID: &str = "199887766554433";
const GROUP: &str = "120363998877665544@g.us";
const KEY: [u8; 32] = *b"canary-identity-key-of-32-bytes!";
const TEXT: &[u8] = b"canary text of a message";

/// Makes every possible write, with values that must not be visible. Returns the name and result of
/// each.
#[expect(clippy::too_many_lines, reason = "a list")]
async fn write_everything(keys: &dyn Backend) -> Vec<(&'static str, Result<(), StoreError>)> {
    let address: Arc<str> = Arc::from(ADDRESS);
    let text = Bytes::from_static(TEXT);
    let mapping = LidPnMappingEntry {
        lid: LID.to_owned(),
        phone_number: PHONE.to_owned(),
        created_at: 1,
        updated_at: 1,
        learning_source: "canary-source".to_owned(),
    };
    let list = DeviceListRecord {
        user: PHONE.to_owned(),
        devices: vec![DeviceInfo::new(3, None)],
        timestamp: 1,
        phash: Some("canary-phash".to_owned()),
        raw_id: None,
    };
    let sync_key = AppStateSyncKey {
        key_data: KEY.to_vec(),
        fingerprint: TEXT.to_vec(),
        timestamp: 1,
    };
    let mac = AppStateMutationMAC {
        index_mac: KEY.to_vec(),
        value_mac: TEXT.to_vec(),
    };
    let token = TcTokenEntry {
        token: KEY.to_vec(),
        token_timestamp: 9,
        sender_timestamp: None,
    };
    let mut device = Device::new();
    device.push_name = "canary push name".to_owned();
    let (chat, sender, id) = (GROUP, ADDRESS, "3EB0CANARY");
    let row = PendingInboundRow {
        chat,
        sender,
        id: "3EB0CANARY2",
        message: TEXT,
    };
    let key = PendingInboundKey {
        chat,
        sender,
        id: "none",
    };
    vec![
        ("put_identity", keys.put_identity(ADDRESS, KEY).await),
        (
            "put_identities_batch",
            keys.put_identities_batch(&[(address.clone(), KEY)]).await,
        ),
        ("delete_identity", keys.delete_identity("none").await),
        ("put_session", keys.put_session(ADDRESS, TEXT).await),
        (
            "put_sessions_batch",
            keys.put_sessions_batch(&[(address.clone(), text.clone())])
                .await,
        ),
        ("delete_session", keys.delete_session("none").await),
        ("store_prekey", keys.store_prekey(1, TEXT, false).await),
        (
            "store_prekeys_batch",
            keys.store_prekeys_batch(&[(2, text.clone())], false).await,
        ),
        (
            "mark_prekeys_uploaded",
            keys.mark_prekeys_uploaded(&[1]).await,
        ),
        ("remove_prekey", keys.remove_prekey(99).await),
        (
            "store_signed_prekey",
            keys.store_signed_prekey(1, TEXT).await,
        ),
        ("remove_signed_prekey", keys.remove_signed_prekey(99).await),
        ("put_sender_key", keys.put_sender_key(ADDRESS, TEXT).await),
        (
            "put_sender_keys_batch",
            keys.put_sender_keys_batch(&[(address, text)]).await,
        ),
        ("delete_sender_key", keys.delete_sender_key("none").await),
        ("set_sync_key", keys.set_sync_key(&KEY, sync_key).await),
        (
            "set_version",
            keys.set_version(
                "canary-collection",
                wacore::appstate::hash::HashState::default(),
            )
            .await,
        ),
        (
            "put_mutation_macs",
            keys.put_mutation_macs("canary-collection", 1, &[mac]).await,
        ),
        (
            "delete_mutation_macs",
            keys.delete_mutation_macs("none", &[vec![1]]).await,
        ),
        (
            "clear_mutation_macs",
            keys.clear_mutation_macs("none").await,
        ),
        (
            "set_sender_key_status",
            keys.set_sender_key_status(GROUP, &[(ADDRESS, true)]).await,
        ),
        (
            "clear_sender_key_devices",
            keys.clear_sender_key_devices("none").await,
        ),
        (
            "delete_sender_key_device_rows",
            keys.delete_sender_key_device_rows(&["none"]).await,
        ),
        ("put_lid_mapping", keys.put_lid_mapping(&mapping).await),
        ("put_lid_mappings", keys.put_lid_mappings(&[mapping]).await),
        ("save_base_key", keys.save_base_key(ADDRESS, id, &KEY).await),
        (
            "delete_base_key",
            keys.delete_base_key("none", "none").await,
        ),
        (
            "update_device_list",
            keys.update_device_list(list.clone()).await,
        ),
        (
            "update_device_lists",
            keys.update_device_lists(vec![list]).await,
        ),
        ("delete_devices", keys.delete_devices("none").await),
        (
            "put_group_metadata",
            keys.put_group_metadata(GROUP, TEXT).await,
        ),
        (
            "delete_group_metadata",
            keys.delete_group_metadata("none").await,
        ),
        ("put_tc_token", keys.put_tc_token(ADDRESS, &token).await),
        ("delete_tc_token", keys.delete_tc_token("none").await),
        (
            "touch_tc_token",
            keys.touch_tc_token_sender_timestamp(ADDRESS, 1).await,
        ),
        (
            "store_received_tc_token",
            keys.store_received_tc_token(ADDRESS, &KEY, 10).await,
        ),
        (
            "store_sent_message",
            keys.store_sent_message(chat, id, TEXT).await,
        ),
        (
            "store_pending_inbound",
            keys.store_pending_inbound(chat, sender, id, TEXT).await,
        ),
        (
            "store_pending_inbound_batch",
            keys.store_pending_inbound_batch(&[row]).await,
        ),
        (
            "delete_pending_inbound",
            keys.delete_pending_inbound("none", "none", "none").await,
        ),
        (
            "delete_pending_inbound_batch",
            keys.delete_pending_inbound_batch(&[key]).await,
        ),
        (
            "put_msg_secret",
            keys.put_msg_secret(chat, sender, id, &KEY).await,
        ),
        ("create", keys.create().await.map(drop)),
        ("save", keys.save(&device).await),
    ]
}

#[tokio::test]
async fn nothing_lies_in_the_clear_in_the_database_files() {
    let fresh = Fresh::sqlite().await;
    let linked = Linked::on(&fresh).await;
    for (write, done) in write_everything(&*linked.keys).await {
        done.unwrap_or_else(|error| panic!("{write}: {error:?}"));
    }
    let device = linked.keys.load().await.unwrap().unwrap();
    let bytes = fresh.bytes();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(
        holds(linked.owner.lease.session.to_string().as_bytes()),
        "the search itself works"
    );
    let private = device.identity_key.private_key.serialize();
    let needles: [&[u8]; 10] = [
        &KEY,
        TEXT,
        PHONE.as_bytes(),
        LID.as_bytes(),
        b"120363998877665544",
        b"3EB0CANARY",
        b"canary",
        b"usync",
        b"identity_key",
        private.as_ref(),
    ];
    for needle in needles {
        assert!(
            !holds(needle),
            "in the clear: {}",
            String::from_utf8_lossy(needle)
        );
    }
    for (write, done) in write_everything(&*linked.keys).await {
        done.unwrap_or_else(|error| panic!("{write} again: {error:?}"));
    }
}

#[tokio::test]
async fn a_lost_lease_refuses_every_write_and_ends_the_run() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        linked.keys.put_session(ADDRESS, b"before").await.unwrap();
        assert!(!linked.owner.lost.is_cancelled());

        // Another host takes over the session.
        let session = linked.owner.lease.session.to_string();
        fresh
            .run(
                "UPDATE lease SET epoch = epoch + 1 WHERE session_id = $1",
                session,
            )
            .await;
        for (write, done) in write_everything(&*linked.keys).await {
            let error = done.expect_err(write);
            assert!(
                !error.is_database_busy_or_locked(),
                "{write} would be tried again"
            );
        }
        assert!(linked.owner.lost.is_cancelled());
        let kept = linked.keys.get_session(ADDRESS).await.unwrap();
        assert_eq!(kept.as_deref(), Some(&b"before"[..]), "nothing was changed");
        fresh.close().await;
    }
}

#[tokio::test]
async fn another_host_under_the_same_epoch_is_refused() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        let session = linked.owner.lease.session.to_string();
        fresh
            .run(
                "UPDATE lease SET host_id = 'other' WHERE session_id = $1",
                session,
            )
            .await;
        assert!(linked.keys.put_session(ADDRESS, b"x").await.is_err());
        assert!(linked.owner.lost.is_cancelled());
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_value_moved_to_another_record_does_not_open() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        let keys = &linked.keys;
        keys.put_identity("a@lid", [1; 32]).await.unwrap();
        keys.put_identity("b@lid", [2; 32]).await.unwrap();
        keys.put_session("a@lid", &[3; 32]).await.unwrap();
        keys.store_prekey(1, b"one", false).await.unwrap();
        keys.store_prekey(2, b"two", false).await.unwrap();
        let session = || linked.owner.lease.session.to_string();
        // All identities and sessions get the same value, and so do the pre-keys.
        const SAME_RECORD: &str = "UPDATE key_record SET sealed = (SELECT sealed FROM key_record \
             WHERE session_id = $1 AND kind = 'signal_session')";
        const SAME_PREKEY: &str = "UPDATE key_prekey SET sealed = (SELECT sealed FROM key_prekey \
             WHERE session_id = $1 AND number = 1)";
        fresh.run(SAME_RECORD, session()).await;
        fresh.run(SAME_PREKEY, session()).await;
        assert!(keys.load_identity("a@lid").await.is_err());
        assert!(keys.load_identity("b@lid").await.is_err());
        assert!(keys.get_session("a@lid").await.is_ok());
        assert!(keys.load_prekey(1).await.is_ok());
        assert!(keys.load_prekey(2).await.is_err());
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_row_moved_to_another_session_is_not_found_or_does_not_open() {
    for fresh in stores().await {
        let mine = Linked::on(&fresh).await;
        let theirs = Linked::with(&fresh, mine.vault.clone()).await;
        mine.keys.put_identity("a@lid", [1; 32]).await.unwrap();
        mine.keys.store_prekey(1, b"one", false).await.unwrap();
        let session = || theirs.owner.lease.session.to_string();
        fresh
            .run("UPDATE key_record SET session_id = $1", session())
            .await;
        fresh
            .run("UPDATE key_prekey SET session_id = $1", session())
            .await;
        assert_eq!(theirs.keys.load_identity("a@lid").await.unwrap(), None);
        assert!(theirs.keys.load_prekey(1).await.is_err());
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_flipped_byte_in_the_store_does_not_open() {
    let fresh = Fresh::sqlite().await;
    let linked = Linked::on(&fresh).await;
    linked.keys.put_identity("a@lid", KEY).await.unwrap();
    let sealed: Vec<u8> = {
        let mut conn = fresh.store.read_system().await.unwrap();
        let sealed = sqlx::query_scalar("SELECT sealed FROM key_record");
        sealed.fetch_one(&mut *conn).await.unwrap()
    };
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        let done: Result<(), sqlx::Error> = fresh
            .store
            .write_system(move |tx| {
                Box::pin(async move {
                    let set = sqlx::query("UPDATE key_record SET sealed = $1").bind(flipped);
                    set.execute(tx.conn()).await.map(drop)
                })
            })
            .await;
        done.unwrap();
        assert!(
            linked.keys.load_identity("a@lid").await.is_err(),
            "byte {at}"
        );
    }
}

//! What is kept, how long, and for whom.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{future::join_all, poll};
use wacore::store::{
    Device,
    traits::{Backend, DeviceStore as _, LidPnMappingEntry, ProtocolStore as _, SignalStore as _},
};

use super::Linked;
use crate::{
    keystore::{SealedKeyStore, wipe},
    store::Store,
    testing::{Fresh, stores},
    vault::{KekRing, Vault},
};

fn as_json(device: &Device) -> serde_json::Value {
    serde_json::to_value(device).unwrap()
}

#[tokio::test]
async fn a_device_comes_back_as_it_was_saved() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        assert!(!keys.exists().await.unwrap());
        assert!(keys.load().await.unwrap().is_none());

        keys.create().await.unwrap();
        let made = keys.load().await.unwrap().unwrap();
        keys.create().await.unwrap();
        let kept = keys.load().await.unwrap().unwrap();
        assert_eq!(
            as_json(&made),
            as_json(&kept),
            "a second create replaces nothing"
        );

        let mut device = Device::new();
        device.push_name = "Café Central".to_owned();
        device.pn = "4915112345678:7@s.whatsapp.net".parse().ok();
        device.nct_salt = Some(vec![1, 2, 3]);
        keys.save(&device).await.unwrap();
        let loaded = keys.load().await.unwrap().unwrap();
        assert_eq!(as_json(&loaded), as_json(&device));
        assert!(keys.exists().await.unwrap());
        fresh.close().await;
    }
}

/// The library's syncs of app state begin a call and leave it alone while they wait for another one.
#[tokio::test]
async fn a_call_that_was_begun_and_left_alone_holds_up_no_other() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        let mut first = pin!(keys.put_identity("first", [1; 32]));
        assert!(poll!(first.as_mut()).is_pending());
        let second = async {
            keys.put_identity("second", [2; 32]).await.unwrap();
            keys.load_identity("second").await.unwrap()
        };
        let second = tokio::time::timeout(Duration::from_secs(20), second).await;
        assert!(second.expect("the second call ends").is_some());
        first.await.unwrap();
        fresh.close().await;
    }
}

#[tokio::test]
async fn of_two_writes_at_once_the_later_one_stays() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        let keys = &linked.keys;
        for n in 0..100u32 {
            // Sealing and sending the first value takes longer.
            let (early, late) = (vec![0; 100_000], n.to_be_bytes());
            let both = tokio::join!(
                keys.put_session("491@lid", &early),
                keys.put_session("491@lid", &late),
            );
            both.0.and(both.1).unwrap();
            let kept = keys.get_session("491@lid").await.unwrap();
            assert_eq!(kept.as_deref(), Some(&late[..]), "round {n}");
        }
        fresh.close().await;
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    for fresh in stores().await {
        let (ring, line) = KekRing::generate();
        let vault = fresh.vault(ring).await.unwrap();
        let linked = Linked::with(&fresh, vault).await;
        linked
            .keys
            .put_session("491@lid", b"ratchet")
            .await
            .unwrap();

        let store = Store::open(&fresh.url).await.unwrap();
        let ring = KekRing::parse(&line).unwrap();
        let vault = Vault::open(&store, ring, fresh.clock.clone())
            .await
            .unwrap();
        let lease = linked.owner.lease.clone();
        let key = vault.session_key(lease.org, lease.session).await.unwrap();
        let keys = SealedKeyStore::new(
            store.clone(),
            lease,
            key,
            fresh.clock.clone(),
            linked.owner.lost.clone(),
            linked.owner.stop.clone(),
        );
        let session = keys.get_session("491@lid").await.unwrap();
        assert_eq!(session.as_deref(), Some(&b"ratchet"[..]));
        store.close().await;
        fresh.close().await;
    }
}

#[tokio::test]
async fn the_pre_keys_of_a_new_link_are_one_call_and_more_than_one_statement_holds_is_fine() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        for count in [812, 7000] {
            let batch: Vec<_> = (1..=count)
                .map(|id| (id, Bytes::from(vec![7; 70])))
                .collect();
            keys.store_prekeys_batch(&batch, false).await.unwrap();
            let ids: Vec<_> = (1..=count).collect();
            keys.mark_prekeys_uploaded(&ids).await.unwrap();
            assert_eq!(keys.load_prekeys_batch(&ids).await.unwrap(), batch);
            assert_eq!(keys.get_max_prekey_id().await.unwrap(), count);
        }
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_used_pre_key_stays_gone_when_the_upload_is_noted() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        let batch = [
            (1, Bytes::from_static(b"one")),
            (2, Bytes::from_static(b"two")),
        ];
        keys.store_prekeys_batch(&batch, false).await.unwrap();
        keys.remove_prekey(1).await.unwrap();
        keys.mark_prekeys_uploaded(&[1, 2]).await.unwrap();
        assert!(keys.load_prekey(1).await.unwrap().is_none());
        assert!(keys.load_prekey(2).await.unwrap().is_some());
        fresh.close().await;
    }
}

#[tokio::test]
async fn every_phone_that_asks_at_once_finds_the_sent_message() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        keys.store_sent_message("1@g.us", "3EB0", b"payload")
            .await
            .unwrap();
        let takes = (0..16).map(|_| keys.take_sent_message("1@g.us", "3EB0"));
        let taken: Vec<_> = join_all(takes)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .collect();
        assert_eq!(taken, vec![b"payload".to_vec(); 16]);
        fresh.close().await;
    }
}

#[tokio::test]
async fn messages_expire_by_their_age() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        keys.store_sent_message("c", "old", b"1").await.unwrap();
        keys.store_pending_inbound("c", "s", "old", b"1")
            .await
            .unwrap();
        fresh.clock.advance(Duration::from_secs(100));
        keys.store_sent_message("c", "new", b"2").await.unwrap();
        let cutoff = fresh.clock.now() / 1000 - 50;
        assert_eq!(keys.delete_expired_sent_messages(cutoff).await.unwrap(), 1);
        assert_eq!(keys.delete_expired_sent_messages(cutoff).await.unwrap(), 0);
        assert_eq!(
            keys.delete_expired_pending_inbound(cutoff).await.unwrap(),
            1
        );
        assert!(keys.take_sent_message("c", "old").await.unwrap().is_none());
        assert!(keys.take_sent_message("c", "new").await.unwrap().is_some());
        fresh.close().await;
    }
}

#[tokio::test]
async fn the_latest_lid_of_a_phone_number_counts() {
    let mapping = |lid: &str, phone: &str| LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone.to_owned(),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".to_owned(),
    };
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        keys.put_lid_mappings(&[mapping("a", "491"), mapping("b", "491")])
            .await
            .unwrap();
        let lid_of = async |phone| {
            keys.get_pn_mapping(phone)
                .await
                .unwrap()
                .map(|found| found.lid)
        };
        assert_eq!(lid_of("491").await.as_deref(), Some("b"));
        keys.put_lid_mapping(&mapping("a", "491")).await.unwrap();
        assert_eq!(lid_of("491").await.as_deref(), Some("a"));
        // The account moves to another number. The remaining LID gets the old number again.
        keys.put_lid_mapping(&mapping("a", "492")).await.unwrap();
        assert_eq!(lid_of("491").await.as_deref(), Some("b"));
        assert_eq!(lid_of("492").await.as_deref(), Some("a"));
        fresh.close().await;
    }
}

#[tokio::test]
async fn two_writers_of_a_token_do_not_undo_each_other() {
    for fresh in stores().await {
        let keys = Linked::on(&fresh).await.keys;
        for round in 0..10 {
            let jid = format!("{round}@lid");
            let writes = (1..=8).map(|at| {
                let (keys, jid) = (Arc::clone(&keys), jid.clone());
                async move {
                    tokio::join!(
                        keys.touch_tc_token_sender_timestamp(&jid, at),
                        keys.store_received_tc_token(&jid, b"token", at),
                    )
                }
            });
            join_all(writes).await;
            let token = keys.get_tc_token(&jid).await.unwrap().unwrap();
            assert_eq!(token.sender_timestamp, Some(8));
            assert_eq!(
                (token.token.as_slice(), token.token_timestamp),
                (&b"token"[..], 8)
            );
        }
        fresh.close().await;
    }
}

/// Counts the session's rows in all tables of the key store.
async fn rows_of(fresh: &Fresh, linked: &Linked) -> Vec<i64> {
    const COUNTS: [&str; 7] = [
        "SELECT count(*) FROM key_record WHERE session_id = $1",
        "SELECT count(*) FROM key_prekey WHERE session_id = $1",
        "SELECT count(*) FROM key_member WHERE session_id = $1",
        "SELECT count(*) FROM key_lid WHERE session_id = $1",
        "SELECT count(*) FROM key_message WHERE session_id = $1",
        "SELECT count(*) FROM key_secret WHERE session_id = $1",
        "SELECT count(*) FROM key_token WHERE session_id = $1",
    ];
    let mut conn = fresh.store.read_system().await.unwrap();
    let mut counted = Vec::new();
    for count in COUNTS {
        let session = linked.owner.lease.session.to_string();
        let rows = sqlx::query_scalar(count)
            .bind(session)
            .fetch_one(&mut *conn)
            .await;
        counted.push(rows.unwrap());
    }
    counted
}

/// Writes a row to every table.
async fn fill(keys: &dyn Backend) {
    keys.put_session("491@lid", b"1").await.unwrap();
    keys.store_prekey(1, b"1", false).await.unwrap();
    keys.set_sender_key_status("1@g.us", &[("491@lid", true)])
        .await
        .unwrap();
    let mapping = LidPnMappingEntry {
        lid: "77".to_owned(),
        phone_number: "491".to_owned(),
        created_at: 1,
        updated_at: 1,
        learning_source: String::new(),
    };
    keys.put_lid_mapping(&mapping).await.unwrap();
    keys.store_sent_message("c", "i", b"1").await.unwrap();
    keys.put_msg_secret("c", "s", "i", &[1; 32]).await.unwrap();
    keys.touch_tc_token_sender_timestamp("77@lid", 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wiped_or_deleted_session_leaves_no_row_and_its_neighbour_all() {
    for fresh in stores().await {
        let linked = Linked::on(&fresh).await;
        let deleted = Linked::with(&fresh, linked.vault.clone()).await;
        let neighbour = Linked::with(&fresh, linked.vault.clone()).await;
        for one in [&linked, &deleted, &neighbour] {
            fill(&*one.keys).await;
            assert_eq!(rows_of(&fresh, one).await, [1; 7]);
        }
        let session = linked.owner.lease.session;
        let done: Result<(), sqlx::Error> = fresh
            .store
            .write(linked.owner.lease.org, move |tx| {
                Box::pin(wipe(tx, session))
            })
            .await;
        done.unwrap();
        let id = deleted.owner.lease.session.to_string();
        fresh.run("DELETE FROM session WHERE id = $1", id).await;
        assert_eq!(rows_of(&fresh, &linked).await, [0; 7]);
        assert_eq!(rows_of(&fresh, &deleted).await, [0; 7]);
        assert_eq!(rows_of(&fresh, &neighbour).await, [1; 7]);
        fresh.close().await;
    }
}

#[test]
fn a_session_at_rest_costs_a_few_hundred_bytes() {
    let own = size_of::<SealedKeyStore>() + size_of::<crate::vault::DataKey>();
    assert!(own <= 320, "{own} bytes");
}

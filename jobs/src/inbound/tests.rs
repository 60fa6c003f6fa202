//! Repeats of a message that could not be decrypted, and sessions that receive from the same contacts.

use std::time::Duration;

use futures_util::future::join_all;
use passerelle_engine::content::{Context, Peer, Phone, SenderNames};

use super::*;
use crate::{ids::OrgId, organisations, sessions, settings::MediaSettings, testing};

/// Returns the lease of a new session that runs here.
async fn running(services: &Services, org: OrgId) -> Lease {
    let session = sessions::create(services, org, "one", sessions::New::default())
        .await
        .unwrap()
        .id;
    let held = services.store().write_system(move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE lease SET host_id = 'test', epoch = 1 WHERE session_id = $1")
                .bind(session.to_string())
                .execute(tx.conn())
                .await
        })
    });
    held.await.unwrap();
    Lease {
        org,
        session,
        host: "test".into(),
        epoch: 1,
    }
}

async fn commit(services: &Services, lease: &Lease, batch: Vec<Inbound>) -> Result<(), Fault> {
    super::commit(services, lease, &Arc::default(), batch).await
}

/// Returns message `n` of this contact.
fn text(n: usize, contact: usize) -> Inbound {
    let phone = format!("4915100{contact:05}");
    Inbound {
        chat: format!("{phone}@s.whatsapp.net"),
        sender: format!("{phone}@s.whatsapp.net"),
        own: None,
        id: format!("3A{n:02}"),
        from: Peer {
            phone: Phone::parse(&format!("+{phone}")),
            lid: None,
        },
        phone_is_derived: false,
        names: SenderNames::default(),
        group: None,
        content: Content::text("hello".to_owned()),
        context: Context::default(),
        ballot: None,
        remote: None,
        expires_in: None,
        timer: None,
        raw: None,
        at: 1,
        recovered: false,
    }
}

/// The senders' phones and this number's phone may repeat a message at the same time.
#[tokio::test]
async fn of_two_repeats_at_once_one_is_reported() {
    const MANY: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let lease = running(&services, org).await;
        let batch = |content: Content, recovered| -> Vec<_> {
            let one = |n| Inbound {
                content: content.clone(),
                recovered,
                ..text(n, 1)
            };
            (0..MANY).map(one).collect()
        };
        let hello = Content::text("hello".to_owned());
        commit(&services, &lease, batch(Content::Undecryptable {}, false))
            .await
            .unwrap();
        let (by_sender, by_phone) = tokio::join!(
            commit(&services, &lease, batch(hello.clone(), false)),
            commit(&services, &lease, batch(hello.clone(), true)),
        );
        by_sender.unwrap();
        by_phone.unwrap();
        let mut conn = services.store().read_system().await.unwrap();
        for (kind, count) in [("message.undecryptable", MANY), ("message.received", MANY)] {
            let told: i64 = sqlx::query_scalar("SELECT count(*) FROM event WHERE type = $1")
                .bind(kind)
                .fetch_one(&mut *conn)
                .await
                .unwrap();
            assert_eq!(usize::try_from(told).unwrap(), count, "{kind}");
        }
    }
}

/// After an outage many sessions receive from the same contacts, each in an order of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_receive_from_the_same_contacts_do_not_hold_each_other_up() {
    const SESSIONS: usize = 6;
    const CONTACTS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let mut received = Vec::new();
        for session in 0..SESSIONS {
            let inbox = Inbox {
                services: services.clone(),
                early: Arc::default(),
                lease: running(&services, org).await,
            };
            let mut batch: Vec<_> = (0..CONTACTS).map(|n| text(n, n)).collect();
            batch.rotate_left(session * CONTACTS / SESSIONS);
            received.push(async move { inbox.commit(batch).await });
        }
        let all = tokio::time::timeout(Duration::from_secs(40), join_all(received));
        for stored in all.await.expect("every batch is stored") {
            stored.unwrap();
        }
        let mut conn = services.store().read_system().await.unwrap();
        let told: i64 = sqlx::query_scalar("SELECT count(*) FROM event")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(usize::try_from(told).unwrap(), SESSIONS * CONTACTS);
    }
}

/// A contact was known by its phone alone, and each session learns its LID from the next message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_learn_the_same_name_do_not_hold_each_other_up() {
    const SESSIONS: usize = 6;
    const CONTACTS: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let mut leases = Vec::new();
        for _ in 0..SESSIONS {
            leases.push(running(&services, org).await);
        }
        for contact in 0..CONTACTS {
            let first = vec![text(0, contact)];
            commit(&services, &leases[0], first).await.unwrap();
            let named = || Inbound {
                from: Peer {
                    lid: Some(format!("10000000000{contact:04}")),
                    ..text(1, contact).from
                },
                ..text(1, contact)
            };
            let all = join_all(
                leases
                    .iter()
                    .map(|lease| commit(&services, lease, vec![named()])),
            );
            let all = tokio::time::timeout(Duration::from_secs(20), all).await;
            for stored in all.expect("every message is stored") {
                stored.unwrap();
            }
        }
    }
}

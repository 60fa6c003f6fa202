//! Pages of deleted sessions, and contacts that are met while they are erased.

use std::time::Duration;

use passerelle_engine::{
    ids::{ContactId, MessageId},
    store::{Store, Tx},
};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    model::OptOutSource, organisations, sessions, settings::MediaSettings, store::contacts, testing,
};

const MESSAGE: &str = "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, chat_mac, \
     peer_sealed, content_sealed, resends, created_at, contact_id) \
     VALUES ($1, $2, $3, 'inbound', 'received', 'text', $1, '', '', '', 0, 0, $4)";

/// What the session does that meets a contact of a deleted one.
#[derive(Clone, Copy)]
enum Then {
    OptsOut,
    Writes(MessageId, SessionId),
}

async fn message(
    tx: &mut Tx,
    (org, session): (OrgId, SessionId),
    (id, contact): (MessageId, ContactId),
) -> Result<(), sqlx::Error> {
    let message = sqlx::query(MESSAGE)
        .bind(id.to_string())
        .bind(org.to_string());
    let message = message.bind(session.to_string()).bind(contact.to_string());
    message.execute(tx.conn()).await.map(drop)
}

/// Returns whether a transaction of this database waits for a lock.
async fn one_waits(store: &Store) -> bool {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks \
         WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    let mut conn = store.read_system().await.unwrap();
    let waiting: i64 = sqlx::query_scalar(waiting)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    waiting > 0
}

#[tokio::test]
async fn a_contact_that_another_session_meets_at_this_instant_stays() {
    let Some(url) = testing::database().await else {
        return;
    };
    let services = testing::services(&url, MediaSettings::nowhere()).await;
    let (store, clock) = (services.store(), services.clock());
    let org = organisations::create(&services, "Acme").await.unwrap().id;
    let other = sessions::create(&services, org, "other", sessions::New::default())
        .await
        .unwrap()
        .id;
    for (n, then) in [Then::OptsOut, Then::Writes(MessageId::new(clock), other)]
        .into_iter()
        .enumerate()
    {
        let session = sessions::create(&services, org, "deleted", sessions::New::default())
            .await
            .unwrap()
            .id;
        let (contact, first) = (ContactId::new(clock), MessageId::new(clock));
        let mac = [u8::try_from(n).unwrap(); 32];
        let known = store.write_system(move |tx| {
            Box::pin(async move {
                let phone = contacts::Address {
                    mac,
                    sealed: Vec::new(),
                };
                contacts::insert(tx, org, contact, Some(&phone), None, (0, None)).await?;
                message(tx, (org, session), (first, contact)).await?;
                sqlx::query("UPDATE session SET deleted_at = 1 WHERE id = $1")
                    .bind(session.to_string())
                    .execute(tx.conn())
                    .await
                    .map(drop)
            })
        });
        known.await.unwrap();

        let ((met, is_met), (go, goes)) = (oneshot::channel(), oneshot::channel::<()>());
        let tasks = TaskTracker::new();
        let meeting = {
            let store = store.clone();
            tasks.spawn(async move {
                let meeting = store.write(org, move |tx| {
                    Box::pin(async move {
                        let found = contacts::find(tx, org, Some(mac), None).await?;
                        met.send(found.len()).unwrap();
                        goes.await.unwrap();
                        match then {
                            Then::OptsOut => {
                                let by = OptOutSource::Word;
                                contacts::opt_outs::opt_out(tx, org, contact, by, 1).await
                            }
                            Then::Writes(id, session) => {
                                message(tx, (org, session), (id, contact)).await?;
                                Ok(true)
                            }
                        }
                    })
                });
                meeting.await
            })
        };
        assert_eq!(is_met.await.unwrap(), 1);
        let erasing = {
            let store = store.clone();
            let of = Erasing { org, session };
            tasks.spawn(async move {
                let step = store.write_system(move |tx| Box::pin(step(tx, of)));
                step.await.map(drop)
            })
        };
        while !erasing.is_finished() && !one_waits(store).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        go.send(()).unwrap();
        assert!(meeting.await.unwrap().unwrap(), "nothing is lost");
        erasing.await.unwrap().unwrap();
        let mut conn = store.read(org).await.unwrap();
        let there = contacts::by_phone(&mut conn, org, &mac).await.unwrap();
        assert_eq!(there.map(|row| row.id), Some(contact));
    }
}

#[tokio::test]
async fn each_page_begins_after_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        for _ in 0..3 {
            sessions::create(&services, org, "deleted", sessions::New::default())
                .await
                .unwrap();
        }
        let fill = services.store().write_system(move |tx| {
            Box::pin(async move {
                let copies = "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 149) \
                     INSERT INTO session (id, org_id, name, desired, created_at) \
                     SELECT substr(s.id, 1, 27) || n, s.org_id, s.name, s.desired, 0 FROM session s, n";
                for sql in [copies, "UPDATE session SET deleted_at = 1"] {
                    sqlx::query(sql).execute(tx.conn()).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        });
        fill.await.unwrap();
        let mut conn = services.store().read_system().await.unwrap();
        let (mut next, mut pages, mut found) = (Some(Last::default()), Vec::new(), Vec::new());
        while let Some(last) = next {
            let (page, after) = pending(&mut conn, &last).await.unwrap();
            pages.push(page.len());
            found.extend(page.iter().map(|erasing| erasing.session.to_string()));
            next = after;
        }
        found.sort();
        found.dedup();
        assert_eq!((pages, found.len()), (vec![100, 53], 153));
    }
}

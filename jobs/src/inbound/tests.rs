//! Repeats of a message that could not be decrypted.

use passerelle_engine::content::{Context, Peer, Phone, SenderNames};

use super::*;
use crate::{organisations, sessions, settings::MediaSettings, testing};

/// The senders' phones and this number's phone may repeat a message at the same time.
#[tokio::test]
async fn of_two_repeats_at_once_one_is_reported() {
    const MANY: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let session = sessions::create(&services, org, "one", sessions::New::default())
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
        let lease = Lease {
            org,
            session,
            host: "test".into(),
            epoch: 1,
        };
        let batch = |content: Content, recovered| -> Vec<_> {
            let one = |n| Inbound {
                chat: "491510000001@s.whatsapp.net".to_owned(),
                sender: "491510000001@s.whatsapp.net".to_owned(),
                own: None,
                id: format!("3A{n:02}"),
                from: Peer {
                    phone: Phone::parse("+491510000001"),
                    lid: None,
                },
                phone_is_derived: false,
                names: SenderNames::default(),
                group: None,
                content: content.clone(),
                context: Context::default(),
                ballot: None,
                remote: None,
                expires_in: None,
                timer: None,
                raw: None,
                at: 1,
                recovered,
            };
            (0..MANY).map(one).collect()
        };
        let text = Content::text("hello".to_owned());
        commit(&services, &lease, batch(Content::Undecryptable {}, false))
            .await
            .unwrap();
        let (by_sender, by_phone) = tokio::join!(
            commit(&services, &lease, batch(text.clone(), false)),
            commit(&services, &lease, batch(text.clone(), true)),
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

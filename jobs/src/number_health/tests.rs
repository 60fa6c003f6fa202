//! What a host may say about a number, on both stores.

use super::*;
use crate::{organisations, settings::MediaSettings, testing};

#[tokio::test]
async fn safety_a_host_that_lost_a_session_changes_nothing_of_its_number() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        let session = sessions::create(&services, org, "till", sessions::New::default());
        let session = session.await.unwrap().id;
        let linked = services.store().write_system(|tx| {
            Box::pin(async move {
                for sql in [
                    "INSERT INTO number (mac, next_at, sent, first_linked_at) VALUES ($1, 0, 0, 1)",
                    "UPDATE lane SET number_mac = $1",
                ] {
                    let run = sqlx::query(sql).bind(vec![9_u8; 32]);
                    run.execute(tx.conn()).await?;
                }
                sqlx::query("UPDATE lease SET host_id = 'test', epoch = 2")
                    .execute(tx.conn())
                    .await
                    .map(drop)
            })
        });
        linked.await.unwrap();
        let lease = |epoch| Lease {
            org,
            session,
            host: Arc::clone(&services.settings().host),
            epoch,
        };
        let signals = || vec![Signal::NotOnWhatsapp("somebody".to_owned())];
        let health = async || {
            let health = read(&services, session).await.unwrap();
            serde_json::to_string(&health).unwrap()
        };
        let before = health().await;
        let lost = signal(&services, &lease(1), signals()).await;
        assert!(matches!(lost, Err(Fault::LeaseLost)), "{lost:?}");
        assert_eq!(health().await, before);
        signal(&services, &lease(2), signals()).await.unwrap();
        assert_ne!(health().await, before);
        services.store().close().await;
    }
}

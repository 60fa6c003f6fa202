//! Clients that hang up.

use std::time::Duration;

use passerelle_engine::store::Dialect;

use super::*;
use crate::{
    organisations,
    services::{LISTS_ON_POSTGRES, LISTS_ON_SQLITE},
    settings::MediaSettings,
    testing,
};

#[tokio::test]
async fn who_hangs_up_has_its_share_back_when_its_query_is_over() {
    let folder = tempfile::tempdir().unwrap();
    for url in testing::databases(&folder).await {
        let services = testing::services(&url, MediaSettings::nowhere()).await;
        let ((_, of_one), long) = match services.store().dialect() {
            Dialect::Sqlite => (
                LISTS_ON_SQLITE,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT count(*) FROM n",
            ),
            Dialect::Postgres => (LISTS_ON_POSTGRES, "SELECT pg_sleep(1)"),
        };
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        for _ in 0..of_one {
            let mut read = ListRead::begin(&services, org).await.unwrap();
            let query = sqlx::query(long).execute(read.conn());
            // The client hangs up while its query runs.
            let answered = tokio::time::timeout(Duration::from_millis(50), query).await;
            answered.unwrap_err();
        }
        let at_once = services.lists().take(org, 1, Duration::ZERO).await;
        assert!(at_once.is_none(), "the queries still run");
        let later = services.lists().take(org, 1, Duration::from_secs(20));
        assert!(later.await.is_some());
        // What is answered is released at once.
        for _ in 0..=of_one {
            let read = ListRead::begin(&services, org).await.unwrap();
            read.end(Ok(())).unwrap();
        }
    }
}

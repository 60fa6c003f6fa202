//! The fenced right to run a session.
//!
//! A lease names the host and the epoch under which the host holds the session. The epoch grows at
//! every change of owner. Each write transaction that a host makes for a session begins with
//! [`Lease::check`]. Do not use the row counts of later statements instead: they say nothing about
//! the lease.

use std::{collections::HashSet, sync::Arc};

use crate::{
    clock::Millis,
    ids::{OrgId, SessionId},
    over_list,
    store::{Dialect, SystemTx, Tx, now_on_postgres, now_on_sqlite},
};

/// This process's right to run one session.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The organisation that owns the session.
    pub org: OrgId,
    /// The session.
    pub session: SessionId,
    /// The host that holds it.
    pub host: Arc<str>,
    /// Grows by one at every change of owner.
    pub epoch: i64,
}

/// Why a write under a lease did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another host, or a later start of this one, holds the session. The caller closes the
    /// connection and forgets the keys.
    #[error("the lease of the session is lost")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}

impl Lease {
    /// Succeeds only while this lease is valid. On PostgreSQL it also makes a takeover wait until
    /// the transaction ends; on SQLite the single writer has the same effect. Returns the
    /// database's time.
    pub async fn check(&self, tx: &mut Tx) -> Result<Millis, LeaseError> {
        const HELD: &str = concat!(
            "SELECT ",
            now_on_sqlite!(),
            " FROM lease WHERE session_id = $1 AND host_id = $2 AND epoch = $3"
        );
        const HELD_LOCKED: &str = concat!(
            "SELECT ",
            now_on_postgres!(),
            " FROM lease WHERE session_id = $1 AND host_id = $2 AND epoch = $3 FOR SHARE"
        );
        let sql = match tx.dialect() {
            Dialect::Sqlite => HELD,
            Dialect::Postgres => HELD_LOCKED,
        };
        let held: Option<Millis> = sqlx::query_scalar(sql)
            .bind(self.session.to_string())
            .bind(self.host.as_ref())
            .bind(self.epoch)
            .fetch_optional(tx.conn())
            .await?;
        held.ok_or(LeaseError::Lost)
    }
}

/// Checks several leases of one host, as [`Lease::check`] does for one. Returns the database's time
/// and the leases that are still valid. The same session may appear with several epochs.
pub async fn check_all(
    tx: &mut SystemTx,
    host: &str,
    leases: &[(SessionId, i64)],
) -> Result<(Millis, HashSet<(SessionId, i64)>), sqlx::Error> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => over_list!(
            Dialect::Sqlite,
            "SELECT l.session_id, l.epoch FROM",
            "held CROSS JOIN lease l WHERE l.session_id = held.value ->> 0 \
             AND l.epoch = CAST(held.value ->> 1 AS bigint) AND l.host_id = $2"
        ),
        Dialect::Postgres => over_list!(
            Dialect::Postgres,
            "SELECT l.session_id, l.epoch FROM",
            "held CROSS JOIN lease l WHERE l.session_id = held.value ->> 0 \
             AND l.epoch = CAST(held.value ->> 1 AS bigint) AND l.host_id = $2 FOR SHARE OF l"
        ),
    };
    let held: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(serde_json::json!(leases).to_string())
        .bind(host)
        .fetch_all(tx.conn())
        .await?;
    let known = |(id, epoch): (String, i64)| Some((id.parse().ok()?, epoch));
    let held = held.into_iter().filter_map(known).collect();
    Ok((tx.now().await?, held))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::Connection as _;
    use tokio::sync::Notify;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        testing::{Fresh, stores},
        vault::KekRing,
    };

    const TAKE_OVER: &str =
        "UPDATE lease SET host_id = 'other', epoch = epoch + 1 WHERE session_id = $1";

    async fn leased(fresh: &Fresh) -> Lease {
        let vault = fresh.vault(KekRing::generate().0).await.unwrap();
        fresh.owner(&vault).await.lease
    }

    async fn check(fresh: &Fresh, lease: &Lease) -> Result<Millis, LeaseError> {
        let lease = lease.clone();
        let work = fresh.store.write(lease.org, move |tx| {
            Box::pin(async move { lease.check(tx).await })
        });
        work.await
    }

    #[tokio::test]
    async fn a_lease_holds_until_another_host_takes_the_session() {
        for fresh in stores().await {
            let lease = leased(&fresh).await;
            check(&fresh, &lease).await.unwrap();
            fresh.run(TAKE_OVER, lease.session.to_string()).await;
            assert!(matches!(check(&fresh, &lease).await, Err(LeaseError::Lost)));
            // A later start of the same host has a later epoch.
            let next = Lease {
                host: Arc::from("other"),
                epoch: 2,
                ..lease
            };
            check(&fresh, &next).await.unwrap();
            fresh.close().await;
        }
    }

    #[tokio::test]
    async fn a_lease_of_a_deleted_session_is_lost() {
        for fresh in stores().await {
            let lease = leased(&fresh).await;
            fresh
                .run(
                    "DELETE FROM session WHERE id = $1",
                    lease.session.to_string(),
                )
                .await;
            assert!(matches!(check(&fresh, &lease).await, Err(LeaseError::Lost)));
            fresh.close().await;
        }
    }

    #[tokio::test]
    async fn a_takeover_waits_for_the_write_that_checked_first() {
        for fresh in stores().await {
            let lease = leased(&fresh).await;
            let (checked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let tasks = TaskTracker::new();
            let (store, held, began, wait) = (
                fresh.store.clone(),
                lease.clone(),
                checked.clone(),
                go.clone(),
            );
            let write = tasks.spawn(async move {
                let work = store.write(held.org, move |tx| {
                    Box::pin(async move {
                        held.check(tx).await?;
                        began.notify_one();
                        wait.notified().await;
                        let epoch =
                            sqlx::query_scalar("SELECT epoch FROM lease WHERE session_id = $1")
                                .bind(held.session.to_string())
                                .fetch_one(tx.conn());
                        Ok::<i64, LeaseError>(epoch.await?)
                    })
                });
                work.await.unwrap()
            });
            checked.notified().await;
            let (store, session) = (fresh.store.clone(), lease.session.to_string());
            let takeover = tasks.spawn(async move {
                let work = store.write_system(move |tx| {
                    Box::pin(async move {
                        sqlx::query(TAKE_OVER)
                            .bind(session)
                            .execute(tx.conn())
                            .await
                            .map(drop)
                    })
                });
                work.await.unwrap();
            });
            until_it_waits(&fresh).await;
            assert!(!takeover.is_finished());
            go.notify_one();
            assert_eq!(write.await.unwrap(), 1, "the epoch changed under the write");
            takeover.await.unwrap();
            assert!(matches!(check(&fresh, &lease).await, Err(LeaseError::Lost)));
            fresh.close().await;
        }
    }

    /// Waits until a statement waits for a lock. Only PostgreSQL needs it: SQLite's single writer
    /// is busy.
    async fn until_it_waits(fresh: &Fresh) {
        if fresh.store.dialect() == Dialect::Sqlite {
            return tokio::task::yield_now().await;
        }
        // The application's role cannot see what other connections wait for.
        let mut conn = sqlx::PgConnection::connect(&fresh.url).await.unwrap();
        let waiting = async {
            loop {
                let ungranted: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
                )
                .fetch_one(&mut conn)
                .await
                .unwrap();
                if ungranted > 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .expect("the takeover waits");
    }
}

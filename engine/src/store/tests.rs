//! What [`Store::write`] guarantees, on every available engine.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::*;
use crate::testing::{Fresh, stores};

const INSERT: &str = "INSERT INTO organisation (id, name, created_at) VALUES ($1, 'x', 0)";

async fn insert(tx: &mut Tx, id: String) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT)
        .bind(id)
        .execute(tx.conn())
        .await
        .map(drop)
}

async fn add(store: &Store, id: impl Into<String>) -> Result<(), sqlx::Error> {
    let id = id.into();
    store
        .write_system(move |tx| Box::pin(async move { insert(tx, id).await }))
        .await
}

async fn ids(store: &Store) -> Vec<String> {
    let mut conn = store.read_system().await.unwrap();
    sqlx::query_scalar("SELECT id FROM organisation ORDER BY id")
        .fetch_all(&mut *conn)
        .await
        .unwrap()
}

/// Keeps the writer busy until it is released, so that the following work is committed together.
async fn held(store: &Store) -> (Arc<Notify>, tokio::task::JoinHandle<()>) {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (store, running, wait) = (store.clone(), began.clone(), go.clone());
    let task = TaskTracker::new().spawn(async move {
        let done: Result<(), sqlx::Error> = store
            .write_system(move |_| {
                Box::pin(async move {
                    running.notify_one();
                    wait.notified().await;
                    Ok(())
                })
            })
            .await;
        done.unwrap();
    });
    began.notified().await;
    (go, task)
}

#[tokio::test]
async fn thirty_two_writes_at_once_all_stand() {
    for fresh in stores().await {
        let writes = (0..32).map(|n| add(&fresh.store, format!("{n:02}")));
        for done in join_all(writes).await {
            done.unwrap();
        }
        assert_eq!(ids(&fresh.store).await.len(), 32);
        fresh.close().await;
    }
}

#[tokio::test]
async fn gathered_pieces_share_one_commit() {
    let fresh = Fresh::sqlite().await;
    let (go, holder) = held(&fresh.store).await;
    let pieces = (0..10).map(|n| {
        let outside = fresh.store.clone();
        fresh.store.write_system(move |tx| {
            Box::pin(async move {
                insert(tx, format!("{n}")).await?;
                let inside: Vec<String> = sqlx::query_scalar("SELECT id FROM organisation")
                    .fetch_all(tx.conn())
                    .await?;
                // Nothing is committed while the last piece runs; afterwards everything is.
                Ok::<_, sqlx::Error>((inside.len(), ids(&outside).await.len()))
            })
        })
    });
    let all = join_all(pieces);
    let let_go = async {
        tokio::task::yield_now().await;
        go.notify_one();
    };
    let (seen, ()) = tokio::join!(all, let_go);
    holder.await.unwrap();
    let seen: Vec<_> = seen.into_iter().map(Result::unwrap).collect();
    assert_eq!(seen, (1..=10).map(|n| (n, 0)).collect::<Vec<_>>());
    assert_eq!(ids(&fresh.store).await.len(), 10);
}

#[tokio::test]
async fn a_failing_piece_undoes_only_itself() {
    for fresh in stores().await {
        let store = &fresh.store;
        let fails = store.write_system(|tx| {
            Box::pin(async move {
                insert(tx, "half".to_owned()).await?;
                Err::<(), _>(sqlx::Error::RowNotFound)
            })
        });
        let broken = store.write_system(|tx| {
            Box::pin(async move {
                sqlx::query("SELECT nothing")
                    .execute(tx.conn())
                    .await
                    .map(drop)
            })
        });
        let (before, failed, broken, after) =
            tokio::join!(add(store, "before"), fails, broken, add(store, "later"));
        before.unwrap();
        after.unwrap();
        assert!(
            matches!(failed, Err(sqlx::Error::RowNotFound)),
            "{failed:?}"
        );
        assert!(broken.is_err());
        assert_eq!(ids(store).await, ["before", "later"]);
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_piece_that_fails_alone_leaves_nothing() {
    for fresh in stores().await {
        let done: Result<(), sqlx::Error> = fresh
            .store
            .write_system(|tx| {
                Box::pin(async move {
                    insert(tx, "half".to_owned()).await?;
                    Err(sqlx::Error::RowNotFound)
                })
            })
            .await;
        assert!(done.is_err());
        assert!(ids(&fresh.store).await.is_empty());
        add(&fresh.store, "next").await.unwrap();
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_panicking_piece_undoes_only_itself_and_the_writer_goes_on() {
    let fresh = Fresh::sqlite().await;
    let store = &fresh.store;
    for alone in [false, true] {
        let panics = store.write_system(|tx| {
            Box::pin(async move {
                insert(tx, "half".to_owned()).await?;
                panic!("a bug in a piece of work");
                #[expect(unreachable_code, reason = "gives the piece its type")]
                Ok::<(), sqlx::Error>(())
            })
        });
        if alone {
            assert!(panics.await.is_err());
        } else {
            let (before, panicked, after) = tokio::join!(add(store, "a"), panics, add(store, "b"));
            before.unwrap();
            after.unwrap();
            assert!(
                matches!(panicked, Err(sqlx::Error::WorkerCrashed)),
                "{panicked:?}"
            );
        }
    }
    assert_eq!(ids(store).await, ["a", "b"]);
    add(store, "c").await.unwrap();
}

#[tokio::test]
async fn the_caller_is_answered_after_the_commit() {
    for fresh in stores().await {
        let other = Store::open(&fresh.url).await.unwrap();
        for n in 0..20 {
            add(&fresh.store, format!("{n:02}")).await.unwrap();
            assert_eq!(ids(&other).await.len(), n + 1);
        }
        other.close().await;
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_every_caller() {
    let fresh = Fresh::sqlite().await;
    let store = &fresh.store;
    let made: Result<(), sqlx::Error> = store
        .write_system(|tx| {
            Box::pin(async move {
                let table = "CREATE TABLE leaf (id text REFERENCES organisation (id) DEFERRABLE INITIALLY DEFERRED)";
                sqlx::query(table).execute(tx.conn()).await.map(drop)
            })
        })
        .await;
    made.unwrap();
    // A deferred key is checked at commit. It fails for all pieces in the commit.
    let orphan = store.write_system(|tx| {
        Box::pin(async move {
            let leaf = sqlx::query("INSERT INTO leaf (id) VALUES ('none')");
            leaf.execute(tx.conn()).await.map(drop)
        })
    });
    let (go, holder) = held(store).await;
    let let_go = async {
        tokio::task::yield_now().await;
        go.notify_one();
    };
    let (orphan, beside, ()) = tokio::join!(orphan, add(store, "beside"), let_go);
    holder.await.unwrap();
    assert!(orphan.is_err() && beside.is_err());
    assert!(ids(store).await.is_empty());
    add(store, "next").await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_with_it() {
    let fresh = Fresh::sqlite().await;
    let (go, holder) = held(&fresh.store).await;
    let store = fresh.store.clone();
    let gone = TaskTracker::new().spawn(async move { add(&store, "gone").await });
    let store = fresh.store.clone();
    let stays = TaskTracker::new().spawn(async move { add(&store, "stays").await });
    tokio::task::yield_now().await;
    gone.abort();
    go.notify_one();
    holder.await.unwrap();
    stays.await.unwrap().unwrap();
    // The caller left. Its work is complete or absent, never partial.
    let all = ids(&fresh.store).await;
    assert!(all.contains(&"stays".to_owned()), "{all:?}");
    add(&fresh.store, "next").await.unwrap();
}

#[tokio::test]
async fn every_sqlite_connection_is_durable_and_reads_cannot_write() {
    let fresh = Fresh::sqlite().await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(fresh.store.read_system().await.unwrap());
    }
    for conn in &mut all {
        assert_eq!(pragmas(conn).await, ("wal".to_owned(), 2, 1));
        let refused = sqlx::query(INSERT).bind("x").execute(&mut **conn).await;
        assert!(refused.unwrap_err().to_string().contains("readonly"));
    }
    let of_writer: Result<_, sqlx::Error> = fresh
        .store
        .write_system(|tx| Box::pin(async move { Ok(pragmas(tx.conn()).await) }))
        .await;
    assert_eq!(of_writer.unwrap(), ("wal".to_owned(), 2, 1));
}

/// Returns the journal mode, `synchronous` (2 is FULL), and whether foreign keys are enforced.
async fn pragmas(conn: &mut AnyConnection) -> (String, i64, i64) {
    let journal = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *conn)
        .await;
    let synchronous = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&mut *conn)
        .await;
    let keys = sqlx::query_scalar("PRAGMA foreign_keys")
        .fetch_one(&mut *conn)
        .await;
    (journal.unwrap(), synchronous.unwrap(), keys.unwrap())
}

#[tokio::test]
async fn a_second_migration_does_nothing() {
    for fresh in stores().await {
        fresh.store.migrate().await.unwrap();
        fresh.close().await;
    }
}

#[tokio::test]
async fn the_database_tells_the_time() {
    for fresh in stores().await {
        let read: Result<Millis, sqlx::Error> = fresh
            .store
            .write_system(|tx| Box::pin(async move { tx.now().await }))
            .await;
        let apart = (read.unwrap() - fresh.clock.now()).abs();
        assert!(apart < 10_000, "{apart} ms apart");
        fresh.close().await;
    }
}

#[test]
fn only_what_passes_is_worth_another_try() {
    for code in [
        "08006", "57P01", "40001", "53300", "25006", "28P01", "3D000", "5", "2826", "13", "7", "8",
    ] {
        assert!(passes(code), "{code}");
    }
    for code in ["23505", "42P01", "22021", "25001", "1", "19", "2067", ""] {
        assert!(!passes(code), "{code}");
    }
    assert!(is_outage(&sqlx::Error::PoolTimedOut));
    assert!(!is_outage(&sqlx::Error::RowNotFound));
}

#[tokio::test]
async fn a_neighbour_that_has_every_connection_for_queries_holds_up_no_look_up() {
    for fresh in stores().await {
        // On PostgreSQL one of four connections is for all organisations, on SQLite four of eight.
        let store = Store::open_with(&fresh.url, 4).await.unwrap();
        let tenants = match store.dialect() {
            Dialect::Sqlite => 4,
            Dialect::Postgres => 3,
        };
        let org = OrgId::new(&fresh.clock);
        let mut held = Vec::new();
        for _ in 0..tenants {
            held.push(store.read(org).await.unwrap());
        }
        let look_up = tokio::time::timeout(Duration::from_secs(5), store.read_system());
        look_up.await.expect("a connection is free").unwrap();
        // One whose query was abandoned makes room for another.
        held.pop().unwrap().discard().await;
        let another = tokio::time::timeout(Duration::from_secs(5), store.read(org));
        drop(another.await.expect("a connection is free").unwrap());
        drop(held);
        store.close().await;
        fresh.close().await;
    }
}

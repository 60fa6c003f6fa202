//! Counts the round trips that row-level security costs, with a proxy between client and server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::testing::stores;

/// Counts the round trips, and remembers which side spoke last.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    taken: Arc<AtomicU64>,
    /// Whether the server spoke last.
    answered: Arc<AtomicBool>,
}

impl Turns {
    /// Forwards one direction. When the client speaks after the server, that is a new round trip.
    async fn pass(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, of_client: bool) {
        let mut some = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut some).await {
            if self.answered.swap(!of_client, Ordering::SeqCst) && of_client {
                self.taken.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&some[..length]).await.is_err() {
                return;
            }
        }
    }

    /// Returns the round trips of `work`, including the release, on the store's only connection for
    /// tenants.
    pub(crate) async fn of_tenants<F: Future<Output = ()>>(&self, store: &Store, work: F) -> u64 {
        self.of(store.pools().0, work).await
    }

    /// Returns the round trips of `work`, including the release, on the pool's only connection.
    async fn of<F: Future<Output = ()>>(&self, pool: &AnyPool, work: F) -> u64 {
        let before = self.taken.load(Ordering::SeqCst);
        work.await;
        let released = async {
            while pool.num_idle() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), released).await;
        waited.expect("the connection is released");
        self.taken.load(Ordering::SeqCst) - before
    }
}

/// Starts a proxy between a store and its server. Returns the store's address through it.
pub(crate) async fn between(url: &str, turns: Turns, tasks: TaskTracker) -> String {
    let (user, server) = url.rsplit_once('@').unwrap();
    let (server, name) = server.rsplit_once('/').unwrap();
    let server = server.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let passing = tasks.clone();
    tasks.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let server = TcpStream::connect(&server).await.unwrap();
            let (from_server, to_server) = server.into_split();
            passing.spawn(turns.clone().pass(from_client, to_server, true));
            passing.spawn(turns.clone().pass(from_server, to_client, false));
        }
    });
    format!("{user}@{here}/{name}")
}

async fn one(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let one = sqlx::query("SELECT 1 FROM organisation").execute(conn);
    one.await.map(drop)
}

#[tokio::test]
async fn a_tenants_write_takes_as_many_round_trips_as_the_systems_and_a_read_one_more() {
    let Some(fresh) = stores().await.pop() else {
        return;
    };
    if fresh.store.dialect() == Dialect::Sqlite {
        return;
    }
    let (turns, org) = (Turns::default(), OrgId::new(&fresh.clock));
    let url = between(&fresh.url, turns.clone(), TaskTracker::new()).await;
    // One connection for tenants, one for the system.
    let store = Store::open_with(&url, 2).await.unwrap();
    let read = async || one(&mut store.read(org).await.unwrap()).await.unwrap();
    let read_system = async || one(&mut store.read_system().await.unwrap()).await.unwrap();
    let write = async || {
        let work = store.write(org, |tx| Box::pin(async move { one(tx.conn()).await }));
        work.await.unwrap();
    };
    let write_system = async || {
        let work = store.write_system(|tx| Box::pin(async move { one(tx.conn()).await }));
        work.await.unwrap();
    };
    // The first run connects and prepares the statement.
    turns.of(store.pools().0, read()).await;
    turns.of(store.pools().1, read_system()).await;
    // BEGIN, the statement, COMMIT, and the test of the released connection.
    assert_eq!(turns.of(store.pools().1, write_system()).await, 4);
    assert_eq!(turns.of(store.pools().0, write()).await, 4);
    // The statement and the test. A tenant's read also has a BEGIN; its ROLLBACK is sent with the
    // test.
    assert_eq!(turns.of(store.pools().1, read_system()).await, 2);
    assert_eq!(turns.of(store.pools().0, read()).await, 3);
    store.close().await;
    fresh.close().await;
}

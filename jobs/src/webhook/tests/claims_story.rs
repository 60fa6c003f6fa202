//! Concurrent claims, with tokens and without: an endpoint never has more than four attempts running.

use super::*;
use crate::{
    error::Fault,
    model::token::RowToken,
    store::system::{
        delivery_claims,
        dispatches::{DELIVERIES, Dispatched, Room},
    },
};

const LAPSE_MS: i64 = 25_000;
const RUNNING: &str = "SELECT count(*) FROM delivery WHERE status = 'running'";

/// Opens a cluster's world with one endpoint and this many due deliveries; `None` if there is no
/// PostgreSQL to test with.
async fn with_due(deliveries: usize) -> Option<World> {
    let world = World::open(&database().await?, None).await;
    let nowhere = "http://127.0.0.1:1/";
    world.endpoint(nowhere, &[]).await;
    for _ in 0..deliveries {
        world.emit(EventType::MessageSent).await;
    }
    Some(world)
}

/// Marks the rows that the relay would push.
async fn dispatch(world: &World) -> Vec<Dispatched> {
    let now = world.clock.now();
    let room = Room {
        now,
        lost_before: now - 30_000,
        most: 100,
        pushed: 100,
    };
    let dispatch = world.store.write_system(move |tx| {
        Box::pin(async move { Ok::<_, Fault>(DELIVERIES.dispatch(tx, room).await?) })
    });
    dispatch.await.unwrap()
}

/// Claims with a token. The transaction stays open until `open` has ended.
async fn by_token(
    store: Store,
    now: i64,
    token: Dispatched,
    open: impl Future<Output = ()> + Send + 'static,
) -> bool {
    let claim = store.write_system(move |tx| {
        Box::pin(async move {
            let token = RowToken {
                id: token.id,
                attempts: token.attempts,
                generation: token.generation,
            };
            let span = (now, now + LAPSE_MS);
            let org = DELIVERIES.claim(tx, token, span).await?;
            open.await;
            Ok::<_, Fault>(org.is_some())
        })
    });
    claim.await.unwrap()
}

/// Claims the due rows without tokens.
async fn directly(store: Store, now: i64) -> usize {
    let claim = store.write_system(move |tx| {
        Box::pin(async move {
            let claimed = delivery_claims::claim(tx, now, now + LAPSE_MS, 64).await?;
            Ok::<_, Fault>(claimed.len())
        })
    });
    claim.await.unwrap()
}

#[tokio::test]
async fn a_claim_that_is_not_yet_committed_counts() {
    let Some(world) = with_due(20).await else {
        return;
    };
    let token = dispatch(&world).await.remove(0);
    let now = world.clock.now();
    let (commit, held) = tokio::sync::oneshot::channel::<()>();
    let (claimed, is_claimed) = tokio::sync::oneshot::channel::<()>();
    let open = async move {
        claimed.send(()).unwrap();
        held.await.unwrap();
    };
    let tasks = TaskTracker::new();
    let first = tasks.spawn(by_token(world.store.clone(), now, token, open));
    is_claimed.await.unwrap();
    let second = tasks.spawn(directly(world.store.clone(), now));
    // It waits for the first claim, or has passed it over.
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while !second.is_finished() && count(&world, waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    commit.send(()).unwrap();
    assert!(first.await.unwrap());
    assert_eq!(second.await.unwrap(), 3);
    assert_eq!(count(&world, RUNNING).await, 4);
}

#[tokio::test]
async fn a_token_whose_endpoint_has_no_room_is_taken_back() {
    let Some(world) = with_due(1).await else {
        return;
    };
    let token = dispatch(&world).await.remove(0);
    // The others become due earlier and are claimed without a token.
    let later = "UPDATE delivery SET due_at = due_at + 1000";
    let postpone = world.store.write_system(move |tx| {
        Box::pin(async move {
            sqlx::query(later).execute(tx.conn()).await?;
            Ok::<_, Fault>(())
        })
    });
    postpone.await.unwrap();
    for _ in 0..4 {
        world.emit(EventType::MessageSent).await;
    }
    world.clock.advance(Duration::from_secs(2));
    let now = world.clock.now();
    assert_eq!(directly(world.store.clone(), now).await, 4);
    assert!(!by_token(world.store.clone(), now, token, async {}).await);
    assert_eq!(count(&world, RUNNING).await, 4);
    let waits = "SELECT count(*) FROM delivery WHERE status = 'due' AND dispatched_at IS NULL";
    assert_eq!(
        count(&world, waits).await,
        1,
        "and is to be dispatched again"
    );
}

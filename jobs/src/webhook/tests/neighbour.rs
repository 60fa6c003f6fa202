//! Shares: what one organisation's deliveries, and those to an endpoint that fails, take from the others.

use super::{receiver::Answer, *};
use crate::{
    error::Fault,
    store::system::{
        delivery_claims,
        dispatches::{DELIVERIES, Room},
    },
};

const NOWHERE: &str = "http://127.0.0.1:1/";

/// Claims at most so many deliveries, with tokens or without. Returns how many were claimed.
async fn claim(world: &World, limit: i64) -> usize {
    let now = world.clock.now();
    let claim = world.store.write_system(move |tx| {
        Box::pin(async move {
            let claimed = delivery_claims::claim(tx, now, now + 25_000, limit).await?;
            Ok::<_, Fault>(claimed.len())
        })
    });
    claim.await.unwrap()
}

async fn dispatch(world: &World) -> usize {
    let now = world.clock.now();
    let room = Room {
        now,
        lost_before: now - 30_000,
        most: 100,
        pushed: 100,
    };
    let dispatch = world.store.write_system(move |tx| {
        Box::pin(async move { Ok::<_, Fault>(DELIVERIES.dispatch(tx, room).await?.len()) })
    });
    dispatch.await.unwrap()
}

/// Returns how many attempts are running to endpoints that fail, and to the others.
async fn running(world: &World) -> (i64, i64) {
    let failing = "SELECT count(*) FROM delivery d JOIN endpoint p ON p.id = d.endpoint_id \
        WHERE d.status = 'running' AND p.failures >= 8";
    let all = "SELECT count(*) FROM delivery WHERE status = 'running'";
    let (failing, all) = (count(world, failing).await, count(world, all).await);
    (failing, all - failing)
}

/// Marks every endpoint so far as failing.
async fn fail_all(world: &World) {
    let fail = world.store.write_system(|tx| {
        Box::pin(async move {
            let fail = sqlx::query("UPDATE endpoint SET failures = 8, failing_since = 1");
            fail.execute(tx.conn()).await?;
            Ok::<_, Fault>(())
        })
    });
    fail.await.unwrap();
}

#[tokio::test]
async fn one_organisation_has_sixteen_attempts_at_once_and_another_begins_at_once() {
    for mut world in worlds().await {
        for _ in 0..10 {
            world.endpoint(NOWHERE, &[]).await;
        }
        for _ in 0..10 {
            world.emit(EventType::MessageSent).await;
        }
        assert_eq!(claim(&world, 64).await, 16);
        assert_eq!(claim(&world, 64).await, 0);
        world.org = OrgId::new(&world.clock);
        world.add_organisation(world.org).await;
        world.endpoint(NOWHERE, &[]).await;
        for _ in 0..10 {
            world.emit(EventType::MessageSent).await;
        }
        // Fewer than the other organisation has waiting before it.
        assert_eq!(claim(&world, 3).await, 3);
        assert_eq!(claim(&world, 64).await, 1);
    }
}

#[tokio::test]
async fn endpoints_that_fail_are_tried_one_at_a_time_and_leave_room_for_the_others() {
    for world in worlds().await {
        for _ in 0..12 {
            world.endpoint(NOWHERE, &[]).await;
        }
        fail_all(&world).await;
        world.endpoint(NOWHERE, &[EventType::MessageRead]).await;
        world.endpoint(NOWHERE, &[EventType::MessageRead]).await;
        for _ in 0..10 {
            world.emit(EventType::MessageSent).await;
        }
        for _ in 0..10 {
            world.emit(EventType::MessageRead).await;
        }
        while claim(&world, 64).await > 0 {}
        assert_eq!(running(&world).await, (8, 8));
        let endpoints = "SELECT count(DISTINCT endpoint_id) FROM delivery WHERE status = 'running'";
        assert_eq!(count(&world, endpoints).await, 8 + 2);
    }
}

#[tokio::test]
async fn tokens_are_pushed_within_the_same_shares() {
    let Some(database) = database().await else {
        return;
    };
    let world = World::open(&database, None).await;
    for _ in 0..12 {
        world.endpoint(NOWHERE, &[]).await;
    }
    fail_all(&world).await;
    world.endpoint(NOWHERE, &[EventType::MessageRead]).await;
    world.endpoint(NOWHERE, &[EventType::MessageRead]).await;
    for _ in 0..10 {
        world.emit(EventType::MessageSent).await;
        world.emit(EventType::MessageRead).await;
    }
    let mut pushed = 0;
    loop {
        match dispatch(&world).await {
            0 => break,
            more => pushed += more,
        }
    }
    assert_eq!(pushed, 16);
    let failing = "SELECT count(*) FROM delivery d JOIN endpoint p ON p.id = d.endpoint_id \
        WHERE d.dispatched_at IS NOT NULL AND p.failures >= 8";
    assert_eq!(count(&world, failing).await, 8);
}

#[tokio::test]
async fn a_success_ends_the_time_in_which_an_endpoint_is_tried_one_at_a_time() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(503)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        let counted = async {
            while count(&world, "SELECT failures FROM endpoint").await < 8 {
                receiver.next().await;
            }
        };
        let counted = tokio::time::timeout(receiver::SOON, counted).await;
        counted.expect("failures are counted");
        receiver.answer(Answer::Status(200));
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
        let failures = count(&world, "SELECT failures FROM endpoint").await;
        assert_eq!(failures, 0);
        for _ in 0..10 {
            world.emit(EventType::MessageSent).await;
        }
        assert_eq!(claim(&world, 64).await, 4);
    }
}

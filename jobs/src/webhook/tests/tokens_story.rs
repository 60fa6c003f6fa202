//! Deliveries with tokens in Redis: whatever happens to Redis or to a token, no webhook is lost and none
//! is posted twice.

use std::collections::BTreeSet;

use super::{receiver::Answer, redis_server::RedisServer, *};
use crate::store::system::dispatches::{DELIVERIES, Room};

/// A test's own Redis, a world on it, a receiver that accepts everything, and its one endpoint.
struct Story {
    redis: RedisServer,
    world: World,
    receiver: Receiver,
}

impl Story {
    /// Returns `None` if there is no PostgreSQL or Redis to test with.
    async fn start() -> Option<Self> {
        let redis = RedisServer::start().await?;
        let world = World::with_redis(redis.url()).await?;
        let receiver = Receiver::start(vec![Answer::Status(200)]).await;
        world.endpoint(&receiver.url, &[]).await;
        Some(Self {
            redis,
            world,
            receiver,
        })
    }

    async fn travels(&self, up: bool) {
        let turned = eventually(async || (self.world.link.travels() == Some(up)).then_some(()));
        turned
            .await
            .unwrap_or_else(|| panic!("tokens travel: not {up}"));
    }

    /// Emits one event and waits for it to arrive.
    async fn delivers(&mut self) {
        let event = self.world.emit(EventType::MessageSent).await;
        assert_eq!(self.receiver.next().await.id(), event.to_string());
        self.world.all_stand(DeliveryStatus::Delivered).await;
    }

    /// Emits an event whose delivery is marked as dispatched, but pushes no token for it.
    async fn emit_dispatched(&self) -> EventId {
        let (org, clock) = (self.world.org, self.world.clock.clone());
        let key = self.world.vault.org_key(org).await.unwrap();
        let told = emit::NewEvent {
            message: None,
            org,
            session: None,
            kind: EventType::MessageSent,
            data: serde_json::json!({}),
        };
        let work = self.world.store.write_system(move |tx| {
            Box::pin(async move {
                let event = emit::emit(tx, &key, told, &clock).await?;
                let now = clock.now();
                let room = Room {
                    now,
                    lost_before: now - 30_000,
                    most: 10,
                    pushed: 10,
                };
                assert_eq!(DELIVERIES.dispatch(tx, room).await?.len(), 1);
                Ok::<_, crate::error::Fault>(event)
            })
        });
        work.await.unwrap()
    }

    /// Puts a job into the queue with the argument `data`, or without one.
    async fn put(&self, id: &str, data: Option<&[u8]>) {
        let queue = self.world.queue();
        let mut conn = self.redis.connection().await.unwrap();
        let mut pipe = redis::pipe();
        if let Some(data) = data {
            pipe.hset(format!("{queue}:data"), id, data).ignore();
        }
        pipe.hset_multiple(
            format!("{queue}:meta:{id}"),
            &[
                ("attempts", "0"),
                ("max_attempts", "25"),
                ("status", "Pending"),
            ],
        )
        .ignore();
        pipe.rpush(format!("{queue}:active"), id).ignore();
        pipe.exec_async(&mut conn).await.unwrap();
    }

    /// Waits until nothing of any token is left in Redis.
    async fn nothing_left(&self) {
        let queue = self.world.queue();
        let left = eventually(async || {
            let mut left: Vec<String> = self.redis.ask(&format!("KEYS {queue}:meta:*")).await;
            for kind in ["data", "active", "scheduled", "done", "dead", "inflight:*"] {
                left.extend(
                    self.redis
                        .ask::<Vec<_>>(&format!("KEYS {queue}:{kind}"))
                        .await,
                );
            }
            left.is_empty().then_some(())
        });
        left.await.expect("every token is taken and swept away");
    }

    /// Returns the worker that Redis considers alive.
    async fn worker(&self) -> Option<String> {
        let workers = format!("ZRANGE {}:workers -1 -1", self.world.queue());
        self.redis.ask::<Vec<String>>(&workers).await.pop()
    }

    /// Checks that every delivery succeeded on its first attempt and was posted once.
    async fn each_once(&mut self, events: BTreeSet<String>) {
        let count_of = i64::try_from(events.len()).unwrap();
        let mut got = Vec::new();
        for _ in 0..events.len() {
            got.push(self.receiver.next().await.id().to_owned());
        }
        let delivered = eventually(async || {
            let delivered =
                "SELECT count(*) FROM delivery WHERE status = 'delivered' AND attempts = 1";
            (count(&self.world, delivered).await == count_of).then_some(())
        });
        delivered.await.expect("everything is delivered");
        assert_eq!(
            count(&self.world, "SELECT count(*) FROM attempt").await,
            count_of
        );
        assert!(
            self.receiver.rest().is_empty(),
            "something was posted twice"
        );
        assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), events);
    }
}

/// Asks until there is an answer, for as long as the slowest of these stories may take.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON * 5, asking).await.ok()
}

fn token(id: &str, attempt: i64, generation: i64) -> Vec<u8> {
    let token = serde_json::json!({
        "v": 1, "kind": "deliver_webhook", "id": id, "attempt": attempt, "gen": generation
    });
    token.to_string().into_bytes()
}

#[tokio::test]
async fn a_token_that_comes_twice_or_late_changes_nothing() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let hanging = Receiver::start(vec![Answer::Hang]).await;
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    let done = story.world.deliveries(Wanted::default()).await.remove(0);
    // One that is running, as well.
    let (slow, _) = story
        .world
        .endpoint(&hanging.url, &[EventType::MessageRead])
        .await;
    story.world.emit(EventType::MessageRead).await;
    story.receiver.next().await;
    let running = eventually(async || {
        let wanted = Wanted {
            endpoint: Some(slow),
            status: Some(DeliveryStatus::Running),
        };
        story.world.deliveries(wanted).await.pop()
    });
    let running = running.await.expect("an attempt is under way");
    for id in [done.id.to_string(), running.id.to_string()] {
        for (attempt, generation) in [(1, 1), (1, 1), (1, 0), (1, 2), (2, 1), (0, 1)] {
            let name = rand::random::<u64>().to_string();
            let token = token(&id, attempt, generation);
            story.put(&name, Some(&token)).await;
        }
    }
    let left = eventually(async || {
        let waiting: u64 = story
            .redis
            .ask(&format!("LLEN {}:active", story.world.queue()))
            .await;
        let held: u64 = story
            .redis
            .ask(&format!("HLEN {}:data", story.world.queue()))
            .await;
        // The one whose attempt hangs.
        (waiting == 0 && held == 1).then_some(())
    });
    left.await.expect("the tokens are taken");
    assert!(story.receiver.rest().is_empty());
    assert_eq!(count(&story.world, "SELECT count(*) FROM attempt").await, 2);
    let now = story.world.deliveries(Wanted::default()).await;
    let now = now.iter().find(|one| one.id == running.id).unwrap();
    assert_eq!((now.status, now.attempts), (DeliveryStatus::Running, 0));
    worker.kill().await;
}

#[tokio::test]
async fn what_an_emptied_redis_held_is_delivered_once() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let workers = [story.world.start(), story.world.start()];
    story.travels(true).await;
    let mut events = BTreeSet::new();
    for n in 0..300 {
        let event = story.world.emit(EventType::MessageSent).await;
        events.insert(event.to_string());
        if n % 20 == 0 {
            story.redis.ask::<String>("FLUSHALL").await;
        }
    }
    story.each_once(events).await;
    story.travels(true).await;
    story.delivers().await;
    story.nothing_left().await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn what_an_emptied_redis_held_is_pushed_again_without_waiting_until_it_is_taken_for_lost() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    // Stands for a token that was still in Redis.
    let event = story.emit_dispatched().await;
    story.redis.ask::<String>("FLUSHALL").await;
    // Otherwise it would count as lost only after 30 s.
    let arrived = tokio::time::timeout(Duration::from_secs(15), story.receiver.next());
    let arrived = arrived.await.expect("it is pushed again at once");
    assert_eq!(arrived.id(), event.to_string());
    story.world.all_stand(DeliveryStatus::Delivered).await;
    worker.stop().await;
}

#[tokio::test]
async fn while_redis_is_dead_deliveries_go_out_and_then_travel_again() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    let before = story.worker().await.expect("a worker lives");
    for _ in 0..2 {
        story.redis.kill();
        for _ in 0..5 {
            story.delivers().await;
        }
        story.travels(false).await;
        story.redis.restart().await;
        story.travels(true).await;
        story.delivers().await;
        story.nothing_left().await;
    }
    let after = eventually(async || story.worker().await).await;
    assert_ne!(after.expect("a worker lives"), before);
    let by_token = "SELECT generation FROM delivery ORDER BY id DESC LIMIT 1";
    assert_eq!(
        count(&story.world, by_token).await,
        1,
        "the last one travelled"
    );
    worker.stop().await;
}

#[tokio::test]
async fn while_redis_is_full_deliveries_go_out() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.redis.ask::<String>("CONFIG SET maxmemory 1").await;
    for _ in 0..5 {
        story.delivers().await;
    }
    story.travels(false).await;
    story.redis.ask::<String>("CONFIG SET maxmemory 0").await;
    story.travels(true).await;
    story.delivers().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_stall_is_waited_out_and_a_long_one_starts_the_worker_again_under_a_new_name() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    let first = story.worker().await.expect("a worker lives");
    story.redis.signal("STOP");
    tokio::time::sleep(Duration::from_millis(800)).await;
    story.redis.signal("CONT");
    story.delivers().await;
    assert_eq!(story.worker().await, Some(first.clone()), "it waited");
    story.redis.signal("STOP");
    story.travels(false).await;
    story.delivers().await;
    story.redis.signal("CONT");
    story.travels(true).await;
    story.delivers().await;
    let second = eventually(async || story.worker().await.filter(|name| *name != first));
    second.await.expect("a worker of another name");
    worker.stop().await;
}

#[tokio::test]
async fn tokens_that_nobody_can_read_stop_nothing() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    let name = story.worker().await;
    let id = story.world.deliveries(Wanted::default()).await[0].id;
    let later = format!(r#"{{"v":2,"kind":"deliver_webhook","id":"{id}","attempt":1,"gen":1}}"#);
    let other = format!(r#"{{"v":1,"kind":"fetch_media","id":"{id}","attempt":1,"gen":1}}"#);
    for (n, data) in ["\u{1}\u{2}nonsense", "", "null", "[]", "{}", &later, &other]
        .into_iter()
        .enumerate()
    {
        story
            .put(&format!("poison{n}"), Some(data.as_bytes()))
            .await;
    }
    story.delivers().await;
    story.nothing_left().await;
    assert_eq!(story.worker().await, name, "none of them ended the worker");
    // Jobs without an argument, as an evicting Redis leaves them: apalis cannot fetch them.
    for n in 0..10 {
        story.put(&format!("hollow{n}"), None).await;
    }
    story.delivers().await;
    story.nothing_left().await;
    story.travels(true).await;
    story.delivers().await;
    worker.stop().await;
}

#[cfg(feature = "sandbox")]
#[tokio::test]
async fn an_attempt_that_panics_ends_alone_and_is_made_again() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    fail::cfg("delivery.claimed", "1*panic(on purpose)").unwrap();
    let worker = story.world.start();
    story.travels(true).await;
    let unlucky = story.world.emit(EventType::MessageSent).await;
    let panicked = eventually(async || {
        let counted = "SELECT count(*) FROM delivery WHERE attempts > 0";
        (count(&story.world, counted).await == 1).then_some(())
    });
    panicked.await.expect("the attempt is counted");
    let name = story.worker().await;
    let event = story.world.emit(EventType::MessageSent).await;
    let (one, other) = (story.receiver.next().await, story.receiver.next().await);
    let arrived = BTreeSet::from([one.id().to_owned(), other.id().to_owned()]);
    let told = BTreeSet::from([event.to_string(), unlucky.to_string()]);
    assert_eq!(arrived, told);
    assert_eq!(story.worker().await, name, "the worker lives on");
    story.world.all_stand(DeliveryStatus::Delivered).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_token_that_was_never_pushed_is_taken_for_lost() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    let worker = story.world.start();
    story.travels(true).await;
    story.delivers().await;
    // What remains of a process that was killed between the commit and the push.
    let event = story.emit_dispatched().await;
    story.world.age_deliveries(Duration::from_secs(31));
    assert_eq!(story.receiver.next().await.id(), event.to_string());
    story.world.all_stand(DeliveryStatus::Delivered).await;
    let generation = "SELECT generation FROM delivery ORDER BY id DESC LIMIT 1";
    assert_eq!(count(&story.world, generation).await, 2);
    worker.stop().await;
}

/// At some 8,000 due jobs a fetch of apalis-redis fails, and every one after it.
#[tokio::test]
async fn nine_thousand_due_at_once_drain_with_a_bounded_number_of_tokens() {
    let Some(mut story) = Story::start().await else {
        return;
    };
    // Of many organisations, because each has few at once.
    for _ in 0..100 {
        story.world.org = OrgId::new(&story.world.clock);
        story.world.add_organisation(story.world.org).await;
        for _ in 0..9 {
            let url = story.receiver.url.clone();
            story.world.endpoint(&url, &[]).await;
        }
        for _ in 0..10 {
            story.world.emit(EventType::MessageSent).await;
        }
    }
    assert_eq!(
        count(&story.world, "SELECT count(*) FROM delivery").await,
        9_000
    );
    let queue = story.world.queue();
    let worker = story.world.start();
    let mut most = 0;
    let drained = eventually(async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut conn = story.redis.connection().await.unwrap();
        // In one step: a token pushed between two reads would be counted twice.
        let waiting: (u64, u64) = redis::pipe()
            .atomic()
            .llen(format!("{queue}:active"))
            .zcard(format!("{queue}:scheduled"))
            .query_async(&mut conn)
            .await
            .unwrap();
        most = most.max(waiting.0 + waiting.1);
        let delivered = "SELECT count(*) FROM delivery WHERE status = 'delivered'";
        (count(&story.world, delivered).await == 9_000).then_some(())
    });
    drained.await.expect("everything is delivered");
    assert!(
        (200..=2_000).contains(&most),
        "{most} tokens waited at once"
    );
    assert_eq!(
        count(&story.world, "SELECT count(*) FROM attempt").await,
        9_000
    );
    assert_eq!(story.receiver.rest().len(), 9_000);
    story.nothing_left().await;
    worker.stop().await;
}

//! What a tenant's receiver can rely on.

use hmac::{Hmac, KeyInit as _, Mac as _};
use standardwebhooks::Webhook;

use super::{receiver::Answer, *};
use crate::model;

/// Checks the signature with the crate's own verifier and by hand.
fn verify(got: &receiver::Got, secret: &Secret) {
    let own = Webhook::new(secret.reveal()).unwrap();
    own.verify(&got.body, &got.headers).unwrap();
    let key = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        secret.reveal().strip_prefix("whsec_").unwrap(),
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key.unwrap()).unwrap();
    let stamp = got.headers["webhook-timestamp"].to_str().unwrap();
    mac.update(format!("{}.{stamp}.", got.id()).as_bytes());
    mac.update(&got.body);
    let mac = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        mac.finalize().into_bytes(),
    );
    let signatures = got.headers["webhook-signature"].to_str().unwrap();
    assert!(
        signatures
            .split(' ')
            .any(|signature| signature == format!("v1,{mac}"))
    );
}

#[tokio::test]
async fn an_event_arrives_signed_in_its_envelope() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(204)]).await;
        let (_, secret) = world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        let event = world.emit(EventType::MessageReceived).await;
        let got = receiver.next().await;
        verify(&got, &secret);
        assert_eq!(got.id(), event.to_string());
        assert_eq!(got.headers["content-type"], "application/json");
        assert!(
            got.headers["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("passerelle/")
        );
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(body["type"], "message.received");
        assert_eq!(body["id"], event.to_string());
        assert_eq!(body["org_id"], world.org.to_string());
        assert_eq!(body["data"]["message"]["text"], "grüße 👋");
        let delivered = world.all_stand(DeliveryStatus::Delivered).await;
        assert_eq!((delivered.len(), delivered[0].attempts), (1, 1));
        let attempts = world.attempts(&delivered[0]).await;
        assert_eq!(
            (
                attempts.len(),
                attempts[0].http_status,
                attempts[0].error.as_deref()
            ),
            (1, Some(204), None)
        );
        worker.stop().await;
        assert_eq!(receiver.rest().len(), 0, "once is enough");
    }
}

#[tokio::test]
async fn an_endpoint_gets_only_the_types_it_wants() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(200)]).await;
        world
            .endpoint(
                &receiver.url,
                &[EventType::MessageSent, EventType::MessageRead],
            )
            .await;
        let worker = world.start();
        world.emit(EventType::MessageDelivered).await;
        let read = world.emit(EventType::MessageRead).await;
        assert_eq!(receiver.next().await.id(), read.to_string());
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
        assert_eq!(receiver.rest().len(), 0);
        assert_eq!(count(&world, "SELECT count(*) FROM event").await, 2);
    }
}

#[tokio::test]
async fn a_link_is_valid_for_a_day_from_the_attempt_or_until_its_file_is_deleted() {
    let hours = |hours| Duration::from_hours(hours);
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(204)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let emitted = world.clock.now();
        for kept_for in [hours(72), hours(40)] {
            world.emit_file(kept_for).await;
        }
        // As after some attempts that failed.
        world.clock.advance(hours(30));
        let worker = world.start();
        let mut valid_for = Vec::new();
        for _ in 0..2 {
            let got = receiver.next().await;
            let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
            let media = &body["data"]["media"];
            let url = media["url"].as_str().unwrap();
            let signed = url.strip_prefix("https://files.example/media/").unwrap();
            let until: i64 = signed.split('.').nth(2).unwrap().parse().unwrap();
            assert_eq!(media["url_expires_at"], model::rfc3339(until));
            valid_for.push((until - emitted) / 3_600_000);
        }
        valid_for.sort_unstable();
        assert_eq!(valid_for, [40, 54]);
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_failed_attempt_is_made_again_under_the_same_id() {
    for world in worlds().await {
        let answers = [500, 302, 404].map(Answer::Status).into_iter();
        let answers = answers.chain([Answer::Status(200)]).collect();
        let mut receiver = Receiver::start(answers).await;
        let (endpoint, secret) = world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        let event = world.emit(EventType::MessageSent).await;
        for _ in 0..4 {
            let got = receiver.next().await;
            assert_eq!(got.id(), event.to_string());
            verify(&got, &secret);
        }
        let delivered = world.all_stand(DeliveryStatus::Delivered).await;
        let statuses: Vec<_> = world
            .attempts(&delivered[0])
            .await
            .iter()
            .map(|made| made.http_status)
            .collect();
        assert_eq!(statuses, [Some(500), Some(302), Some(404), Some(200)]);
        assert_eq!(
            world.read_endpoint(endpoint).await.failing_since,
            None,
            "a success forgets"
        );
        worker.stop().await;
    }
}

#[tokio::test]
async fn the_waits_are_the_schedules_and_the_tenth_attempt_is_the_last() {
    for mut world in worlds().await {
        world.schedule = Schedule::default();
        let mut receiver = Receiver::start(vec![Answer::Status(503)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        for attempt in 1..=9 {
            receiver.next().await;
            let due = tokio::time::timeout(SOON, async {
                loop {
                    let found = world.deliveries(Wanted::default()).await.remove(0);
                    if found.attempts == attempt {
                        return found.next_attempt_at.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let wait = due.await.unwrap() - world.clock.now();
            let wait = Duration::from_millis(u64::try_from(wait).unwrap());
            let named = Schedule::default()
                .next_attempt(attempt, None, 0.5)
                .unwrap();
            assert!(wait <= named.mul_f64(1.2), "{attempt}: {wait:?}");
            assert!(
                wait + Duration::from_secs(3) >= named.mul_f64(0.8),
                "{attempt}: {wait:?}"
            );
            // Not earlier: the receiver gets nothing before the clock is there.
            assert_eq!(receiver.rest().len(), 0);
            world.age_deliveries(wait);
        }
        receiver.next().await;
        let dead = world.all_stand(DeliveryStatus::Dead).await;
        assert_eq!((dead[0].attempts, dead[0].next_attempt_at), (10, None));
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    for world in worlds().await {
        let mut inside = Receiver::start(vec![Answer::Status(200)]).await;
        let redirect = Answer::With(302, "location", inside.url.clone());
        let mut receiver = Receiver::start(vec![redirect, Answer::Status(200)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        receiver.next().await;
        receiver.next().await;
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
        assert_eq!(inside.rest().len(), 0);
    }
}

#[tokio::test]
async fn gone_disables_at_once_and_tells_the_other_endpoints() {
    for world in worlds().await {
        let mut gone = Receiver::start(vec![Answer::Status(410)]).await;
        let mut other = Receiver::start(vec![Answer::Status(200)]).await;
        let (endpoint, _) = world.endpoint(&gone.url, &[]).await;
        world
            .endpoint(&other.url, &[EventType::EndpointDisabled])
            .await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        gone.next().await;
        let told: serde_json::Value = serde_json::from_slice(&other.next().await.body).unwrap();
        assert_eq!(told["type"], "endpoint.disabled");
        assert_eq!(told["data"]["endpoint"]["id"], endpoint.to_string());
        assert_eq!(told["data"]["endpoint"]["disabled_reason"], "gone");
        let (_, why) = world.read_endpoint(endpoint).await.disabled.unwrap();
        assert_eq!(why, model::endpoint::Disabled::Gone);
        world.emit(EventType::MessageSent).await;
        worker.stop().await;
        assert_eq!(gone.rest().len(), 0, "a disabled endpoint gets nothing");
    }
}

#[tokio::test]
async fn five_days_of_failure_disable_and_four_do_not() {
    for mut world in worlds().await {
        world.schedule = Schedule::default();
        let mut receiver = Receiver::start(vec![Answer::Status(500)]).await;
        let (endpoint, _) = world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        let day = Duration::from_hours(24);
        for days in 0..5_u32 {
            let disabled = world.read_endpoint(endpoint).await.disabled;
            assert_eq!(disabled, None, "after {days} days");
            let before = world
                .deliveries(Wanted::default())
                .await
                .iter()
                .map(|found| found.attempts)
                .sum::<i64>();
            world.emit(EventType::MessageSent).await;
            receiver.next().await;
            let recorded = async {
                loop {
                    let all = world.deliveries(Wanted::default()).await;
                    let idle = all.iter().all(|found| {
                        found.status != DeliveryStatus::Running
                            && found
                                .next_attempt_at
                                .is_none_or(|at| at > world.clock.now())
                    });
                    if idle && all.iter().map(|found| found.attempts).sum::<i64>() > before {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(SOON, recorded)
                .await
                .expect("the attempts are recorded");
            world.age_deliveries(day);
        }
        world.all_stand(DeliveryStatus::Dead).await;
        let (_, why) = world
            .read_endpoint(endpoint)
            .await
            .disabled
            .expect("disabled on the fifth day");
        assert_eq!(why, model::endpoint::Disabled::Failing);
        worker.stop().await;
    }
}

#[tokio::test]
async fn after_a_rotation_both_secrets_verify_for_a_day() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(200)]).await;
        let (endpoint, old) = world.endpoint(&receiver.url, &[]).await;
        let new = Secret(sign::new_secret(&mut rand::rngs::StdRng::seed_from_u64(5)));
        let key = world.vault.org_key(world.org).await.unwrap();
        let (org, signing) = (world.org, new.clone());
        let until = world.clock.now() + 24 * 3600 * 1000;
        let rotated = world.store.write(org, move |tx| {
            Box::pin(
                async move { endpoints::rotate(tx, &key, org, endpoint, &signing, until).await },
            )
        });
        assert!(rotated.await.unwrap());
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        let got = receiver.next().await;
        verify(&got, &old);
        verify(&got, &new);
        // The gateway's clock is a day ahead; the age of the signature is not checked here.
        world.age_deliveries(Duration::from_hours(24));
        world.emit(EventType::MessageSent).await;
        let later = receiver.next().await;
        let signatures = later.headers["webhook-signature"].to_str().unwrap();
        assert_eq!(signatures.split(' ').count(), 1, "the old secret is over");
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_hanging_endpoint_holds_up_no_other_and_gets_four_at_once() {
    for world in worlds().await {
        let mut hanging = Receiver::start(vec![Answer::Hang]).await;
        let mut quick = Receiver::start(vec![Answer::Status(200)]).await;
        let (slow, _) = world
            .endpoint(&hanging.url, &[EventType::MessageReceived])
            .await;
        world.endpoint(&quick.url, &[EventType::MessageSent]).await;
        let worker = world.start();
        for _ in 0..100 {
            world.emit(EventType::MessageReceived).await;
        }
        for _ in 0..4 {
            hanging.next().await;
        }
        for _ in 0..20 {
            world.emit(EventType::MessageSent).await;
            let got = tokio::time::timeout(Duration::from_secs(5), quick.next()).await;
            got.expect("the quick endpoint is not held up by 15 s");
        }
        let wanted = Wanted {
            endpoint: Some(slow),
            status: Some(DeliveryStatus::Running),
        };
        assert_eq!(world.deliveries(wanted).await.len(), 4);
        assert_eq!(hanging.rest().len(), 0, "never a fifth at once");
        worker.kill().await;
    }
}

#[tokio::test]
async fn a_slow_reply_is_a_timeout() {
    for mut world in worlds().await {
        world.deadline.total = Duration::from_millis(300);
        let mut receiver = Receiver::start(vec![Answer::Hang, Answer::Status(200)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        let (first, second) = (receiver.next().await, receiver.next().await);
        assert_eq!(first.id(), second.id());
        let delivered = world.all_stand(DeliveryStatus::Delivered).await;
        let attempts = world.attempts(&delivered[0]).await;
        assert_eq!(
            (attempts[0].http_status, attempts[0].error.as_deref()),
            (None, Some("timeout"))
        );
        assert!(attempts[0].took_ms >= 300);
        worker.stop().await;
    }
}

#[tokio::test]
async fn of_a_huge_reply_16_kib_are_kept() {
    for world in worlds().await {
        let receiver = Receiver::start(vec![Answer::Body(64 * 1024 * 1024)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        let delivered = world.all_stand(DeliveryStatus::Delivered).await;
        let attempts = world.attempts(&delivered[0]).await;
        assert_eq!(attempts[0].reply.as_ref().unwrap().len(), client::REPLY_MAX);
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_address_that_leads_inside_is_never_dialled() {
    for mut world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Status(200)]).await;
        world.endpoint(&receiver.url, &[]).await;
        let by_name = receiver.url.replace("127.0.0.1", "localhost");
        world.endpoint(&by_name, &[]).await;
        world.schedule = Schedule::default();
        world.egress = Egress::default();
        let worker = world.start();
        world.emit(EventType::MessageSent).await;
        let refused = async {
            while count(
                &world,
                "SELECT count(*) FROM attempt WHERE error = 'url_not_allowed'",
            )
            .await
                < 2
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, refused)
            .await
            .expect("both are refused");
        worker.stop().await;
        assert_eq!(receiver.rest().len(), 0);
    }
}

#[tokio::test]
async fn a_crash_between_post_and_commit_delivers_again_under_the_same_id() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Hang]).await;
        world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        let event = world.emit(EventType::MessageSent).await;
        receiver.next().await;
        worker.kill().await;
        let running = world.deliveries(Wanted::default()).await;
        assert_eq!(
            (running[0].status, running[0].attempts),
            (DeliveryStatus::Running, 0)
        );
        receiver.answer(Answer::Status(200));
        world.age_deliveries(Duration::from_secs(61));
        let next = world.start();
        assert_eq!(receiver.next().await.id(), event.to_string());
        let delivered = world.all_stand(DeliveryStatus::Delivered).await;
        assert_eq!(delivered[0].attempts, 1);
        next.stop().await;
    }
}

#[tokio::test]
async fn what_is_stored_is_sealed() {
    for world in worlds().await {
        let mut receiver = Receiver::start(vec![Answer::Body(9)]).await;
        let (_, secret) = world.endpoint(&receiver.url, &[]).await;
        let worker = world.start();
        world.emit(EventType::MessageReceived).await;
        receiver.next().await;
        world.all_stand(DeliveryStatus::Delivered).await;
        worker.stop().await;
        let mut conn = world.store.read_system().await.unwrap();
        for sql in [
            "SELECT url_sealed FROM endpoint",
            "SELECT secret_sealed FROM endpoint",
            "SELECT body_sealed FROM event",
            "SELECT reply_sealed FROM attempt",
        ] {
            let stored: Vec<u8> = sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap();
            for plain in [
                receiver.url.as_bytes(),
                secret.reveal().as_bytes(),
                "grüße".as_bytes(),
                b"xxxxxxxxx",
            ] {
                assert!(
                    !stored.windows(plain.len()).any(|window| window == plain),
                    "{sql}"
                );
            }
        }
    }
}

#[tokio::test]
async fn another_organisation_sees_none_of_it() {
    for world in worlds().await {
        let receiver = Receiver::start(vec![Answer::Status(200)]).await;
        let (endpoint, _) = world.endpoint(&receiver.url, &[]).await;
        world.emit(EventType::MessageSent).await;
        let stranger = OrgId::new(&world.clock);
        world.add_organisation(stranger).await;
        let key = world.vault.org_key(stranger).await.unwrap();
        let mine = world.deliveries(Wanted::default()).await.remove(0);
        let mut conn = world.store.read_system().await.unwrap();
        assert!(
            endpoints::read(&mut conn, &key, stranger, endpoint)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            endpoints::secrets(&mut conn, &key, stranger, endpoint)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            deliveries::read(&mut conn, stranger, mine.id)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            deliveries::attempts(&mut conn, &key, stranger, mine.id)
                .await
                .unwrap()
                .is_empty()
        );
        let page = Page {
            limit: 10,
            after: None,
        };
        assert!(
            deliveries::list(&mut conn, stranger, &Wanted::default(), &page)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        drop(conn);
        let deleted = world.store.write(stranger, move |tx| {
            Box::pin(endpoints::delete(tx, stranger, endpoint))
        });
        assert!(!deleted.await.unwrap());
    }
}

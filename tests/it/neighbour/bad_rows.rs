//! Single rows of the running store are damaged. Each ends with a code, is counted, and holds up no other.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, World, on_both_stores, simulator::Phone, soon};
use serde_json::{Value, json};
use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use super::{UNREADABLE, counted, messages, refuse, unreadable};

on_both_stores!(
    a_message_in_flight_that_cannot_be_read_holds_up_no_takeover,
    a_session_or_organisation_whose_key_is_damaged_holds_up_no_other,
    a_queued_message_that_cannot_be_read_fails_and_its_lane_goes_on,
    an_expired_message_that_cannot_be_read_fails_too,
    an_edit_of_a_message_that_cannot_be_read_holds_up_no_inbound_message,
    an_inbound_message_that_cannot_be_stored_holds_up_no_other_of_its_batch,
    event_types_that_cannot_be_read_hold_up_no_event,
    a_list_stands_without_the_rows_that_cannot_be_read,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const CONTACT: &str = "+4915199000001";
const SIGABRT: i32 = 6;

async fn a_message_in_flight_that_cannot_be_read_holds_up_no_takeover(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.unknown"]).await?;
    let bad = world.linked(NUMBER).await?.id;
    let good = world.linked(OTHER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some("wire.before=return".to_owned());
    world.gateway.start().await?;
    let flying = world.api.send(&bad, CONTACT, "unreadable").await?.id;
    let died = world.gateway.ended(Duration::from_secs(30)).await?;
    assert_eq!(died.signal(), Some(SIGABRT));
    let database = &world.gateway.database;
    database
        .damage("message.content_sealed", "id", &flying)
        .await?;
    world.gateway.kill_and_restart().await?;
    for (session, text) in [(&good, "from the other"), (&bad, "from the same")] {
        world.api.session_in(session, "connected").await?;
        let sent = world.api.send(session, CONTACT, text).await?;
        world.api.message_at(&sent.id, "sent").await?;
    }
    // It may have been written before the process died, so it is not reported as failed.
    let told = receiver.wait_for("message.unknown", 1).await?;
    let message = &told[0].body["data"]["message"];
    assert_eq!(message["id"], json!(flying));
    assert_eq!(message["type"], "unreadable");
    assert_eq!(message["error"]["code"], UNREADABLE);
    let ended = unreadable(&world.api, "/v1/messages?status=unknown").await?;
    assert_eq!(ended, [flying]);
    let counter = "passerelle_unreadable_rows_total{table=\"message\"}";
    assert!(counted(&world, counter).await? >= 1.0);
    world.finish().await
}

async fn a_session_or_organisation_whose_key_is_damaged_holds_up_no_other(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::with(backing, Setup::quick()).await?;
    let (locked, locked_org) = {
        let org = world.admin.create_organisation("Locked").await?;
        let (_, key) = world.admin.create_key(&org, "tests").await?;
        (world.admin.with_key(key), org)
    };
    let of_locked = world.linked_for(&locked, "+4915170000003").await?.id;
    let bad = world.linked(NUMBER).await?.id;
    let good = world.linked(OTHER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    // It also has a message in its lane, so that its lease is taken first.
    let database = &world.gateway.database;
    for id in [&locked_org, &bad] {
        database.damage("data_key.wrapped", "id", id).await?;
    }
    let pending = "UPDATE lane SET pending = 1 WHERE session_id = $1";
    database.execute_on(pending, &of_locked).await?;
    world.gateway.start().await?;
    world.api.session_in(&good, "connected").await?;
    let sent = world.api.send(&good, CONTACT, "as ever").await?;
    world.api.message_at(&sent.id, "sent").await?;
    let refused = locked.get(&format!("/v1/sessions/{of_locked}")).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (500, UNREADABLE));
    let failures = "passerelle_session_failures_total{step=\"open\"}";
    soon("the session was tried twice", async || {
        Ok((counted(&world, failures).await? >= 2.0).then_some(()))
    })
    .await?;
    // It is left alone in between: by now it would have been tried many more times.
    assert!(counted(&world, failures).await? <= 4.0);
    world.finish().await
}

async fn a_queued_message_that_cannot_be_read_fails_and_its_lane_goes_on(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.failed"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let mut ids = Vec::new();
    for text in ["first", "second", "third", "fourth", "fifth"] {
        ids.push(world.api.send(&session, CONTACT, text).await?.id);
    }
    let database = &world.gateway.database;
    database
        .damage("message.content_sealed", "id", &ids[0])
        .await?;
    database
        .damage("message.peer_sealed", "id", &ids[2])
        .await?;
    let unknown = "UPDATE message SET direction = 'sideways' WHERE id = $1";
    database.execute_on(unknown, &ids[3]).await?;
    world.api.connect(&session).await?;
    world.api.message_at(&ids[4], "sent").await?;
    soon("the others are shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        Ok((shown == ["second", "fifth"]).then_some(()))
    })
    .await?;
    let told = receiver.wait_for("message.failed", 3).await?;
    let failed = messages(&told);
    for id in [&ids[0], &ids[2], &ids[3]] {
        let message = failed.get(id).context("its failure is reported")?;
        assert_eq!(message["status"], "failed");
        assert_eq!(message["error"]["code"], UNREADABLE);
        let read = world.api.get(&format!("/v1/messages/{id}")).await?;
        assert_eq!((read.status.as_u16(), read.code()), (500, UNREADABLE));
    }
    let counter = "passerelle_jobs_failed_total{queue=\"send\"}";
    assert!(counted(&world, counter).await? >= 3.0);
    world.finish().await
}

async fn an_expired_message_that_cannot_be_read_fails_too(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world
        .endpoint(&["message.failed", "message.expired"])
        .await?;
    let session = world.api.create_session("offline").await?.id;
    let mut ids = Vec::new();
    for text in ["unreadable", "readable"] {
        let mut body = passerelle_tests::Api::text(&session, CONTACT, text);
        body["expires_at"] = json!(world.api.in_seconds(3600).await?);
        let sent: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
        ids.push(sent["id"].as_str().context("an id")?.to_owned());
    }
    let database = &world.gateway.database;
    database
        .damage("message.content_sealed", "id", &ids[0])
        .await?;
    // Only now their time is over, so that neither expires before the damage is done.
    let over = "UPDATE message SET expires_at = 1 WHERE id = $1";
    for id in &ids {
        assert_eq!(database.execute_on(over, id).await?, 1);
    }
    let expired = receiver.wait_for("message.expired", 1).await?;
    assert_eq!(expired[0].body["data"]["message"]["id"], json!(ids[1]));
    let failed = receiver.wait_for("message.failed", 1).await?;
    assert_eq!(failed[0].body["data"]["message"]["id"], json!(ids[0]));
    world.finish().await
}

async fn an_edit_of_a_message_that_cannot_be_read_holds_up_no_inbound_message(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world
        .endpoint(&["message.received", "message.edited"])
        .await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let said = world.simulator.say(CONTACT, NUMBER, "At five").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = told[0].body["data"]["message"]["id"]
        .as_str()
        .context("an id")?;
    let database = &world.gateway.database;
    database.damage("message.content_sealed", "id", id).await?;
    let edit = json!({ "message": { "type": "edit", "target": said, "text": "At six" } });
    world.simulator.tell(CONTACT, NUMBER, edit).await?;
    world.simulator.say(CONTACT, NUMBER, "See you").await?;
    receiver.wait_for("message.received", 2).await?;
    let edited = receiver.wait_for("message.edited", 1).await?;
    let edit = &edited[0].body["data"]["message"]["edit"];
    assert_eq!(edit["message_id"], json!(id));
    world.finish().await
}

async fn an_inbound_message_that_cannot_be_stored_holds_up_no_other_of_its_batch(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    refuse(
        &world,
        "CREATE TRIGGER no_places BEFORE INSERT ON message WHEN NEW.kind = 'location' \
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "ALTER TABLE message ADD CONSTRAINT no_places CHECK (kind <> 'location') NOT VALID",
    )
    .await?;
    let place = json!({ "type": "location", "latitude": 52.5, "longitude": 13.4 });
    world.simulator.say(CONTACT, NUMBER, "before").await?;
    let refused = json!({ "message": place });
    world.simulator.tell(CONTACT, NUMBER, refused).await?;
    world.simulator.say(CONTACT, NUMBER, "after").await?;
    world.api.connect(&session).await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let text = |message: &Value| message["text"]["body"].as_str().map(str::to_owned);
    let mut texts: Vec<_> = messages(&told).values().filter_map(text).collect();
    texts.sort();
    assert_eq!(texts, ["after", "before"]);
    world.finish().await
}

async fn event_types_that_cannot_be_read_hold_up_no_event(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let bad = world.endpoint(&["message.canceled"]).await?;
    let page: Value = world.api.get("/v1/webhook-endpoints").await?.into(200)?;
    let id = page["data"][0]["id"].as_str().context("an id")?;
    let good = world.endpoint(&["message.canceled"]).await?;
    let cut = "UPDATE endpoint SET events = '[\"mess', wanted = '[\"mess' WHERE id = $1";
    world.gateway.database.execute_on(cut, id).await?;
    let session = world.api.create_session("offline").await?.id;
    let queued = world.api.send(&session, CONTACT, "never mind").await?;
    let cancel = format!("/v1/messages/{}/cancel", queued.id);
    assert_eq!(world.api.act(&cancel).await?.status.as_u16(), 200);
    good.wait_for("message.canceled", 1).await?;
    // Nothing is lost: it gets the events of every type.
    bad.wait_for("message.canceled", 1).await?;
    assert_eq!(unreadable(&world.api, "/v1/webhook-endpoints").await?, [id]);
    world.finish().await
}

async fn a_list_stands_without_the_rows_that_cannot_be_read(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?.id;
    let oldest = world.api.create_session("oldest").await?.id;
    let queued = world.api.send(&oldest, CONTACT, "unreadable").await?.id;
    let kept = world.api.send(&oldest, CONTACT, "readable").await?.id;
    receiver.wait_for("session.connected", 1).await?;
    let database = &world.gateway.database;
    let first = async |path: &str| {
        let page: Value = world.api.get(path).await?.into(200)?;
        let id = page["data"][0]["id"].as_str().context("an id")?;
        Ok::<_, anyhow::Error>(id.to_owned())
    };
    let endpoint = first("/v1/webhook-endpoints").await?;
    let delivery = first("/v1/webhook-deliveries?status=delivered").await?;
    let later = "UPDATE delivery SET status = 'folded' WHERE id = $1";
    database
        .damage("message.content_sealed", "id", &queued)
        .await?;
    database
        .damage("link.me_sealed", "session_id", &session)
        .await?;
    database
        .damage("endpoint.url_sealed", "id", &endpoint)
        .await?;
    database.execute_on(later, &delivery).await?;
    for (list, id) in [
        ("/v1/messages", &queued),
        ("/v1/sessions", &session),
        ("/v1/webhook-endpoints", &endpoint),
        ("/v1/webhook-deliveries", &delivery),
    ] {
        assert_eq!(unreadable(&world.api, list).await?, [id.as_str()], "{list}");
        let read = world.api.get(&format!("{list}/{id}")).await?;
        assert_eq!(
            (read.status.as_u16(), read.code()),
            (500, UNREADABLE),
            "{list}"
        );
    }
    // A page that holds nothing else still leads to the next one.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/messages?limit=1{cursor}");
        let page: Value = world.api.get(&path).await?.into(200)?;
        let rows = ["data", "unreadable"].map(|rows| page[rows][0]["id"].as_str());
        seen.extend(rows.into_iter().flatten().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [kept, queued]);
    let deleted = world.api.delete(&format!("/v1/sessions/{session}")).await?;
    assert_eq!(deleted.status.as_u16(), 204, "{}", deleted.body);
    let counter = "passerelle_unreadable_rows_total{table=\"session\"}";
    assert!(counted(&world, counter).await? >= 1.0);
    world.finish_with_work_undone().await
}

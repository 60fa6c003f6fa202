//! Of a deleted session nothing is left, and nobody waits for that.

use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape, simulator::Phone,
    wait::dwindles, within,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _, time::Duration};
use tokio::time::Instant;

on_every_shape!(
    erase_every_row_of_a_deleted_session_and_none_of_another,
    erase_before_commit_killed,
    erase_after_commit_killed,
);

mod stores {
    use super::*;

    on_both_stores!(
        erase_a_long_history_while_others_write,
        erase_a_session_that_was_deleted_after_a_hundred_that_cannot_be_erased,
    );
}

/// The points at which a process is killed here.
pub(crate) const KILLED_AT: [&str; 2] = ["erase.before_commit", "erase.after_commit"];

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const CONTACT: &str = "+4915199000001";
const OF_BOTH: &str = "+4915199000002";
const OPTED_OUT: &str = "+4915199000003";
const SIGABRT: i32 = 6;

async fn delete(api: &Api, session: &str) -> Result<()> {
    let reply = api.delete(&format!("/v1/sessions/{session}")).await?;
    assert_eq!(reply.status.as_u16(), 204, "{}", reply.body);
    Ok(())
}

/// Waits until no table has a row with one of these texts.
async fn gone(world: &World, texts: &[&str]) -> Result<()> {
    for text in texts {
        let what = format!("no row has {text}");
        within(Duration::from_secs(30), &what, async || {
            let left = world.gateway.database.rows_with(text).await?;
            Ok(left.is_empty().then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn erase_every_row_of_a_deleted_session_and_none_of_another(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    for contact in [CONTACT, OF_BOTH, OPTED_OUT] {
        world.simulator.phone(contact, Phone::default()).await?;
    }
    let receiver = world.endpoint(&[]).await?;
    let kept = world.linked(OTHER).await?.id;
    let session = world.linked(NUMBER).await?.id;
    // Everything that leaves rows: texts in and out, a file, an opt-out, a kept answer, a number check.
    world.simulator.say(OF_BOTH, OTHER, "to the other").await?;
    for from in [CONTACT, OF_BOTH] {
        world.simulator.say(from, NUMBER, "hello").await?;
    }
    world.simulator.say(OPTED_OUT, NUMBER, "STOP").await?;
    let paper = BASE64_STANDARD.encode(b"%PDF-1.4\n% an invoice\n");
    let file = json!({ "message": { "type": "document", "bytes_base64": paper } });
    world.simulator.tell(CONTACT, NUMBER, file).await?;
    let file = receiver.wait_for("media.available", 1).await?;
    let file = file[0].body["data"]["media"]["id"].clone();
    let file = file.as_str().context("an id")?.to_owned();
    receiver.wait_for("contact.opted_out", 1).await?;
    let sent = world
        .api
        .send_once("once", &Api::text(&session, CONTACT, "hello"))
        .await?;
    let sent = sent.body["id"].as_str().context("an id")?.to_owned();
    world.api.message_at(&sent, "delivered").await?;
    let stays = world.api.send(&kept, OF_BOTH, "hello").await?.id;
    world.api.message_at(&stays, "delivered").await?;
    let check = json!({ "phone": CONTACT });
    let checks = format!("/v1/sessions/{session}/number-checks");
    let checked: Value = world.api.post(&checks, &check).await?.into(200)?;
    let received = receiver.wait_for("message.received", 5).await?;
    let ids: Vec<_> = received
        .iter()
        .filter(|told| told.body["session_id"] == json!(session))
        .filter_map(|told| told.body["data"]["message"]["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 4, "{checked}");
    receiver.wait_for("message.delivered", 2).await?;
    let database = &world.gateway.database;
    let body = format!("SELECT body_sealed FROM event WHERE session_id = '{session}' LIMIT 1");
    let ciphertext = database.blob(&body).await?;
    let held = database.rows_with(&session).await?;
    for table in [
        "event",
        "message",
        "media",
        "idempotency",
        "number_check",
        "key_record",
    ] {
        assert!(held.contains_key(table), "{table} has no row: {held:?}");
    }
    let of_other = database.rows_with(&kept).await?;

    delete(&world.api, &session).await?;
    // For the API it is gone at once, whatever is still to be erased.
    for path in [
        format!("/v1/sessions/{session}"),
        format!("/v1/messages/{sent}"),
        format!("/v1/messages/{}", ids[0]),
        format!("/v1/media/{file}"),
    ] {
        let reply = world.api.get(&path).await?;
        assert_eq!(reply.status.as_u16(), 404, "{path}: {}", reply.body);
    }
    let left = world.api.messages("").await?;
    assert!(left.iter().all(|message| message.session_id == kept));
    gone(&world, &[&session, &sent, &file, ids[0]]).await?;
    let names = |table: &BTreeMap<String, u64>| table.keys().cloned().collect::<Vec<_>>();
    let of_org = database.rows_with(&world.org).await?;
    assert_eq!(
        of_org["contact"], 2,
        "the one of both sessions, and the one who opted out"
    );
    let after = database.rows_with(&kept).await?;
    assert_eq!(
        names(&after),
        names(&of_other),
        "the other session keeps its rows"
    );
    assert_eq!(after["message"], of_other["message"]);
    assert_eq!(after["event"], of_other["event"]);
    world.api.message(&stays).await?;
    let other = world.linked("+4915170000009").await?.id;
    let refused = world
        .api
        .post("/v1/messages", &Api::text(&other, OPTED_OUT, "hello"))
        .await?;
    assert_eq!(
        refused.code(),
        "recipient_opted_out",
        "the opt-out must stay"
    );

    without_sessions(world, [&kept, &other], &ciphertext).await
}

/// Deletes the last sessions. What is left of an organisation without sessions can be listed, and what was
/// deleted is not in the unused parts of SQLite's file either.
async fn without_sessions(
    mut world: World,
    sessions: [&str; 2],
    ciphertext: &[u8],
) -> Result<Finished> {
    for session in sessions {
        delete(&world.api, session).await?;
    }
    gone(&world, &sessions).await?;
    let left = world.gateway.database.rows_with(&world.org).await?;
    // In a database that processes share, the request limit of the organisation stays, too.
    let left = left.into_keys().filter(|table| table != "request_budget");
    let left: Vec<_> = left.collect();
    assert_eq!(
        left,
        ["api_key", "contact", "data_key", "endpoint", "organisation"]
    );
    world.gateway.stop().await?;
    let raw = world.gateway.database.dump(world.folder()).await?;
    let held = raw.windows(40).any(|window| window == &ciphertext[..40]);
    assert!(!held, "the file still has what was deleted");
    world.gateway.start().await?;
    world.finish().await
}

/// Gives the session a long history, made of its first message and that message's event and delivery.
async fn lengthen(world: &World) -> Result<()> {
    let database = &world.gateway.database;
    for statement in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, chat_mac, sender_mac, \
           contact_id, peer_sealed, content_sealed, resends, created_at) \
         SELECT m.id || n.i, org_id, session_id, direction, status, kind, wa_id || n.i, chat_mac, sender_mac, \
           contact_id, peer_sealed, content_sealed, resends, created_at \
         FROM n, (SELECT * FROM message WHERE direction = 'inbound' ORDER BY id LIMIT 1) m",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO event (id, org_id, session_id, type, sequence, body_sealed, created_at, message_id) \
         SELECT e.id || n.i, org_id, session_id, type, sequence, body_sealed, created_at, message_id || n.i \
         FROM n, (SELECT * FROM event WHERE type = 'message.received' ORDER BY id LIMIT 1) e",
        "INSERT INTO delivery (id, org_id, event_id, endpoint_id, status, attempts, due_at, created_at) \
         SELECT 'dlv_' || e.id, e.org_id, e.id, p.id, 'delivered', 1, 0, 0 FROM event e, endpoint p \
         WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_id = e.id)",
        "INSERT INTO attempt (id, org_id, delivery_id, number, started_at, took_ms) \
         SELECT 'att_' || d.id, d.org_id, d.id, 1, 0, 0 FROM delivery d WHERE d.id LIKE 'dlv_evt%'",
    ] {
        assert!(database.execute(statement).await? >= 2_999, "{statement}");
    }
    Ok(())
}

/// Returns a world with a linked session of a long history.
async fn with_history(backing: Backing, setup: Setup) -> Result<(World, String)> {
    let world = World::with(backing, setup).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.say(CONTACT, NUMBER, "hello").await?;
    receiver.wait_for("message.received", 1).await?;
    lengthen(&world).await?;
    Ok((world, session))
}

async fn erase_before_commit_killed(backing: Backing) -> Result<Finished> {
    killed_at(backing, KILLED_AT[0]).await
}

async fn erase_after_commit_killed(backing: Backing) -> Result<Finished> {
    killed_at(backing, KILLED_AT[1]).await
}

async fn killed_at(backing: Backing, point: &str) -> Result<Finished> {
    let setup = Setup {
        failpoints: Some(format!("{point}=4*off->return")),
        ..Setup::quick()
    };
    let (mut world, session) = with_history(backing, setup).await?;
    delete(&world.api, &session).await?;
    let died = world.gateway.ended(Duration::from_secs(30)).await?;
    assert_eq!(died.signal(), Some(SIGABRT));
    world.gateway.kill().await?;
    let left = world.gateway.database.rows_with(&session).await?;
    assert!(
        (1_000..3_000).contains(&left["event"]),
        "it died in the middle: {left:?}"
    );
    world.gateway.kill_and_restart().await?;
    let missing = world.api.get(&format!("/v1/sessions/{session}")).await?;
    assert_eq!(missing.status.as_u16(), 404);
    gone(&world, &[&session]).await?;
    world.finish().await
}

/// The longest that another organisation's request may take in between.
const LONGEST: Duration = Duration::from_secs(2);

async fn erase_a_long_history_while_others_write(backing: Backing) -> Result<Finished> {
    let (world, session) = with_history(backing, Setup::quick()).await?;
    let other = world.admin.tenant("Other").await?;
    let theirs = other.create_session("offline").await?.id;
    let began = Instant::now();
    delete(&world.api, &session).await?;
    let answered = began.elapsed();
    let (mut slowest, mut written) = (Duration::ZERO, 0);
    let rows = format!("SELECT count(*) FROM event WHERE session_id = '{session}'");
    dwindles(
        Duration::from_secs(20),
        "the history is erased",
        async || {
            let began = Instant::now();
            other.send(&theirs, CONTACT, "in between").await?;
            slowest = slowest.max(began.elapsed());
            written += 1;
            Ok(u64::try_from(world.gateway.database.number(&rows).await?)?)
        },
    )
    .await?;
    eprintln!("deleted in {answered:?}; {written} requests in between, the slowest {slowest:?}");
    assert!(written >= 5, "{written} requests while it was erased");
    assert!(slowest < LONGEST, "a request took {slowest:?}");
    gone(&world, &[&session]).await?;
    world.finish_with_work_undone().await
}

/// Adds a hundred sessions that were deleted before all others, and whose rows the database does not delete.
async fn add_stuck(world: &World, like: &str) -> Result<()> {
    let database = &world.gateway.database;
    let rules: &[&'static str] = match database.backing {
        Backing::Sqlite => &[
            "CREATE TRIGGER stuck BEFORE DELETE ON session WHEN OLD.name = 'stuck' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        ],
        Backing::Postgres | Backing::Cluster => &[
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
            "CREATE TRIGGER stuck BEFORE DELETE ON session FOR EACH ROW WHEN (OLD.name = 'stuck') \
             EXECUTE FUNCTION refuse()",
        ],
    };
    for rule in rules {
        database.execute(rule).await?;
    }
    let added = database.execute_on(
        "WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 199) \
         INSERT INTO session (id, org_id, name, desired, created_at, deleted_at) \
         SELECT substr(s.id, 1, 27) || n, s.org_id, 'stuck', 'stopped', 0, 1 FROM session s, n WHERE s.id = $1",
        like,
    );
    assert_eq!(added.await?, 100);
    Ok(())
}

async fn erase_a_session_that_was_deleted_after_a_hundred_that_cannot_be_erased(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.api.create_session("last").await?.id;
    let text = world.api.send(&session, CONTACT, "erase me").await?.id;
    add_stuck(&world, &session).await?;
    delete(&world.api, &session).await?;
    gone(&world, &[&text, &session]).await?;
    world.finish_with_work_undone().await
}

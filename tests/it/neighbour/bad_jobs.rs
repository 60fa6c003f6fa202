//! Rows that are jobs and cannot be read: deliveries and files. More of them than may run at once are damaged.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, Shop, World, on_every_shape, receiver::Answer, shop::Page,
    simulator::Phone, within,
};
use serde_json::{Value, json};
use std::time::Duration;

use super::{UNREADABLE, cancel_one, counted, messages, refuse};

on_every_shape!(
    deliveries_that_cannot_be_read_die_and_others_of_the_endpoint_arrive,
    a_delivery_whose_outcome_cannot_be_committed_counts_its_attempts,
    an_endpoint_whose_secret_cannot_be_read_holds_up_no_other,
    files_that_cannot_be_read_fail_and_others_are_fetched,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
/// More than the attempts to one endpoint, or the fetches of one organisation, that run at once.
const MANY: usize = 5;

/// Returns the deliveries with this status, the oldest first.
async fn deliveries(world: &World, status: &str) -> Result<Vec<Value>> {
    let path = format!("/v1/webhook-deliveries?limit=100&status={status}");
    let page: Value = world.api.get(&path).await?.into(200)?;
    let rows = page["data"].as_array().context("a page has rows")?;
    Ok(rows.iter().rev().cloned().collect())
}

/// Waits until so many deliveries are dead, each because it cannot be read.
async fn dead(world: &World, count: usize) -> Result<()> {
    let what = "the deliveries that cannot be read are dead";
    let dead = within(Duration::from_secs(30), what, async || {
        let dead = deliveries(world, "dead").await?;
        Ok((dead.len() == count).then_some(dead))
    });
    for delivery in dead.await? {
        let id = delivery["id"].as_str().context("an id")?;
        let path = format!("/v1/webhook-deliveries/{id}");
        let whole: Value = world.api.get(&path).await?.into(200)?;
        let attempts = whole["attempts"].as_array().context("attempts")?;
        let last = attempts.last().context("an attempt was counted")?;
        assert_eq!(last["error"], UNREADABLE, "{whole}");
        assert_eq!(whole["attempts_made"], json!(attempts.len()), "{whole}");
    }
    if world.gateway.database.backing != Backing::Cluster {
        let counter = "passerelle_unreadable_rows_total{table=\"delivery\"}";
        assert!(counted(world, counter).await? >= 1.0);
    }
    Ok(())
}

async fn deliveries_that_cannot_be_read_die_and_others_of_the_endpoint_arrive(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.canceled"]).await?;
    let session = world.api.create_session("offline").await?.id;
    // Each fails once. The second attempt follows after some seconds.
    receiver.answer_next(std::iter::repeat_n(Answer::Status(503), MANY + 1));
    let mut canceled = Vec::new();
    for _ in 0..=MANY {
        canceled.push(cancel_one(&world.api, &session).await?);
    }
    let what = "each was tried once";
    let due = within(Duration::from_secs(20), what, async || {
        let due = deliveries(&world, "due").await?;
        let tried = due.iter().filter(|one| one["attempts_made"] == 1).count();
        Ok((tried == MANY + 1).then_some(due))
    });
    for delivery in due.await?.iter().take(MANY) {
        let event = delivery["event_id"].as_str().context("an event")?;
        let database = &world.gateway.database;
        database.damage("event.body_sealed", "id", event).await?;
    }
    let told = receiver.wait_for("message.canceled", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(canceled[MANY]));
    dead(&world, MANY).await?;
    world.finish().await
}

async fn a_delivery_whose_outcome_cannot_be_committed_counts_its_attempts(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.canceled"]).await?;
    refuse(
        &world,
        "CREATE TRIGGER no_success BEFORE UPDATE ON delivery WHEN NEW.status = 'delivered' \
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "ALTER TABLE delivery ADD CONSTRAINT no_success CHECK (status <> 'delivered') NOT VALID",
    )
    .await?;
    let session = world.api.create_session("offline").await?.id;
    cancel_one(&world.api, &session).await?;
    receiver.wait_for("message.canceled", 1).await?;
    // It is not claimed again and again until somebody looks, but follows its schedule.
    let what = "the attempt is counted";
    let due = within(Duration::from_secs(20), what, async || {
        let due = deliveries(&world, "due").await?;
        let counted = due.into_iter().find(|one| one["attempts_made"] == 1);
        Ok(counted)
    });
    let id = due.await?["id"].clone();
    let path = format!("/v1/webhook-deliveries/{}", id.as_str().context("an id")?);
    let whole: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(whole["attempts"][0]["error"], "internal", "{whole}");
    world.finish_with_work_undone().await
}

async fn an_endpoint_whose_secret_cannot_be_read_holds_up_no_other(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    world.endpoint(&["message.canceled"]).await?;
    let page: Value = world.api.get("/v1/webhook-endpoints").await?.into(200)?;
    let bad = page["data"][0]["id"].as_str().context("an id")?;
    let good = world.endpoint(&["message.canceled"]).await?;
    let database = &world.gateway.database;
    database.damage("endpoint.secret_sealed", "id", bad).await?;
    let session = world.api.create_session("offline").await?.id;
    for _ in 0..MANY {
        cancel_one(&world.api, &session).await?;
    }
    good.wait_for("message.canceled", MANY).await?;
    dead(&world, MANY).await?;
    world.finish().await
}

async fn files_that_cannot_be_read_fail_and_others_are_fetched(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["message.failed"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let shop = Shop::open().await?;
    // Each fails once. The second try follows after two seconds. A try that has begun before its file is
    // damaged still fails.
    let away = shop.put("/away", Page::Status(503));
    let soon_there = shop.put("/paper", Page::Status(503));
    let mut files = Vec::new();
    for n in 0..=MANY {
        let url = if n < MANY { &away } else { &soon_there };
        let message = json!({ "type": "document", "document": { "url": url } });
        let sent = world.api.send_kind(&session, CONTACT, message).await?.id;
        let whole = world.api.whole_message(&sent).await?;
        let file = whole["document"]["media_id"].as_str().context("a file")?;
        files.push((sent, file.to_owned()));
    }
    let database = &world.gateway.database;
    for (_, file) in files.iter().take(MANY) {
        database.damage("media.origin_sealed", "id", file).await?;
    }
    let paper = b"%PDF-1.4\n% an invoice\n".to_vec();
    shop.put("/paper", Page::File("application/pdf", paper));
    let (last, _) = &files[MANY];
    world.api.message_at(last, "sent").await?;
    let told = receiver.wait_for("message.failed", MANY).await?;
    let failed = messages(&told);
    for (sent, file) in &files[..MANY] {
        let message = failed.get(sent).context("its failure is reported")?;
        assert_eq!(message["error"]["code"], UNREADABLE);
        let file: Value = world
            .api
            .get(&format!("/v1/media/{file}"))
            .await?
            .into(200)?;
        assert_eq!(file["status"], "failed", "{file}");
        assert_eq!(file["error"]["code"], UNREADABLE, "{file}");
    }
    world.finish().await
}

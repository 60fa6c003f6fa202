//! One statement shows that every cold message had a consent. The guide has it.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, on_both_stores};
use serde_json::{Value, json};

use super::{BOB, EVE, NUMBER, Story, id, refused};

mod stores {
    use super::*;

    on_both_stores!(consent_of_every_cold_message_is_shown_by_one_statement);
}

/// Returns how many messages the statement of the guide finds.
async fn without_consent(story: &Story) -> Result<i64> {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/consent.md");
    let guide = std::fs::read_to_string(guide)?;
    let (_, rest) = guide.split_once("```sql\n").context("a statement")?;
    let (statement, _) = rest.split_once("```").context("its end")?;
    let count = format!("SELECT count(*) FROM ({statement}) found");
    story.world.gateway.database.number(&count).await
}

async fn consent_of_every_cold_message_is_shown_by_one_statement(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    // Tried out, refused, cold with consent, a reply, a warm one, and one whose consent was revoked later.
    refused(
        &story.send(BOB, json!({})).await?,
        "consent_required",
        "/consent",
    );
    let given = json!({ "purpose": "order", "consent": { "source": "checkout" } });
    let cold: Value = story.send(BOB, given.clone()).await?.into(202)?;
    world.simulator.say(EVE, NUMBER, "hello").await?;
    receiver.wait_for("message.received", 1).await?;
    story.send(EVE, json!({})).await?.into::<Value>(202)?;
    let contact = story.contact(BOB).await?;
    let consent = cold["consent_id"].as_str().context("a consent")?;
    world
        .api
        .delete(&format!("/v1/contacts/{contact}/consents/{consent}"))
        .await?;
    let again: Value = story.send(BOB, given).await?.into(202)?;
    let out = json!({ "contact_id": contact });
    world
        .api
        .post("/v1/opt-outs", &out)
        .await?
        .into::<Value>(200)?;
    assert_eq!(without_consent(&story).await?, 0);
    let cold_ones = "SELECT count(*) FROM message WHERE class = 'cold'";
    assert_eq!(world.gateway.database.number(cold_ones).await?, 7);
    // It finds what it is for: a message whose consent is gone, or is of another person.
    world
        .gateway
        .database
        .execute_on(
            "UPDATE message SET consent_id = NULL WHERE id = $1",
            &id(&again)?,
        )
        .await?;
    assert_eq!(without_consent(&story).await?, 1);
    world
        .gateway
        .database
        .execute_on(
            "UPDATE consent SET contact_id = (SELECT max(id) FROM contact WHERE id <> contact_id) WHERE id = $1",
            consent,
        )
        .await?;
    assert_eq!(without_consent(&story).await?, 2);
    story.world.finish_with_work_undone().await
}

//! A contact who wrote "stop" gets no more messages from any session of the organisation.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape, simulator::Phone};
use serde_json::json;

on_every_shape!(
    who_said_stop_is_written_to_no_more_until_they_say_start,
    what_waits_in_a_lane_for_who_opts_out_is_not_sent,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const CONTACT: &str = "+4915199000001";
const NEIGHBOUR: &str = "+4915199000002";

async fn who_said_stop_is_written_to_no_more_until_they_say_start(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.opted_in"])
        .await?;
    world.linked(NUMBER).await?;
    let other = world.linked(OTHER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    for said in ["please don't stop", "Stop!", "STOP"] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
    }
    let told = receiver.wait_for("contact.opted_out", 1).await?;
    let contact = &told[0].body["data"]["contact"];
    assert_eq!(contact["phone"], json!(CONTACT));
    assert!(
        contact["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("ctc_"))
    );
    let text = Api::text(&other.id, CONTACT, "buy now");
    let refused = world.api.send_once("k1", &text).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "recipient_opted_out")
    );

    let stranger = world.admin.tenant("Other").await?;
    let theirs = world.linked_for(&stranger, "+4915170000003").await?;
    let sent = stranger
        .send(&theirs.id, CONTACT, "from another organisation")
        .await?;
    stranger.message_at(&sent.id, "read").await?;

    world.simulator.say(CONTACT, NUMBER, "start").await?;
    receiver.wait_for("contact.opted_in", 1).await?;
    let sent = world.api.send(&other.id, CONTACT, "welcome back").await?;
    world.api.message_at(&sent.id, "read").await?;
    assert_eq!(
        receiver.of("contact.opted_out").len(),
        1,
        "the second stop changed nothing"
    );
    world.finish().await
}

async fn what_waits_in_a_lane_for_who_opts_out_is_not_sent(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["contact.opted_out"]).await?;
    let session = world.linked(NUMBER).await?;
    let listening = world.linked(OTHER).await?;
    for phone in [CONTACT, NEIGHBOUR] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    world.api.disconnect(&session.id).await?;
    world.api.session_in(&session.id, "stopped").await?;
    let waiting = world.api.send(&session.id, CONTACT, "never").await?;
    let behind = world.api.send(&session.id, NEIGHBOUR, "behind it").await?;
    world.simulator.say(CONTACT, OTHER, "stop").await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    world.api.connect(&session.id).await?;
    world.api.message_at(&behind.id, "read").await?;
    let stayed = world.api.message_at(&waiting.id, "failed").await?;
    let error = stayed.error.context("a failed message has an error")?;
    assert_eq!(error["code"], json!("recipient_opted_out"));
    assert!(world.simulator.shown(CONTACT).await?.is_empty());
    assert_eq!(world.api.session(&listening.id).await?.state, "connected");
    world.finish().await
}

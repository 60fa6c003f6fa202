//! The typing indicator: shown at once, for a limited time, and never to a contact who opted out.

use anyhow::Result;
use passerelle_tests::{
    Backing, Finished, Setup, World, on_every_shape, simulator::Phone, soon, within,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(
    typing_is_shown_and_taken_back_by_itself,
    typing_is_refused_where_it_cannot_be_shown,
    safety_typing_before_a_long_text_is_shown_again_until_it_is_sent,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const NEIGHBOUR: &str = "+4915199000002";

/// Returns what was shown to a contact, in order.
async fn shown(world: &World, to: &str) -> Result<Vec<String>> {
    let noted = world.simulator.ledger("chatstate").await?;
    let of = noted.into_iter().filter(|entry| entry.to == to);
    Ok(of.filter_map(|entry| entry.detail).collect())
}

async fn typing_is_shown_and_taken_back_by_itself(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, NEIGHBOUR] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let path = format!("/v1/sessions/{session}/typing");
    let show = async |to: &str, state: &str| {
        let body = json!({ "to": to, "state": state });
        world.api.post(&path, &body).await?.into::<Value>(200)
    };
    let told = show(CONTACT, "typing").await?;
    assert_eq!(
        (&told["to"], &told["state"]),
        (&json!(CONTACT), &json!("typing"))
    );
    assert!(told["until"].is_string(), "{told}");
    show(NEIGHBOUR, "recording").await?;
    let told = show(NEIGHBOUR, "paused").await?;
    assert_eq!(told["until"], Value::Null);
    soon("both contacts were shown it", async || {
        let to_neighbour = shown(&world, NEIGHBOUR).await?;
        let to_contact = shown(&world, CONTACT).await?;
        Ok((to_neighbour == ["recording", "paused"] && to_contact == ["composing"]).then_some(()))
    })
    .await?;
    // Phones hide it after some 25 seconds. This number ends it before that.
    within(Duration::from_secs(25), "the indicator ends", async || {
        let to_contact = shown(&world, CONTACT).await?;
        Ok((to_contact == ["composing", "paused"]).then_some(()))
    })
    .await?;
    assert_eq!(
        shown(&world, NEIGHBOUR).await?,
        ["recording", "paused"],
        "once"
    );
    world.finish().await
}

async fn safety_typing_before_a_long_text_is_shown_again_until_it_is_sent(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 9_000,
        gap_ceiling_ms: 9_000,
        typing_ms: 9_000,
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let sent = world.api.send(&session, CONTACT, "a long text").await?;
    world.api.message_at(&sent.id, "sent").await?;
    let noted = world.simulator.ledger("chatstate").await?;
    let noted = noted.into_iter().filter(|entry| entry.to == CONTACT);
    let mut times: Vec<_> = noted.map(|entry| entry.at_ms).collect();
    assert_eq!(times.len(), 2, "{times:?}");
    times.push(world.simulator.ledger("sent").await?[0].at_ms);
    // A phone hides it after ten seconds. The message ends it.
    assert!((8_500..9_500).contains(&(times[2] - times[0])), "{times:?}");
    let is_soon = |two: &[i64]| two[1] - two[0] < 8_500;
    assert!(times.windows(2).all(is_soon), "{times:?}");
    world.finish().await
}

async fn typing_is_refused_where_it_cannot_be_shown(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["contact.opted_out"]).await?;
    let resting = world.api.create_session("back office").await?.id;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, NEIGHBOUR] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let path = format!("/v1/sessions/{session}/typing");
    let show = async |to: &str, state: &str| {
        let body = json!({ "to": to, "state": state });
        world.api.post(&path, &body).await
    };
    assert_eq!(show("0151", "typing").await?.code(), "invalid_recipient");
    let unknown = show(CONTACT, "thinking").await?;
    assert_eq!(unknown.code(), "validation_failed", "{}", unknown.body);
    let other = world.admin.tenant("Other").await?;
    let body = json!({ "to": CONTACT, "state": "typing" });
    assert_eq!(
        other.post(&path, &body).await?.status,
        StatusCode::NOT_FOUND
    );
    let rests = format!("/v1/sessions/{resting}/typing");
    assert_eq!(
        world.api.post(&rests, &body).await?.code(),
        "session_not_ready"
    );

    world.simulator.say(CONTACT, NUMBER, "stop").await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    let refused = show(CONTACT, "typing").await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "recipient_opted_out")
    );
    assert_eq!(shown(&world, CONTACT).await?, Vec::<String>::new());

    let mut refused = None;
    for n in 0..60 {
        let reply = show(NEIGHBOUR, "paused").await?;
        if reply.status != StatusCode::OK {
            refused = Some((n, reply));
            break;
        }
    }
    let (n, refused) = refused.expect("sixty at once are too many");
    assert!(n >= 20, "{n} were enough");
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (429, "typing_paced")
    );
    let wait: u64 = refused.headers["retry-after"].to_str()?.parse()?;
    assert!((1..=2).contains(&wait), "{wait}");
    world.finish().await
}

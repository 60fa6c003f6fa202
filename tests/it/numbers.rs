//! Whether a phone number has WhatsApp: asked through a session, at a limited rate, and cached.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, World, on_every_shape, simulator::Phone};
use reqwest::StatusCode;
use serde_json::{Value, json};

on_every_shape!(
    a_number_is_checked_once_a_day_and_at_a_slow_pace,
    without_a_connection_nothing_is_checked,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn a_number_is_checked_once_a_day_and_at_a_slow_pace(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let path = format!("/v1/sessions/{session}/number-checks");
    let check = async |phone: &str| world.api.post(&path, &json!({ "phone": phone })).await;
    let first: Value = check(CONTACT).await?.into(200)?;
    assert_eq!(first["on_whatsapp"], true);
    assert_eq!(first["phone"], CONTACT);
    assert!(first["lid"].is_string(), "{first}");
    let nobody: Value = check("+4915199999999").await?.into(200)?;
    assert_eq!(nobody["on_whatsapp"], false);
    // The second answer comes from the cache, without asking WhatsApp.
    let asked = world.simulator.stats().await?["usync"].clone();
    let again: Value = check(CONTACT).await?.into(200)?;
    assert_eq!(again, first);
    assert_eq!(world.simulator.stats().await?["usync"], asked);
    // Further questions are soon refused, with a time to retry.
    let mut refused = None;
    for n in 0..20 {
        let reply = check(&format!("+49151980000{n:02}")).await?;
        if reply.status != StatusCode::OK {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("twenty at once are too many");
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (429, "number_check_paced")
    );
    let wait: u64 = refused.headers["retry-after"].to_str()?.parse()?;
    assert!((1..=4).contains(&wait), "{wait}");
    assert_eq!(check("0151").await?.code(), "invalid_phone");
    world.finish().await
}

async fn without_a_connection_nothing_is_checked(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let path = format!("/v1/sessions/{session}/number-checks");
    let refused = world.api.post(&path, &json!({ "phone": CONTACT })).await?;
    assert_eq!(refused.code(), "session_not_ready");
    let other = world.admin.tenant("Other").await?;
    let refused = other.post(&path, &json!({ "phone": CONTACT })).await?;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    world.finish().await
}

//! What the operator does to one organisation holds up no other, and loses nothing: revoking keys, suspending,
//! limiting pairing codes.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_every_shape,
    receiver::{Answer, Receiver},
    simulator::Phone,
    soon,
};
use serde_json::{Value, json};

on_every_shape!(
    neighbour_whose_keys_the_operator_lists_and_revokes,
    neighbour_that_is_suspended_sends_nothing_and_loses_nothing,
    neighbour_gets_few_pairing_codes_also_after_a_restart,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const CONTACT: &str = "+4915199000001";

fn refused(reply: &passerelle_tests::api::Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.code())
}

async fn neighbour_whose_keys_the_operator_lists_and_revokes(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let other = world.admin.create_organisation("Other").await?;
    let (stolen, key) = world.admin.create_key(&world.org, "stolen").await?;
    let keys = format!("/v1/organisations/{}/api-keys", world.org);
    let page: Value = world
        .admin
        .get(&format!("{keys}?limit=1"))
        .await?
        .into(200)?;
    assert_eq!(page["data"][0]["id"], json!(stolen));
    assert_eq!(page["data"][0]["public_id"], json!(key[4..16]));
    assert_eq!(page["data"][0]["key"], Value::Null, "{page}");
    assert_eq!(page["has_more"], true);
    let api = world.api.with_key(&key);
    assert_eq!(api.get("/v1/sessions").await?.status.as_u16(), 200);
    let elsewhere = format!("/v1/organisations/{other}/api-keys/{stolen}");
    let elsewhere = world.admin.delete(&elsewhere).await?;
    assert_eq!(refused(&elsewhere), (404, "not_found"));
    let by_tenant = world.api.delete(&format!("{keys}/{stolen}")).await?;
    assert_eq!(refused(&by_tenant), (403, "insufficient_scope"));
    let revoked = world.admin.delete(&format!("{keys}/{stolen}")).await?;
    assert_eq!(revoked.status.as_u16(), 204);
    let after = api.get("/v1/sessions").await?;
    assert_eq!(refused(&after), (401, "invalid_api_key"));
    assert_eq!(world.api.get("/v1/sessions").await?.status.as_u16(), 200);
    let page: Value = world.admin.get(&keys).await?.into(200)?;
    assert!(page["data"][0]["revoked_at"].is_string(), "{page}");
    let nobody = "/v1/organisations/org_01kaq6h3zve9qbw4r2t8n5c7xd/api-keys";
    assert_eq!(refused(&world.admin.get(nobody).await?), (404, "not_found"));
    world.finish().await
}

/// Returns whether the number's linked device is connected.
async fn online(world: &World, number: &str) -> Result<bool> {
    let phone = world.simulator.phone_state(number).await?;
    let devices = phone["devices"].as_array().context("devices")?;
    Ok(devices.iter().any(|device| device["online"] == true))
}

/// Makes an event of the organisation, by canceling a message.
async fn event(api: &Api, session: &str) -> Result<()> {
    let queued = api.send(session, CONTACT, "never mind").await?.id;
    let cancel = api.act(&format!("/v1/messages/{queued}/cancel")).await?;
    assert_eq!(cancel.status.as_u16(), 200, "{}", cancel.body);
    Ok(())
}

/// Makes an event whose first attempt fails, so that its delivery is due again after this time at the earliest.
async fn event_due_again(
    api: &Api,
    session: &str,
    receiver: &Receiver,
    seconds: u64,
) -> Result<()> {
    receiver.answer_next([Answer::RetryAfter(seconds)]);
    event(api, session).await?;
    receiver.posted("message.canceled", 1).await?;
    Ok(())
}

async fn neighbour_that_is_suspended_sends_nothing_and_loses_nothing(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 2_000,
        gap_ceiling_ms: 2_500,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let session = world.linked(NUMBER).await?.id;
    let offline = world.api.create_session("offline").await?.id;
    let canceled = world.endpoint(&["message.canceled"]).await?;
    let received = world.endpoint(&["message.received"]).await?;
    let other = world.admin.tenant("Other").await?;
    let theirs = world.linked_for(&other, OTHER).await?.id;
    let theirs_offline = other.create_session("offline").await?.id;
    let of_other = world.endpoint_for(&other, &["message.canceled"]).await?;
    let file: Value = world
        .api
        .upload("document", b"%PDF-1.4\n".as_slice())
        .await?
        .into(201)?;
    let link = file["url"].as_str().context("a link")?;
    event_due_again(&world.api, &offline, &canceled, 4).await?;
    let mut queued = Vec::new();
    for text in ["one", "two", "three", "four", "five"] {
        queued.push(world.api.send(&session, CONTACT, text).await?.id);
    }
    let path = format!("/v1/organisations/{}", world.org);
    let suspended: Value = world
        .admin
        .act(&format!("{path}/suspend"))
        .await?
        .into(200)?;
    let since = suspended["suspended_at"].clone();
    assert!(since.is_string(), "{suspended}");
    for path in ["/v1/sessions", "/v1/messages"] {
        let reply = world.api.get(path).await?;
        assert_eq!(refused(&reply), (403, "organisation_suspended"));
    }
    let text = Api::text(&session, CONTACT, "refused");
    let reply = world.api.post("/v1/messages", &text).await?;
    assert_eq!(refused(&reply), (403, "organisation_suspended"));
    assert!(reply.headers.contains_key("ratelimit"), "it is counted");
    let opened = world.api.open(link).send().await?;
    assert_eq!(opened.status().as_u16(), 404);
    soon("its session is disconnected", async || {
        Ok((!online(&world, NUMBER).await?).then_some(()))
    })
    .await?;
    let shown = world.simulator.shown(CONTACT).await?;
    let own = |text: &&String| *text != "theirs";
    let before = shown.iter().filter(own).count();
    assert!(before < 5, "the lane was too fast for this test: {shown:?}");
    world.simulator.say(CONTACT, NUMBER, "hello?").await?;
    // The other organisation goes on, and its delivery that became due much later is posted first.
    event_due_again(&other, &theirs_offline, &of_other, 10).await?;
    let sent = other.send(&theirs, CONTACT, "theirs").await?.id;
    other.message_at(&sent, "sent").await?;
    of_other.posted("message.canceled", 2).await?;
    assert_eq!(
        canceled.of("message.canceled").len(),
        1,
        "its webhooks wait"
    );
    let shown = world.simulator.shown(CONTACT).await?;
    assert_eq!(shown.iter().filter(own).count(), before);
    let again: Value = world
        .admin
        .act(&format!("{path}/suspend"))
        .await?
        .into(200)?;
    assert_eq!(again["suspended_at"], since, "it is suspended since then");

    let resumed: Value = world
        .admin
        .act(&format!("{path}/resume"))
        .await?
        .into(200)?;
    assert_eq!(resumed["suspended_at"], Value::Null);
    world.api.session_in(&session, "connected").await?;
    canceled.posted("message.canceled", 2).await?;
    received.wait_for("message.received", 1).await?;
    for id in &queued {
        world.api.message_at(id, "sent").await?;
    }
    let shown = world.simulator.shown(CONTACT).await?;
    let own: Vec<_> = shown.iter().filter(own).collect();
    assert_eq!(own, ["one", "two", "three", "four", "five"]);
    assert_eq!(world.api.open(link).send().await?.status().as_u16(), 200);
    world.finish().await
}

async fn neighbour_gets_few_pairing_codes_also_after_a_restart(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::with(backing, Setup::quick()).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let body = json!({ "phone": NUMBER });
    let waiting = async |api: &Api| {
        let session = api.create_session("waits").await?.id;
        api.connect(&session).await?;
        api.qr(&session).await?;
        Ok::<_, anyhow::Error>(format!("/v1/sessions/{session}/pairing-code"))
    };
    let path = waiting(&world.api).await?;
    // A request that WhatsApp refuses, because the code before is still shown, was a request, too.
    for allowed in [&[200][..], &[200, 409], &[200, 409]] {
        let code = world.api.post(&path, &body).await?;
        assert!(allowed.contains(&code.status.as_u16()), "{}", code.body);
    }
    let minutes = |reply: &passerelle_tests::api::Reply| {
        let wait = reply.headers["retry-after"].to_str()?.parse::<u64>()?;
        Ok::<_, anyhow::Error>(wait.div_ceil(60))
    };
    let fourth = world.api.post(&path, &body).await?;
    assert_eq!(refused(&fourth), (429, "pairing_code_limit"));
    assert!((9..=10).contains(&minutes(&fourth)?));
    world.gateway.kill_and_restart().await?;
    let session = path.split('/').nth(3).context("an id")?;
    world.api.qr(session).await?;
    let again = world.api.post(&path, &body).await?;
    assert_eq!(refused(&again), (429, "pairing_code_limit"));
    // Another session of the organisation may go on, until all have had twenty.
    let second = waiting(&world.api).await?;
    let code = world.api.post(&second, &body).await?;
    assert_eq!(code.status.as_u16(), 200, "{}", code.body);
    let more = "INSERT INTO pairing_code (org_id, session_id, asked_at) \
                SELECT p.org_id, p.session_id || 'x', p.asked_at FROM pairing_code p, \
                (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) n";
    assert_eq!(world.gateway.database.execute(more).await?, 16);
    let refusal = world.api.post(&second, &body).await?;
    assert_eq!(refused(&refusal), (429, "pairing_code_limit"));
    assert!((59..=60).contains(&minutes(&refusal)?));
    let other = world.admin.tenant("Other").await?;
    let theirs = waiting(&other).await?;
    let code = other.post(&theirs, &body).await?;
    assert_eq!(code.status.as_u16(), 200, "{}", code.body);
    world.finish().await
}

//! Sending a text: every status is true when it is reported.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Gateway, Setup, Simulator, World, on_every_shape, simulator::Phone,
    soon, world::install_tls,
};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

on_every_shape!(
    a_text_goes_out_and_is_read,
    a_text_goes_out_over_tls,
    a_phone_that_does_not_read_leaves_the_message_delivered,
    a_refused_send_fails_with_its_code_and_the_lane_goes_on,
    a_silent_server_never_makes_a_message_sent,
    an_acknowledgement_that_comes_late_still_counts,
    a_receipt_stands_for_an_acknowledgement_that_was_lost,
    a_cut_connection_repeats_the_same_id_and_the_phone_shows_one,
    a_hundred_sends_while_the_session_is_offline_go_out_later,
    a_queued_message_can_be_canceled_and_a_sent_one_cannot,
    a_message_that_waits_past_its_expiry_is_never_sent,
    typing_is_shown_before_the_text,
    a_recipient_is_resolved_once,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn a_text_goes_out_and_is_read(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let accepted = world
        .api
        .send(&session.id, CONTACT, "Your order has left.")
        .await?;
    assert_eq!(
        (accepted.status.as_str(), accepted.direction.as_str()),
        ("queued", "outbound")
    );
    let whole = world.api.whole_message(&accepted.id).await?;
    let stamp = |field: &str| {
        let text = whole[field].as_str().context("a timestamp")?;
        anyhow::Ok(chrono::DateTime::parse_from_rfc3339(text)?.timestamp_millis())
    };
    let lives = stamp("expires_at")? - stamp("created_at")?;
    assert_eq!(lives, 24 * 3_600_000, "the default is a day");
    let queue = accepted
        .queue
        .as_ref()
        .context("an accepted message has a place")?;
    assert_eq!(queue["position"], json!(0), "no message is before it");
    assert!(queue["estimated_send_at"].is_string() && queue["estimated_send_by"].is_string());
    let read = world.api.message_at(&accepted.id, "read").await?;
    assert_eq!(
        read.wa_message_id, accepted.wa_message_id,
        "a WhatsApp id is chosen at accept"
    );
    let stamps = [&read.sent_at, &read.delivered_at, &read.read_at];
    assert!(stamps.is_sorted(), "{stamps:?}");
    assert!(read.sent_at.is_some() && read.read_at.is_some());
    assert_eq!(
        world.simulator.shown(CONTACT).await?,
        ["Your order has left."]
    );
    for kind in ["message.sent", "message.delivered", "message.read"] {
        let told = receiver.wait_for(kind, 1).await?;
        assert_eq!(told[0].body["data"]["message"]["id"], json!(accepted.id));
    }
    world.finish().await
}

async fn a_text_goes_out_over_tls(backing: Backing) -> Result<Finished> {
    install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let server = simulator.wss_url();
    let gateway = Gateway::new(backing, folder.path(), &server, Setup::default()).await?;
    let world = World::on(gateway, simulator, folder).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let sent = world.api.send(&session.id, CONTACT, "sealed twice").await?;
    world.api.message_at(&sent.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["sealed twice"]);
    world.finish().await
}

async fn a_phone_that_does_not_read_leaves_the_message_delivered(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world
        .simulator
        .phone(
            CONTACT,
            Phone {
                online: false,
                reads: false,
                echo: false,
            },
        )
        .await?;
    let sent = world.api.send(&session.id, CONTACT, "hello").await?;
    let at = world.api.message_at(&sent.id, "sent").await?;
    assert_eq!(at.status, "sent", "no phone has received it yet");
    world
        .simulator
        .phone(
            CONTACT,
            Phone {
                reads: false,
                ..Phone::default()
            },
        )
        .await?;
    let at = world.api.message_at(&sent.id, "delivered").await?;
    assert_eq!((at.status.as_str(), at.read_at), ("delivered", None));
    world.finish().await
}

async fn a_refused_send_fails_with_its_code_and_the_lane_goes_on(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.failed"]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    for code in [400, 404, 463, 479, 503] {
        let fault = json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": code, "times": 1 });
        world.simulator.fault(&fault).await?;
        let refused = world.api.send(&session.id, CONTACT, "refused").await?;
        let refused = world.api.message_at(&refused.id, "failed").await?;
        // A first message that is refused with 463 has a code of its own, see `number_health`.
        let expected = match code {
            463 => "recipient_requires_prior_contact".to_owned(),
            code => format!("whatsapp_{code}"),
        };
        assert_eq!(refused.error_code(), expected);
        assert_eq!(refused.sent_at, None);
    }
    let next = world.api.send(&session.id, CONTACT, "taken").await?;
    world.api.message_at(&next.id, "read").await?;
    let told = receiver.wait_for("message.failed", 5).await?;
    assert_eq!(
        told[0].body["data"]["message"]["error"]["code"],
        json!("whatsapp_400")
    );
    world.finish().await
}

async fn a_silent_server_never_makes_a_message_sent(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        ack_timeout_ms: 1_500,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?;
    // The server receives the frames, but neither acknowledges nor delivers them.
    world
        .simulator
        .phone(
            CONTACT,
            Phone {
                online: false,
                ..Phone::default()
            },
        )
        .await?;
    world
        .simulator
        .fault(&json!({ "phone": NUMBER, "on": "ack", "do": "drop", "times": null }))
        .await?;
    let sent = world
        .api
        .send(&session.id, CONTACT, "anybody there?")
        .await?;
    let unknown = world.api.message_at(&sent.id, "unknown").await?;
    assert_eq!(
        (unknown.status.as_str(), unknown.sent_at),
        ("unknown", None)
    );
    receiver.wait_for("message.unknown", 1).await?;
    let frames = world.simulator.ledger("sent").await?;
    assert!(frames.len() <= 2, "at most once more: {frames:?}");
    assert!(
        frames
            .iter()
            .all(|frame| Some(&frame.id) == sent.wa_message_id.as_ref())
    );
    assert_eq!(receiver.of("message.sent").len(), 0);
    world.simulator.no_faults().await?;
    let next = world.api.send(&session.id, CONTACT, "and now?").await?;
    world.api.message_at(&next.id, "sent").await?;
    world.finish().await
}

async fn an_acknowledgement_that_comes_late_still_counts(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        ack_timeout_ms: 1_000,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    // The recipient is offline and sends no receipt.
    let phone = Phone {
        online: false,
        ..Phone::default()
    };
    world.simulator.phone(CONTACT, phone).await?;
    let fault =
        json!({ "phone": NUMBER, "on": "message", "do": "delay", "delay_ms": 6000, "times": 2 });
    world.simulator.fault(&fault).await?;
    let sent = world.api.send(&session.id, CONTACT, "slow").await?;
    world.api.message_at(&sent.id, "unknown").await?;
    world.api.message_at(&sent.id, "sent").await?;
    world.finish().await
}

async fn a_receipt_stands_for_an_acknowledgement_that_was_lost(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        ack_timeout_ms: 1_000,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    world
        .simulator
        .phone(
            CONTACT,
            Phone {
                reads: false,
                ..Phone::default()
            },
        )
        .await?;
    world
        .simulator
        .fault(&json!({ "phone": NUMBER, "on": "ack", "do": "drop", "times": 3 }))
        .await?;
    let sent = world.api.send(&session.id, CONTACT, "slow").await?;
    let late = world.api.message_at(&sent.id, "delivered").await?;
    assert_eq!(late.status, "delivered");
    assert_eq!(world.simulator.shown(CONTACT).await?, ["slow"]);
    world.finish().await
}

async fn a_cut_connection_repeats_the_same_id_and_the_phone_shows_one(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let fault = json!({ "phone": NUMBER, "on": "message", "do": "cut", "times": 1 });
    world.simulator.fault(&fault).await?;
    let first = world.api.send(&session.id, CONTACT, "cut").await?;
    let second = world.api.send(&session.id, CONTACT, "after").await?;
    world.api.message_at(&first.id, "read").await?;
    world.api.message_at(&second.id, "read").await?;
    let mut shown = world.simulator.shown(CONTACT).await?;
    shown.sort_unstable();
    assert_eq!(shown, ["after", "cut"]);
    world.finish().await
}

async fn a_hundred_sends_while_the_session_is_offline_go_out_later(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.disconnect(&session.id).await?;
    world.api.session_in(&session.id, "stopped").await?;
    let texts: Vec<_> = (0..100).map(|n| format!("offline {n:03}")).collect();
    for text in &texts {
        world.api.send(&session.id, CONTACT, text).await?;
    }
    assert_eq!(
        world
            .api
            .session(&session.id)
            .await?
            .queue
            .map(|queue| queue.pending),
        Some(100)
    );
    assert_eq!(world.simulator.ledger("sent").await?.len(), 0);
    world.api.connect(&session.id).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    soon("all texts are shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        Ok((shown.len() >= 100).then(|| assert_eq!(shown, texts)))
    })
    .await?;
    world.finish().await
}

async fn a_queued_message_can_be_canceled_and_a_sent_one_cannot(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 1_500,
        gap_ceiling_ms: 2_000,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let first = world.api.send(&session.id, CONTACT, "first").await?;
    let second = world.api.send(&session.id, CONTACT, "second").await?;
    let canceled = world
        .api
        .act(&format!("/v1/messages/{}/cancel", second.id))
        .await?;
    assert_eq!(canceled.status.as_u16(), 200);
    assert_eq!(canceled.body["status"], json!("canceled"));
    world.api.message_at(&first.id, "read").await?;
    let refused = world
        .api
        .act(&format!("/v1/messages/{}/cancel", first.id))
        .await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "message_not_cancelable")
    );
    let third = world.api.send(&session.id, CONTACT, "third").await?;
    world.api.message_at(&third.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["first", "third"]);
    world.finish().await
}

async fn a_message_that_waits_past_its_expiry_is_never_sent(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.expired"]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.disconnect(&session.id).await?;
    world.api.session_in(&session.id, "stopped").await?;
    let mut body = Api::text(&session.id, CONTACT, "a code that is good for two seconds");
    body["expires_at"] = json!(world.api.in_seconds(2).await?);
    let accepted: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    let id = accepted["id"]
        .as_str()
        .context("an accepted message has an id")?;
    let expired = world.api.message_at(id, "expired").await?;
    assert_eq!(expired.sent_at, None);
    receiver.wait_for("message.expired", 1).await?;
    world.api.connect(&session.id).await?;
    world.api.session_in(&session.id, "connected").await?;
    let next = world.api.send(&session.id, CONTACT, "next").await?;
    world.api.message_at(&next.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["next"]);
    world.finish().await
}

async fn typing_is_shown_before_the_text(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 400,
        typing_ms: 300,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let sent = world.api.send(&session.id, CONTACT, "hello").await?;
    world.api.message_at(&sent.id, "read").await?;
    let typing = world.simulator.ledger("chatstate").await?;
    let frames = world.simulator.ledger("sent").await?;
    let typed = typing.first().context("typing was shown")?;
    let ahead = frames[0].wire_us.saturating_sub(typed.wire_us);
    assert!(ahead >= 150_000, "typing began {ahead} µs before the text");
    world.finish().await
}

async fn a_recipient_is_resolved_once(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let first = world.api.send(&session.id, CONTACT, "one").await?;
    world.api.message_at(&first.id, "read").await?;
    let before = world.simulator.stats().await?;
    for text in ["two", "three", "four"] {
        let sent = world.api.send(&session.id, CONTACT, text).await?;
        world.api.message_at(&sent.id, "read").await?;
    }
    let after = world.simulator.stats().await?;
    for query in ["usync", "prekey_fetches"] {
        assert_eq!(before[query], after[query], "{query} was asked again");
    }
    world.finish().await
}

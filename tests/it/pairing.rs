//! Linking a number by QR and by code, and unlinking it.

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use passerelle_tests::{
    Api, Backing, Finished, World, browser, on_every_shape, simulator::Phone, soon,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{io::Cursor, time::Duration};

on_every_shape!(
    a_number_links_by_qr_and_its_session_knows_the_phone,
    a_number_links_by_a_code_typed_into_the_phone,
    the_qr_comes_as_json_png_and_svg,
    the_qr_stream_shows_a_code_and_ends_when_the_number_is_linked,
    the_qr_rotates_and_the_second_one_links_too,
    a_linked_number_can_write_to_people_its_phone_knows,
    a_disconnected_session_comes_back_without_a_qr,
    a_number_unlinked_on_the_phone_is_logged_out_and_links_again,
    logout_unlinks_the_device_from_the_phone,
    a_deleted_session_is_gone_and_its_phone_has_no_device,
);

const NUMBER: &str = "+4915170000001";

async fn devices(world: &World) -> Result<usize> {
    let phone = world.simulator.phone_state(NUMBER).await?;
    Ok(phone["devices"]
        .as_array()
        .context("a phone has devices")?
        .len())
}

async fn a_number_links_by_qr_and_its_session_knows_the_phone(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    let fresh = world.api.create_session("support").await?;
    assert_eq!(
        (fresh.desired.as_str(), fresh.state.as_str()),
        ("stopped", "stopped")
    );
    let session = world.linked(NUMBER).await?;
    assert_eq!(session.desired, "running");
    assert_eq!(session.phone.as_deref(), Some(NUMBER));
    let told = receiver.wait_for("session.connected", 1).await?;
    assert_eq!(told[0].body["session_id"], json!(session.id));
    assert_eq!(devices(&world).await?, 1);
    let none = world
        .api
        .get(&format!("/v1/sessions/{}/qr", session.id))
        .await?;
    assert_eq!(
        (none.status.as_u16(), none.code()),
        (409, "qr_not_available")
    );
    world.finish().await
}

async fn a_number_links_by_a_code_typed_into_the_phone(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let session = world.api.create_session("support").await?;
    world.api.connect(&session.id).await?;
    world.api.qr(&session.id).await?;
    let path = format!("/v1/sessions/{}/pairing-code", session.id);
    let told: Value = world
        .api
        .post(&path, &json!({ "phone": NUMBER }))
        .await?
        .into(200)?;
    let code = told["code"].as_str().context("the answer has a code")?;
    world
        .simulator
        .enter_code(NUMBER, &code.replace('-', ""))
        .await?;
    let session = world.api.session_in(&session.id, "connected").await?;
    assert_eq!(session.phone.as_deref(), Some(NUMBER));
    world.finish().await
}

async fn the_qr_comes_as_json_png_and_svg(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("support").await?;
    world.api.connect(&session.id).await?;
    world.api.qr(&session.id).await?;
    let path = format!("/v1/sessions/{}/qr", session.id);
    let json: Value = world.api.get(&path).await?.into(200)?;
    assert!(json["expires_at"].is_string());
    let url = json["png_data_url"].as_str().unwrap_or_default();
    assert!(url.starts_with("data:image/png;base64,"), "{url}");
    let mut pictures = Vec::new();
    for kind in ["image/png", "image/svg+xml"] {
        let asked = world.api.request(Method::GET, &path);
        let reply = asked.header("Accept", kind).send().await?;
        assert_eq!(reply.headers()["content-type"], kind);
        pictures.push(reply.bytes().await?);
    }
    let formats = [("", 0), ("?format=png", 0), ("?format=svg", 1)];
    for (format, picture) in formats {
        let asked = world
            .api
            .request(Method::GET, &format!("{path}/image{format}"));
        let (status, headers, bytes) = Api::bytes(asked).await?;
        let kind = ["image/png", "image/svg+xml"][picture];
        assert_eq!(
            (status.as_u16(), &headers["content-type"]),
            (200, &kind.parse()?)
        );
        assert_eq!(bytes, pictures[picture]);
    }
    let refused = world.api.get(&format!("{path}/image?format=gif")).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (400, "validation_failed")
    );
    let drawn = browser::screenshot_of_svg(world.folder(), &pictures[1]).await?;
    let code = json["qr"].as_str().context("JSON has the code")?;
    assert_eq!(read_qr(&pictures[0])?, code);
    assert_eq!(read_qr(&drawn)?, code);
    world.finish().await
}

/// Reads the QR code in a PNG picture, as a phone's camera would.
fn read_qr(file: &[u8]) -> Result<String> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let size = reader
        .output_buffer_size()
        .context("the picture is not too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let step = frame.line_size / width;
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        pixels[y * frame.line_size + x * step]
    });
    let grids = picture.detect_grids();
    let grid = grids.first().context("there is a QR code")?;
    Ok(grid.decode()?.1)
}

async fn the_qr_rotates_and_the_second_one_links_too(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let session = world.api.create_session("support").await?;
    world.api.connect(&session.id).await?;
    let path = format!("/v1/sessions/{}/qr/stream", session.id);
    let asked = world.api.request(Method::GET, &path);
    let mut stream = asked.timeout(Duration::from_secs(100)).send().await?;
    let mut text = String::new();
    // WhatsApp's clients show the first code for a minute, and each other code for twenty seconds.
    let second = tokio::time::timeout(Duration::from_secs(90), async {
        while let Some(part) = stream.chunk().await? {
            text.push_str(std::str::from_utf8(&part)?);
            let mut codes = qrs(&text);
            if let (Some(first), Some(second)) = (codes.next(), codes.next()) {
                assert_ne!(first, second);
                return Ok(second);
            }
        }
        bail!("the stream ended: {text}")
    });
    let second = second.await.context("the code does not rotate")??;
    assert_eq!(world.api.qr(&session.id).await?, second);
    world.simulator.scan(NUMBER, &second).await?;
    world.api.session_in(&session.id, "connected").await?;
    world.finish().await
}

async fn the_qr_stream_shows_a_code_and_ends_when_the_number_is_linked(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let session = world.api.create_session("support").await?;
    world.api.connect(&session.id).await?;
    let path = format!("/v1/sessions/{}/qr/stream", session.id);
    let reply = world.api.request(Method::GET, &path).send().await?;
    let kind = reply.headers()["content-type"].to_str()?.to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let (mut stream, mut text, mut scanned) = (reply.bytes_stream(), String::new(), false);
    while let Some(part) = stream.next().await {
        text.push_str(std::str::from_utf8(&part?)?);
        if !scanned && let Some(qr) = qrs(&text).next() {
            world.simulator.scan(NUMBER, &qr).await?;
            scanned = true;
        }
    }
    assert!(scanned, "no QR in the stream: {text}");
    assert!(
        text.contains("event: state") || text.contains("event:state"),
        "{text}"
    );
    world.api.session_in(&session.id, "connected").await?;
    world.finish().await
}

/// Returns the codes of the complete `qr` events in a stream.
fn qrs(text: &str) -> impl Iterator<Item = String> {
    text.split_inclusive("\n\n")
        .filter(|event| event.ends_with("\n\n"))
        .flat_map(str::lines)
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data:")?.trim()).ok())
        .filter_map(|event| Some(event["qr"].as_str()?.to_owned()))
}

/// WhatsApp allows a new device to write to people the phone knows, with the tokens in the phone's
/// history.
async fn a_linked_number_can_write_to_people_its_phone_knows(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let (friend, stranger) = ("+4915199000001", "+4915199000002");
    for phone in [friend, stranger] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let knows = json!({ "phone": NUMBER, "contacts": [friend] });
    world
        .simulator
        .call(Method::POST, "/phones", Some(&knows))
        .await?;
    let session = world.linked(NUMBER).await?;
    // The history arrives some time after the link.
    soon("a message shows the friend's token", async || {
        let sent = world.api.send(&session.id, friend, "hello").await?;
        world.api.message_at(&sent.id, "read").await?;
        let frames = world.simulator.ledger("sent").await?;
        Ok(frames.iter().any(|frame| frame.token).then_some(()))
    })
    .await?;
    world.gateway.kill_and_restart().await?;
    let inbound = world.api.messages("direction=inbound").await?;
    assert!(
        inbound.is_empty(),
        "the history was reported as new messages"
    );
    for (to, known) in [(friend, true), (stranger, false)] {
        let sent = world.api.send(&session.id, to, "hello").await?;
        world.api.message_at(&sent.id, "read").await?;
        let frames = world.simulator.ledger("sent").await?;
        let last = frames.last().context("no frame was sent")?;
        assert_eq!((last.to.as_str(), last.token), (to, known));
    }
    world.finish().await
}

async fn a_disconnected_session_comes_back_without_a_qr(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    let asked = world.api.disconnect(&session.id).await?;
    assert_eq!(asked.desired, "stopped");
    world.api.session_in(&session.id, "stopped").await?;
    assert_eq!(devices(&world).await?, 1, "a disconnect must not unlink");
    world.api.connect(&session.id).await?;
    world.api.session_in(&session.id, "connected").await?;
    assert_eq!(devices(&world).await?, 1);
    world.finish().await
}

async fn a_number_unlinked_on_the_phone_is_logged_out_and_links_again(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["session.logged_out"]).await?;
    let session = world.linked(NUMBER).await?;
    let phone = world.simulator.phone_state(NUMBER).await?;
    let device = phone["devices"][0]["device"]
        .as_u64()
        .context("a device has a number")?;
    world.simulator.unlink(NUMBER, device).await?;
    world.api.session_in(&session.id, "logged_out").await?;
    receiver.wait_for("session.logged_out", 1).await?;
    world.api.connect(&session.id).await?;
    let qr = world.api.qr(&session.id).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    world.api.session_in(&session.id, "connected").await?;
    world.finish().await
}

async fn logout_unlinks_the_device_from_the_phone(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world
        .api
        .act(&format!("/v1/sessions/{}/logout", session.id))
        .await?
        .into::<Value>(202)?;
    world.api.session_in(&session.id, "logged_out").await?;
    soon("the phone has no device", async || {
        Ok((devices(&world).await? == 0).then_some(()))
    })
    .await?;
    world.finish().await
}

async fn a_deleted_session_is_gone_and_its_phone_has_no_device(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    let path = format!("/v1/sessions/{}", session.id);
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    assert_eq!(world.api.get(&path).await?.status.as_u16(), 404);
    soon("the phone has no device", async || {
        Ok((devices(&world).await? == 0).then_some(()))
    })
    .await?;
    world.finish().await
}

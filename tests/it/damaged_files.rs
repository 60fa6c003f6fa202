//! Files that come in and that WhatsApp keeps with other bytes than the sender encrypted.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{Backing, Finished, World, on_every_shape, simulator::Phone, wait::within};
use reqwest::Method;
use serde_json::{Value, json};

use crate::media::{CONTACT, NUMBER, sha256};

on_every_shape!(fidelity_a_file_with_a_wrong_mac_is_asked_for_once_more,);

async fn fidelity_a_file_with_a_wrong_mac_is_asked_for_once_more(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["media.failed", "media.available"]).await?;
    // The number is offline until both files are damaged. The phone itself no longer has the second one.
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let path = format!("/phones/{}/say", CONTACT.replace('+', "%2B"));
    for (text, lost) in [("kept by its phone", false), ("lost", true)] {
        let document = json!({ "type": "document", "bytes_base64": STANDARD.encode(text) });
        let said = json!({ "to": NUMBER, "message": document });
        let put = world
            .simulator
            .call(Method::POST, &path, Some(&said))
            .await?;
        let place = put["media"]["direct_path"].clone();
        let damaged = json!({ "direct_path": place, "corrupt": true, "lost": lost });
        world
            .simulator
            .call(Method::POST, "/media", Some(&damaged))
            .await?;
    }
    world.api.connect(&session).await?;
    // Without the phone, the file would be fetched from WhatsApp again and again, for 31 hours.
    let soon = Duration::from_secs(30);
    let told = within(soon, "both files are settled", async || {
        let here = receiver.of("media.available");
        let failed = receiver.of("media.failed");
        Ok(here.first().cloned().zip(failed.first().cloned()))
    });
    let (here, failed) = told.await?;
    let media = |arrival: &passerelle_tests::receiver::Arrival| -> Value {
        arrival.body["data"]["media"].clone()
    };
    assert_eq!(media(&here)["sha256"], json!(sha256(b"kept by its phone")));
    let failed = media(&failed);
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["error"]["code"], "media_damaged", "{failed}");
    let id = failed["id"].as_str().context("an id")?;
    let refused = world.api.get(&format!("/v1/media/{id}/content")).await?;
    assert_eq!(refused.code(), "media_unavailable");
    world.finish().await
}

//! An organisation can keep its files for its own time, including files that are already stored.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::DateTime;
use passerelle_tests::{
    Api, Backing, Finished, Setup, Shop, World, on_both_stores,
    process::{command, sandbox_binary},
    shop::Page,
    simulator::Phone,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

on_both_stores!(
    an_organisation_s_files_are_kept_for_a_time_of_its_own,
    the_operator_alone_says_how_long_files_are_kept,
    the_command_line_says_it_too,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const PAPER: &[u8] = b"%PDF-1.4\n% an invoice\n";

fn path(org: &str) -> String {
    format!("/v1/organisations/{org}/media-retention")
}

async fn keep(world: &World, org: &str, hours: u32) -> Result<Value> {
    let request = world.admin.request(Method::PUT, &path(org));
    Api::reply(request.json(&json!({ "hours": hours })))
        .await?
        .into(200)
}

/// Returns the whole hours from a file's creation to its expiry.
fn hours(file: &Value) -> Result<i64> {
    let at = |field: &str| {
        let text = file[field].as_str().context("a time")?;
        Ok::<_, anyhow::Error>(DateTime::parse_from_rfc3339(text)?)
    };
    Ok((at("expires_at")? - at("created_at")?).num_hours())
}

async fn kept(api: &Api, id: &Value) -> Result<i64> {
    let id = id.as_str().context("an id")?;
    let file: Value = api.get(&format!("/v1/media/{id}")).await?.into(200)?;
    hours(&file)
}

async fn an_organisation_s_files_are_kept_for_a_time_of_its_own(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let other = world.admin.tenant("Other").await?;
    let theirs: Value = other.upload("document", PAPER).await?.into(201)?;
    let before: Value = world.api.upload("document", PAPER).await?.into(201)?;
    assert_eq!(hours(&before)?, 72, "the gateway's own retention");
    let organisation = keep(&world, &world.org, 5).await?;
    assert_eq!(organisation["media_retention_hours"], 5);
    assert_eq!(
        kept(&world.api, &before["id"]).await?,
        5,
        "files that are already stored must follow"
    );
    assert_eq!(
        kept(&other, &theirs["id"]).await?,
        72,
        "files of other organisations must not change"
    );
    // It applies to files from every source.
    let after: Value = world.api.upload("document", PAPER).await?.into(201)?;
    assert_eq!(hours(&after)?, 5);
    let said = json!({ "type": "document", "bytes_base64": STANDARD.encode(PAPER) });
    world
        .simulator
        .tell(CONTACT, NUMBER, json!({ "message": said }))
        .await?;
    let told = receiver.wait_for("media.available", 1).await?;
    assert_eq!(hours(&told[0].body["data"]["media"])?, 5);
    // A message that may wait for a day needs its file for a day.
    let shop = Shop::open().await?;
    let url = shop.put("/paper", Page::File("application/pdf", PAPER.to_vec()));
    for document in [json!({ "url": url }), json!({ "media_id": after["id"] })] {
        let message = json!({ "type": "document", "document": document });
        let sent = world.api.send_kind(&session, CONTACT, message).await?;
        let whole = world.api.whole_message(&sent.id).await?;
        let id = &whole["document"]["media_id"];
        assert!((24..=25).contains(&kept(&world.api, id).await?), "{whole}");
        keep(&world, &world.org, 4).await?;
        assert!((24..=25).contains(&kept(&world.api, id).await?), "{whole}");
        world.api.message_at(&sent.id, "sent").await?;
    }
    let lifted: Value = world.admin.delete(&path(&world.org)).await?.into(200)?;
    assert_eq!(lifted["media_retention_hours"], Value::Null);
    assert_eq!(kept(&world.api, &before["id"]).await?, 72);
    world.finish().await
}

async fn the_operator_alone_says_how_long_files_are_kept(backing: Backing) -> Result<Finished> {
    let mut setup = Setup::quick();
    setup.flags = vec!["--media-retention-hours".to_owned(), "800".to_owned()];
    let world = World::with(backing, setup).await?;
    let (org, put) = (&world.org, |api: &Api, org: &str, body: Value| {
        Api::reply(api.request(Method::PUT, &path(org)).json(&body))
    });
    let told: Value = world
        .admin
        .get(&format!("/v1/organisations/{org}"))
        .await?
        .into(200)?;
    assert_eq!(
        (&told["id"], &told["media_retention_hours"]),
        (&json!(org), &Value::Null)
    );
    for (hours, code) in [
        (json!(0), "invalid_retention"),
        (json!(801), "invalid_retention"),
        (json!(-1), "validation_failed"),
        (json!("24"), "validation_failed"),
        (Value::Null, "validation_failed"),
    ] {
        let refused = put(&world.admin, org, json!({ "hours": hours })).await?;
        assert_eq!(refused.code(), code, "{}", refused.body);
    }
    // The upper limit is the gateway's own retention, which is more than thirty days here.
    keep(&world, org, 800).await?;
    let told: Value = world
        .admin
        .get(&format!("/v1/organisations/{org}"))
        .await?
        .into(200)?;
    assert_eq!(told["media_retention_hours"], 800);
    let listed: Value = world.admin.get("/v1/organisations").await?.into(200)?;
    assert_eq!(listed["data"][0]["media_retention_hours"], 800);
    let tenant = put(&world.api, org, json!({ "hours": 24 })).await?;
    assert_eq!(
        (tenant.status, tenant.code()),
        (StatusCode::FORBIDDEN, "insufficient_scope")
    );
    let nobody = "org_01kaq6h3zve9qbw4r2t8n5c7xd";
    let refused = put(&world.admin, nobody, json!({ "hours": 24 })).await?;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(
        world.admin.delete(&path(nobody)).await?.status,
        StatusCode::NOT_FOUND
    );
    let read = world
        .admin
        .get(&format!("/v1/organisations/{nobody}"))
        .await?;
    assert_eq!(read.status, StatusCode::NOT_FOUND);
    world.finish().await
}

async fn the_command_line_says_it_too(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let file: Value = world.api.upload("document", PAPER).await?.into(201)?;
    let admin = async |more: &[&str]| {
        let mut command = command(&sandbox_binary()?);
        command
            .args(["admin", "set-media-retention", "--organisation", &world.org])
            .args(more)
            .env("PASSERELLE_DATABASE_URL", &world.gateway.database.url)
            .env("PASSERELLE_KEK", &world.gateway.setup.kek);
        // The command and the running gateway do not disturb each other.
        Ok::<_, anyhow::Error>(command.output().await?)
    };
    let done = admin(&["--hours", "24"]).await?;
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let printed: Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(printed["media_retention_hours"], 24);
    assert_eq!(kept(&world.api, &file["id"]).await?, 24);
    assert!(!admin(&["--hours", "721"]).await?.status.success());
    let done = admin(&["--media-retention-hours", "96"]).await?;
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(kept(&world.api, &file["id"]).await?, 96);
    world.finish().await
}

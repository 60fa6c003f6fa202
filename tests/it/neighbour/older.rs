//! A database that an older version made is brought up to date, and everything in it is as before.
//!
//! `tests/assets/made_by_f6cb169` has a dump for each store, with the ids and the key that the API returned,
//! and the sealed bytes of the one file. The schema is that of f6cb169: its seventeen migrations, with their
//! checksums, and its row-level security. The rows were written by 67948db, the last commit before the eighteenth
//! migration. Between the two commits no migration and no sealed format changed. Through the API an organisation, a
//! key, an endpoint, two sessions, a file, three texts and a document were created. Two texts were canceled, which
//! made events for the endpoint. Then the second session was deleted, which left its event behind: versions before
//! the migration 0020 did that.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Gateway, Setup, Simulator, World, on_both_stores, simulator::Phone,
    soon, world::install_tls,
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

on_both_stores!(a_database_of_an_older_version_works_as_before);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const TEXT: &str = "Your order 4711 is on its way.";
const PAPER: &[u8] = b"Your order 4711 is on its way.\n";
/// Files are kept for a year at most, and the test still runs after that.
const KEEP: &str = "UPDATE media SET delete_at = 4102444800000";

/// Its messages lived for a day.
const LIVE: &str = "UPDATE message SET expires_at = 4102444800000";

/// What the API of the older version returned.
#[derive(Debug, Deserialize)]
struct Made {
    organisation: String,
    key: String,
    endpoint: String,
    session: String,
    deleted_session: String,
    queued: String,
    canceled: String,
    file: String,
    document: String,
    object: String,
    object_hex: String,
}

/// Starts today's gateway on the older database.
async fn start(backing: Backing) -> Result<(World, Made)> {
    install_tls();
    let (dump, made) = match backing {
        Backing::Sqlite => (
            include_str!("../../assets/made_by_f6cb169/sqlite.sql"),
            include_str!("../../assets/made_by_f6cb169/sqlite.json"),
        ),
        Backing::Postgres | Backing::Cluster => (
            include_str!("../../assets/made_by_f6cb169/postgres.sql"),
            include_str!("../../assets/made_by_f6cb169/postgres.json"),
        ),
    };
    let made: Made = serde_json::from_str(made)?;
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let setup = Setup::quick();
    let gateway = Gateway::new(backing, folder.path(), &simulator.ws_url(), setup).await?;
    gateway.database.load(dump).await?;
    assert_eq!(gateway.database.execute(KEEP).await?, 1);
    assert_eq!(gateway.database.execute(LIVE).await?, 3);
    let object = folder.path().join("media").join(&made.object);
    std::fs::create_dir_all(object.parent().context("a folder for each organisation")?)?;
    std::fs::write(object, hex::decode(&made.object_hex)?)?;
    Ok((World::on(gateway, simulator, folder).await?, made))
}

async fn a_database_of_an_older_version_works_as_before(backing: Backing) -> Result<Finished> {
    let (world, made) = start(backing).await?;
    let api = world.admin.with_key(made.key.clone());
    everything_is_read(&world, &api, &made).await?;
    let receiver = world.endpoint_for(&api, &["message.canceled"]).await?;
    let canceled = super::cancel_one(&api, &made.session).await?;
    let told = receiver.wait_for("message.canceled", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(canceled));
    what_was_accepted_is_sent(&world, &api, &made).await?;
    erased(&world, &made.deleted_session).await?;
    world.finish_with_work_undone().await
}

async fn everything_is_read(world: &World, api: &Api, made: &Made) -> Result<()> {
    let path = format!("/v1/organisations/{}", made.organisation);
    let organisation: Value = world.admin.get(&path).await?.into(200)?;
    assert_eq!(organisation["name"], "Old & Sons");
    let sessions = api.sessions().await?;
    assert_eq!(sessions.len(), 1, "the deleted one stays deleted");
    assert_eq!(sessions[0].id, made.session);
    assert_eq!(sessions[0].queue.as_ref().context("a lane")?.pending, 2);
    let endpoints: Value = api.get("/v1/webhook-endpoints").await?.into(200)?;
    let endpoint = &endpoints["data"][0];
    assert_eq!(endpoint["id"], json!(made.endpoint));
    assert_eq!(endpoint["url"], "http://127.0.0.1:9/hooks");
    assert_eq!(endpoint["events"], json!(["message.canceled"]));
    let messages = api
        .messages(&format!("session_id={}", made.session))
        .await?;
    let read = |id: &str| {
        let found = messages.iter().find(|message| message.id == id);
        found.map(|message| (message.status.as_str(), message.body()))
    };
    assert_eq!(messages.len(), 3);
    assert_eq!(read(&made.queued), Some(("queued", TEXT)));
    assert_eq!(read(&made.canceled), Some(("canceled", "Never mind.")));
    assert_eq!(read(&made.document), Some(("queued", "")));
    let document = api.whole_message(&made.document).await?;
    assert_eq!(document["document"]["caption"], "The papers");
    let file: Value = api
        .get(&format!("/v1/media/{}", made.file))
        .await?
        .into(200)?;
    assert_eq!(file["status"], "available");
    assert_eq!(file["file_name"], "order.txt");
    let content = api.request(Method::GET, &format!("/v1/media/{}/content", made.file));
    let (status, _, bytes) = Api::bytes(content).await?;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PAPER));
    Ok(())
}

/// Links the session. What the older version had accepted is sent, then what is accepted today.
async fn what_was_accepted_is_sent(world: &World, api: &Api, made: &Made) -> Result<()> {
    let new = api.send(&made.session, CONTACT, "A new one").await?.id;
    for phone in [NUMBER, CONTACT] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    api.connect(&made.session).await?;
    let qr = api.qr(&made.session).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    for id in [&made.queued, &made.document, &new] {
        api.message_at(id, "sent").await?;
    }
    assert_eq!(api.message(&made.canceled).await?.status, "canceled");
    let chat = soon("the phone shows all", async || {
        let chat = world.simulator.chat(CONTACT, NUMBER).await?;
        Ok((chat.len() == 3).then_some(chat))
    })
    .await?;
    let media = &chat[1]["message"]["media"];
    assert_eq!(media["length"], json!(PAPER.len()), "{chat:?}");
    assert_eq!(world.simulator.shown(CONTACT).await?[0], TEXT);
    Ok(())
}

/// Waits until nothing is left of the session that the older version deleted.
async fn erased(world: &World, session: &str) -> Result<()> {
    soon("what a deleted session left is erased", async || {
        let rows = world.gateway.database.rows_with(session).await?;
        Ok(rows.is_empty().then_some(()))
    })
    .await
}

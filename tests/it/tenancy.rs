//! Another organisation's ids are answered exactly like ids that never existed.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, api::Reply, on_every_shape};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    another_organisations_ids_answer_as_ids_that_never_were,
    another_organisations_rows_are_in_no_list,
    a_revoked_key_and_a_wrong_key_get_the_same_answer,
    an_organisation_makes_further_keys_of_its_own,
    an_organisations_key_cannot_do_what_the_admin_key_does,
);

const CONTACT: &str = "+4915199000001";

/// Returns a valid id of the same kind that does not exist.
pub(crate) fn never(id: &str) -> String {
    let (prefix, suffix) = id.split_once('_').unwrap_or_default();
    let swapped: String = suffix.chars().rev().take(10).collect();
    let kept = &suffix[..suffix.len() - 10];
    let swapped: String = swapped
        .chars()
        .map(|digit| if digit == 'z' { 'y' } else { 'z' })
        .collect();
    format!("{prefix}_{kept}{swapped}")
}

/// Returns what is compared: the status, and the body without the parts that differ for each request.
pub(crate) fn bare(reply: &Reply, id: &str) -> (u16, String) {
    let mut body = reply.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
        fields.remove("instance");
    }
    (reply.status.as_u16(), body.to_string().replace(id, "ID"))
}

async fn another_organisations_ids_answer_as_ids_that_never_were(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let (ours, theirs) = (&world.api, world.admin.tenant("Globex").await?);
    let session = ours.create_session("a").await?.id;
    let message = ours.send(&session, CONTACT, "ours").await?.id;
    let (endpoint, _) = ours.create_endpoint("http://127.0.0.1:9/hook", &[]).await?;
    let delivery = a_delivery(ours, &session).await?;
    let keys: Value = ours.get("/v1/api-keys").await?.into(200)?;
    let key = keys["data"][0]["id"]
        .as_str()
        .context("there is a key")?
        .to_owned();
    let mut calls = vec![
        (Method::GET, "/v1/messages/ID", &message),
        (Method::POST, "/v1/messages/ID/cancel", &message),
        (Method::GET, "/v1/webhook-endpoints/ID", &endpoint),
        (Method::DELETE, "/v1/webhook-endpoints/ID", &endpoint),
        (
            Method::POST,
            "/v1/webhook-endpoints/ID/secret/rotate",
            &endpoint,
        ),
        (Method::DELETE, "/v1/api-keys/ID", &key),
        (Method::GET, "/v1/webhook-deliveries/ID", &delivery),
    ];
    for path in [
        "/v1/sessions/ID",
        "/v1/sessions/ID/qr",
        "/v1/sessions/ID/qr/stream",
    ] {
        calls.push((Method::GET, path, &session));
    }
    for path in [
        "/v1/sessions/ID/connect",
        "/v1/sessions/ID/disconnect",
        "/v1/sessions/ID/logout",
    ] {
        calls.push((Method::POST, path, &session));
    }
    calls.push((Method::DELETE, "/v1/sessions/ID", &session));
    for (method, path, id) in calls {
        compare(&theirs, &method, path, id, None).await?;
    }
    let code = json!({ "phone": CONTACT });
    compare(
        &theirs,
        &Method::POST,
        "/v1/sessions/ID/pairing-code",
        &session,
        Some(&code),
    )
    .await?;
    let send = Api::text("ID", CONTACT, "x");
    compare(
        &theirs,
        &Method::POST,
        "/v1/messages",
        &session,
        Some(&send),
    )
    .await?;
    assert_eq!(
        ours.session(&session).await?.desired,
        "stopped",
        "a stranger changed it"
    );
    assert_eq!(
        ours.message(&message).await?.status,
        "queued",
        "a stranger changed it"
    );
    assert_eq!(
        ours.get(&format!("/v1/webhook-endpoints/{endpoint}"))
            .await?
            .status
            .as_u16(),
        200
    );
    world.finish_with_work_undone().await
}

/// Makes an event, and so a delivery to the endpoint, by canceling a message. Returns the delivery's id.
pub(crate) async fn a_delivery(api: &Api, session: &str) -> Result<String> {
    let message = api.send(session, CONTACT, "taken back").await?.id;
    api.act(&format!("/v1/messages/{message}/cancel"))
        .await?
        .into::<Value>(200)?;
    let deliveries: Value = api.get("/v1/webhook-deliveries").await?.into(200)?;
    let id = deliveries["data"][0]["id"].as_str();
    Ok(id.context("the event has a delivery")?.to_owned())
}

/// Calls with the stranger's key, once with another organisation's id and once with an id that does not
/// exist.
async fn compare(
    theirs: &Api,
    method: &Method,
    path: &str,
    id: &str,
    body: Option<&Value>,
) -> Result<()> {
    let mut answers = Vec::new();
    for id in [id.to_owned(), never(id)] {
        let mut request = theirs.request(method.clone(), &path.replace("ID", &id));
        if let Some(body) = body {
            let body = body.to_string().replace("\"ID\"", &format!("\"{id}\""));
            request = request
                .header("Content-Type", "application/json")
                .body(body);
        }
        answers.push(bare(&Api::reply(request).await?, &id));
    }
    assert_eq!(
        answers[0], answers[1],
        "{method} {path} reveals that the id exists"
    );
    assert_eq!(answers[0].0, 404, "{method} {path}: {}", answers[0].1);
    Ok(())
}

async fn another_organisations_rows_are_in_no_list(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let (ours, theirs) = (&world.api, world.admin.tenant("Globex").await?);
    let session = ours.create_session("a").await?.id;
    ours.send(&session, CONTACT, "ours").await?;
    let (endpoint, _) = ours.create_endpoint("http://127.0.0.1:9/hook", &[]).await?;
    a_delivery(ours, &session).await?;
    for path in [
        "/v1/sessions",
        "/v1/messages",
        "/v1/webhook-endpoints",
        "/v1/webhook-deliveries",
    ] {
        let list: Value = theirs.get(path).await?.into(200)?;
        assert_eq!(list["data"], json!([]), "{path}");
    }
    for (filter, id) in [
        ("/v1/messages?session_id=", &session),
        ("/v1/webhook-deliveries?endpoint_id=", &endpoint),
    ] {
        let by_theirs = theirs.get(&format!("{filter}{id}")).await?;
        let by_nobodys = theirs.get(&format!("{filter}{}", never(id))).await?;
        assert_eq!(bare(&by_theirs, id), bare(&by_nobodys, &never(id)));
    }
    world.finish_with_work_undone().await
}

async fn a_revoked_key_and_a_wrong_key_get_the_same_answer(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let (id, key) = world.admin.create_key(&world.org, "second").await?;
    let second = world.api.with_key(&key);
    assert_eq!(second.get("/v1/sessions").await?.status.as_u16(), 200);
    assert_eq!(
        world
            .api
            .delete(&format!("/v1/api-keys/{id}"))
            .await?
            .status
            .as_u16(),
        204
    );
    let revoked = second.get("/v1/sessions").await?;
    assert_eq!(
        (revoked.status.as_u16(), revoked.code()),
        (401, "invalid_api_key")
    );
    assert_eq!(
        revoked.headers["www-authenticate"]
            .to_str()?
            .split(' ')
            .next(),
        Some("Bearer")
    );
    let mut other = key.clone().into_bytes();
    let at = other.len() - 20;
    other[at] = if other[at] == b'a' { b'b' } else { b'a' };
    let wrong = world
        .api
        .with_key(String::from_utf8(other)?)
        .get("/v1/sessions")
        .await?;
    assert_eq!(bare(&revoked, &id), bare(&wrong, &id));
    let none = Api::reply(
        reqwest::Client::builder()
            .build()?
            .get(format!("{}/v1/sessions", world.api.base().get())),
    )
    .await?;
    assert_eq!(
        (none.status.as_u16(), none.code()),
        (401, "missing_credentials")
    );
    world.finish().await
}

async fn an_organisation_makes_further_keys_of_its_own(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let made = world
        .api
        .post("/v1/api-keys", &json!({ "name": "till" }))
        .await?;
    let made: Value = made.into(201)?;
    let second = world
        .api
        .with_key(made["key"].as_str().context("a new key is shown once")?);
    let session = second.create_session("made with the second key").await?;
    assert_eq!(world.api.session(&session.id).await?.id, session.id);
    let listed: Value = second.get("/v1/api-keys").await?.into(200)?;
    let names: Vec<_> = listed["data"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|key| &key["name"])
        .collect();
    assert!(names.contains(&&json!("till")), "{listed}");
    assert!(!listed.to_string().contains(&second.key[16..]), "{listed}");
    world.finish().await
}

async fn an_organisations_key_cannot_do_what_the_admin_key_does(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let tried = world
        .api
        .post("/v1/organisations", &json!({ "name": "mine" }))
        .await?;
    assert!(matches!(tried.status.as_u16(), 401 | 403), "{}", tried.body);
    let listed = world.api.get("/v1/organisations").await?;
    assert!(
        matches!(listed.status.as_u16(), 401 | 403),
        "{}",
        listed.body
    );
    let path = format!("/v1/organisations/{}/api-keys", world.org);
    let keyed = world.api.post(&path, &json!({ "name": "mine" })).await?;
    assert!(
        matches!(keyed.status.as_u16(), 401 | 403 | 404),
        "{}",
        keyed.body
    );
    world.finish().await
}

//! What contacts are called, and the routes about them.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    fidelity_names_come_with_each_message_and_changes_are_told_once,
    fidelity_contacts_are_found_and_paged,
    fidelity_a_contact_has_a_name_and_values_of_ours,
    fidelity_a_profile_picture_is_asked_for_and_paced,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";

async fn phone(world: &World, fields: Value) -> Result<()> {
    let call = world.simulator.call(Method::POST, "/phones", Some(&fields));
    call.await.map(drop)
}

async fn patch(api: &Api, id: &str, change: &Value) -> Result<passerelle_tests::api::Reply> {
    let path = format!("/v1/contacts/{id}");
    Api::reply(api.request(Method::PATCH, &path).json(change)).await
}

async fn fidelity_names_come_with_each_message_and_changes_are_told_once(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.reaction", "contact.updated"])
        .await?;
    world.linked(NUMBER).await?;
    phone(
        &world,
        json!({ "phone": CONTACT, "name": "Ada", "reads": true }),
    )
    .await?;
    let said = world.simulator.say(CONTACT, NUMBER, "one").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let contact = &told[0].body["data"]["contact"];
    assert_eq!(
        (&contact["name"], &contact["push_name"], &contact["phone"]),
        (&json!("Ada"), &json!("Ada"), &json!(CONTACT))
    );
    assert!(contact.get("verified_name").is_none(), "{contact}");
    let id = contact["id"].as_str().context("an id")?.to_owned();
    world.simulator.say(CONTACT, NUMBER, "two").await?;
    let changed =
        json!({ "phone": CONTACT, "name": "Ada Lovelace", "verified_name": "Engines Ltd" });
    phone(&world, changed).await?;
    world.simulator.say(CONTACT, NUMBER, "three").await?;
    world.simulator.say(CONTACT, NUMBER, "four").await?;
    let reaction = json!({ "message": { "type": "reaction", "target": said, "text": "👍" } });
    world.simulator.tell(CONTACT, NUMBER, reaction).await?;
    let told = receiver.wait_for("message.reaction", 1).await?;
    let contact = &told[0].body["data"]["contact"];
    assert_eq!(
        (&contact["push_name"], &contact["verified_name"]),
        (&json!("Ada Lovelace"), &json!("Engines Ltd"))
    );
    receiver.wait_for("message.received", 4).await?;
    let updated = receiver.wait_for("contact.updated", 1).await?;
    assert_eq!(&updated[0].body["data"]["contact"], contact);
    let shown: Value = world
        .api
        .get(&format!("/v1/contacts/{id}"))
        .await?
        .into(200)?;
    assert_eq!(shown["push_name"], json!("Ada Lovelace"));
    assert_eq!(shown["verified_name"], json!("Engines Ltd"));
    for word in ["engines", "lovelace"] {
        let found = ids(&world.api, &format!("name={word}")).await?;
        assert_eq!(found, [json!(id)], "{word}");
    }
    // A name of ours is shown instead, and the next message does not change that.
    patch(&world.api, &id, &json!({ "name": "Countess" }))
        .await?
        .into::<Value>(200)?;
    world.simulator.say(CONTACT, NUMBER, "five").await?;
    let told = receiver.wait_for("message.received", 5).await?;
    let contact = &told[4].body["data"]["contact"];
    assert_eq!(
        (&contact["name"], &contact["push_name"]),
        (&json!("Countess"), &json!("Ada Lovelace"))
    );
    assert_eq!(receiver.of("contact.updated").len(), 1);
    world.finish().await
}

/// Starts a world in which two people wrote, and returns their contacts as the events showed them.
async fn two_people(backing: Backing) -> Result<(World, [Value; 2])> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    world.linked(NUMBER).await?;
    let mut people = [Value::Null, Value::Null];
    let named = [(CONTACT, "Ada Lovelace"), (OTHER, "Zoë Lovelace")];
    for (n, (number, name)) in named.into_iter().enumerate() {
        phone(&world, json!({ "phone": number, "name": name })).await?;
        world.simulator.say(number, NUMBER, "Hello").await?;
        let told = receiver.wait_for("message.received", n + 1).await?;
        people[n] = told[n].body["data"]["contact"].clone();
    }
    Ok((world, people))
}

/// Returns the ids of the contacts that a list shows.
async fn ids(api: &Api, query: &str) -> Result<Vec<Value>> {
    let page: Value = api.get(&format!("/v1/contacts?{query}")).await?.into(200)?;
    let contacts = page["data"].as_array().context("contacts")?;
    Ok(contacts
        .iter()
        .map(|contact| contact["id"].clone())
        .collect())
}

async fn fidelity_contacts_are_found_and_paged(backing: Backing) -> Result<Finished> {
    let (world, [ada, zoe]) = two_people(backing).await?;
    let first: Value = world.api.get("/v1/contacts?limit=1").await?.into(200)?;
    let cursor = first["next_cursor"].as_str().context("a cursor")?;
    let mut paged = vec![first["data"][0]["id"].clone()];
    paged.extend(ids(&world.api, &format!("limit=1&cursor={cursor}")).await?);
    assert_eq!(paged, [zoe["id"].clone(), ada["id"].clone()]);
    let lid = zoe["lid"].as_str().context("a LID")?;
    for (query, found) in [
        ("name=zoe", vec![&zoe]),
        ("name=LOVELACE%20Ada", vec![&ada]),
        ("name=lovelace", vec![&zoe, &ada]),
        ("name=love", vec![]),
        ("name=%21", vec![]),
        ("phone=%2B4915199000001", vec![&ada]),
        ("phone=+4915199000001", vec![&ada]),
        ("phone=0049%20151%2099000001", vec![&ada]),
        ("phone=%2B4915199000009", vec![]),
        (&format!("lid={lid}"), vec![&zoe]),
        (&format!("lid={lid}%40lid"), vec![&zoe]),
    ] {
        let found: Vec<_> = found.iter().map(|contact| contact["id"].clone()).collect();
        assert_eq!(ids(&world.api, query).await?, found, "{query}");
    }
    for (query, code) in [
        ("phone=015199000001", "invalid_phone"),
        ("lid=x", "validation_failed"),
        ("name=ada&lid=2", "validation_failed"),
    ] {
        let refused = world.api.get(&format!("/v1/contacts?{query}")).await?;
        assert_eq!(refused.code(), code, "{query}");
    }
    let stranger = world.admin.tenant("Other").await?;
    assert_eq!(ids(&stranger, "").await?, Vec::<Value>::new());
    world.finish().await
}

async fn fidelity_a_contact_has_a_name_and_values_of_ours(backing: Backing) -> Result<Finished> {
    let (world, [ada, _]) = two_people(backing).await?;
    let id = ada["id"].as_str().context("an id")?;
    let change = json!({ "name": "Countess", "metadata": { "customer": "1815" } });
    let changed: Value = patch(&world.api, id, &change).await?.into(200)?;
    assert_eq!(
        (&changed["name"], &changed["push_name"]),
        (&json!("Countess"), &json!("Ada Lovelace"))
    );
    assert_eq!(changed["metadata"], json!({ "customer": "1815" }));
    assert_eq!(ids(&world.api, "name=countess").await?, [ada["id"].clone()]);
    let path = format!("/v1/contacts/{id}");
    let read: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(read, changed);
    let unnamed: Value = patch(&world.api, id, &json!({ "name": null }))
        .await?
        .into(200)?;
    assert_eq!(
        (&unnamed["name"], &unnamed["metadata"]),
        (&json!("Ada Lovelace"), &changed["metadata"])
    );
    assert_eq!(ids(&world.api, "name=countess").await?, Vec::<Value>::new());

    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
    for (change, code) in [
        (json!({ "metadata": many }), "invalid_metadata"),
        (json!({ "metadata": { "": "x" } }), "invalid_metadata"),
        (
            json!({ "metadata": { "x": "y".repeat(4096) } }),
            "invalid_metadata",
        ),
        (json!({ "name": "x".repeat(101) }), "invalid_name"),
        (json!({ "phone": OTHER }), "unknown_field"),
    ] {
        assert_eq!(patch(&world.api, id, &change).await?.code(), code);
    }
    let stranger = world.admin.tenant("Other").await?;
    assert_eq!(stranger.get(&path).await?.code(), "not_found");
    let refused = patch(&stranger, id, &json!({ "name": "x" })).await?;
    assert_eq!(refused.code(), "not_found");
    world.finish().await
}

async fn fidelity_a_profile_picture_is_asked_for_and_paced(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    phone(&world, json!({ "phone": CONTACT, "name": "Ada" })).await?;
    world.simulator.say(CONTACT, NUMBER, "Hello").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = told[0].body["data"]["contact"]["id"].clone();
    let path = format!(
        "/v1/contacts/{}/avatar?session_id={session}",
        id.as_str().context("an id")?
    );
    let none: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(none, json!({ "object": "avatar", "contact_id": id }));
    let url = "https://pps.whatsapp.net/v/picture.jpg";
    phone(&world, json!({ "phone": CONTACT, "picture": url })).await?;
    let there: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(there["url"], json!(url));
    let mut refused = None;
    for _ in 0..20 {
        let reply = world.api.get(&path).await?;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.context("twenty at once are too many")?;
    assert_eq!(refused.code(), "number_check_paced");
    assert!(refused.headers.contains_key("retry-after"));
    let nobody = path.replace(
        id.as_str().context("an id")?,
        "ctc_01kaq6h3zve9qbw4r2t8n5c7xd",
    );
    assert_eq!(world.api.get(&nobody).await?.code(), "not_found");
    world.finish().await
}

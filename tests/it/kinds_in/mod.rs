//! Every kind of message that comes in, byte for byte as a client writes it: in a chat of two, and in groups
//! of both addressing modes. What the webhook and the API say of it is typed and whole.

mod rows;

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Receiver, World, on_every_shape, receiver::Arrival, simulator::Phone,
};
use reqwest::Method;
use serde_json::{Value, json};

use self::rows::{image, p, rows};

on_every_shape!(
    fidelity_each_kind_comes_in_typed_and_whole_in_both_addressing_modes,
    fidelity_a_tapped_button_names_what_it_answers_and_may_opt_out,
    fidelity_what_only_phones_may_view_is_final,
    fidelity_what_nobody_knows_or_nobody_writes_is_told,
    fidelity_an_endpoint_may_want_messages_as_they_came,
);

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";

fn message(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["message"]
}

/// Starts a world with a linked session and Bob's phone.
async fn linked(backing: Backing) -> Result<World> {
    let world = World::start(backing).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(BOB, Phone::default()).await?;
    Ok(world)
}

async fn group(world: &World, mode: &str) -> Result<String> {
    let made = json!({
        "subject": "Team", "creator": BOB, "members": [NUMBER], "addressing_mode": mode,
    });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    Ok(made["id"].as_str().context("a group has an id")?.to_owned())
}

async fn fidelity_each_kind_comes_in_typed_and_whole_in_both_addressing_modes(
    backing: Backing,
) -> Result<Finished> {
    let world = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let chats = [
        NUMBER.to_owned(),
        group(&world, "lid").await?,
        group(&world, "pn").await?,
    ];
    let mut said = Vec::new();
    for chat in &chats {
        for row in rows() {
            let id = world.simulator.tell(BOB, chat, row.message.said()).await?;
            said.push((id, row));
        }
    }
    let told = receiver.wait_for("message.received", said.len()).await?;
    for (id, row) in &said {
        let found = told
            .iter()
            .map(message)
            .find(|one| one["wa_message_id"] == json!(id));
        let found = found.with_context(|| format!("{} was not reported", row.name))?;
        assert_eq!(found["type"], row.kind, "{}: {found}", row.name);
        let mut content = found[row.kind].clone();
        if let Some(fields) = content.as_object_mut() {
            fields.remove("media_id");
        }
        assert_eq!(content, row.content, "{}", row.name);
        for (field, value) in row.beside.as_object().into_iter().flatten() {
            assert_eq!(&found[field], value, "{}: {field}", row.name);
        }
        let kept = found["id"].as_str().context("an id")?;
        assert_eq!(&world.api.whole_message(kept).await?, found, "{}", row.name);
    }
    let document = world.api.get("/openapi.json").await?.body;
    let media = &document["webhooks"]["message.received"]["post"]["requestBody"]["content"]["application/json"];
    let examples = media["examples"].as_object().context("examples")?;
    for (_, row) in &said {
        let has = |example: &Value| {
            let message = &example["value"]["data"]["message"];
            message["type"] == row.kind && message[row.kind].is_object()
        };
        assert!(examples.values().any(has), "no example of {}", row.kind);
    }
    world.finish().await
}

async fn fidelity_a_tapped_button_names_what_it_answers_and_may_opt_out(
    backing: Backing,
) -> Result<Finished> {
    let world = linked(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "contact.opted_out"])
        .await?;
    let asked = world.simulator.say(BOB, NUMBER, "Hello").await?;
    let context = p().text(1, &asked);
    let tapped = p().message(43, p().text(1, "b1").text(2, "Stop").message(3, context));
    world.simulator.tell(BOB, NUMBER, tapped.said()).await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let tap = told
        .iter()
        .map(message)
        .find(|one| one["type"] == "button_reply");
    let tap = tap.context("the tap was reported")?;
    assert_eq!(tap["reply_to"]["wa_message_id"], json!(asked));
    receiver.wait_for("contact.opted_out", 1).await?;
    world.finish().await
}

async fn fidelity_what_only_phones_may_view_is_final(backing: Backing) -> Result<Finished> {
    let world = linked(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.undecryptable"])
        .await?;
    let group = group(&world, "lid").await?;
    for chat in [NUMBER, &group] {
        let notice = json!({ "message": { "type": "view_once_unavailable" }, "copies": 2 });
        world.simulator.tell(BOB, chat, notice).await?;
        world.simulator.say(BOB, chat, "Did you see it?").await?;
    }
    let told = receiver.wait_for("message.received", 4).await?;
    let of = |kind: &str| {
        told.iter()
            .filter(|one| message(one)["type"] == kind)
            .count()
    };
    assert_eq!((of("view_once_unavailable"), of("text")), (2, 2));
    assert_eq!(receiver.of("message.undecryptable").len(), 0);
    world.finish().await
}

async fn fidelity_what_nobody_knows_or_nobody_writes_is_told(backing: Backing) -> Result<Finished> {
    let world = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let mentions = (0..1000).fold(p(), |info, n| info.text(15, &format!("{}@lid", 1000 + n)));
    let deep = (0..9).fold(p().text(1, "inside"), |inner, _| {
        p().message(40, p().message(1, inner))
    });
    let odd = [
        (
            p().message(3999, p().text(1, "later")),
            json!({ "kind": "unknown" }),
        ),
        (
            p().message(6, p().text(1, "everybody").message(17, mentions)),
            json!({ "kind": "extendedTextMessage", "text": "everybody" }),
        ),
        (deep, json!({ "kind": "ephemeralMessage" })),
        (
            p().message(46, p().text(2, "👍")),
            json!({ "kind": "reactionMessage" }),
        ),
        (
            p().message(38, p().text(6, "By Friday")),
            json!({ "kind": "orderMessage" }),
        ),
    ];
    let mut said = Vec::new();
    for (message, expected) in odd {
        let id = world.simulator.tell(BOB, NUMBER, message.said()).await?;
        said.push((id, expected));
    }
    let told = receiver.wait_for("message.received", said.len()).await?;
    for (id, expected) in &said {
        let found = told
            .iter()
            .map(message)
            .find(|one| one["wa_message_id"] == json!(id));
        let found = found.with_context(|| format!("{expected} was not reported"))?;
        assert_eq!(&found["unsupported"], expected, "{found}");
    }
    world.finish().await
}

async fn fidelity_an_endpoint_may_want_messages_as_they_came(backing: Backing) -> Result<Finished> {
    let world = linked(backing).await?;
    let event = p().message(75, p().text(3, "Opening"));
    let plain = world.endpoint(&["message.received"]).await?;
    world.simulator.tell(BOB, NUMBER, event.said()).await?;
    plain.wait_for("message.received", 1).await?;
    // The message before came when no endpoint wanted this.
    let wants = Receiver::start().await?;
    let made = json!({ "url": wants.url(), "events": ["message.received"], "raw": true });
    let made = world.api.post("/v1/webhook-endpoints", &made).await?.body;
    assert_eq!(made["raw"], true);
    wants.trust(made["secret"].as_str().context("a secret")?);
    let pictured = image("look")
        .bytes(8, &[7; 32])
        .bytes(9, &[255, 254])
        .bytes(16, &[1; 90]);
    world
        .simulator
        .tell(BOB, NUMBER, p().message(3, pictured).said())
        .await?;
    let told = wants.wait_for("message.received", 1).await?;
    let expected = json!({
        "imageMessage": { "mimetype": "image/jpeg", "caption": "look", "fileEncSha256": "//4=" },
    });
    assert_eq!(told[0].body["data"]["raw"], expected);
    let told = plain.wait_for("message.received", 2).await?;
    assert!(told.iter().all(|one| one.body["data"].get("raw").is_none()));
    let large = p().message(75, p().text(4, &"x".repeat(70_000)));
    world.simulator.tell(BOB, NUMBER, large.said()).await?;
    let told = wants.wait_for("message.received", 2).await?;
    assert!(told[1].body["data"].get("raw").is_none());
    world.finish().await
}

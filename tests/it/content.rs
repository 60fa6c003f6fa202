//! Every kind of message without a file, sent and received: as the phone shows it and as the webhook
//! reports it.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, World, api::Reply, on_every_shape, receiver::Arrival, simulator::Phone,
    soon,
};
use serde_json::{Value, json};

on_every_shape!(
    each_kind_goes_out_and_the_phone_shows_it,
    each_kind_comes_in_as_it_was_said,
    an_answer_names_what_it_answers_both_ways,
    a_reaction_is_put_and_taken_back_both_ways,
    an_edit_and_a_deletion_of_ours_show_on_the_phone_and_on_the_message,
    what_a_contact_edits_or_deletes_changes_here_too,
    nobody_changes_what_another_one_wrote,
    a_vote_in_a_poll_of_ours_is_opened,
    a_message_is_marked_as_read_once,
    a_message_that_is_not_in_the_chat_is_no_target,
    a_kind_s_own_route_takes_the_same_message,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";

/// Starts a world with a linked session and the contact's phone.
async fn linked(backing: Backing) -> Result<(World, String)> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    Ok((world, session))
}

/// Returns what the contact's phone shows of a message, as soon as `there` is true for it.
async fn on_the_phone(
    world: &World,
    wa_id: &str,
    what: &str,
    there: impl Fn(&Value) -> bool,
) -> Result<Value> {
    soon(what, async || {
        let shown = world.simulator.chat(CONTACT, NUMBER).await?;
        Ok(shown
            .into_iter()
            .find(|one| one["id"] == json!(wa_id) && there(one)))
    })
    .await
}

/// Sends a message of any kind, waits until it is sent, and returns our id and WhatsApp's id.
async fn sent(world: &World, session: &str, kind: Value) -> Result<(String, String)> {
    let sent = world.api.send_kind(session, CONTACT, kind).await?;
    world.api.message_at(&sent.id, "sent").await?;
    let wa_id = sent
        .wa_message_id
        .context("a WhatsApp id is chosen at accept")?;
    Ok((sent.id, wa_id))
}

fn message(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["message"]
}

async fn each_kind_goes_out_and_the_phone_shows_it(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let shown = async |kind: Value| {
        let (_, wa_id) = sent(&world, &session, kind).await?;
        let shown = on_the_phone(&world, &wa_id, "the phone shows it", |_| true).await?;
        anyhow::Ok(shown["message"].clone())
    };
    let place =
        json!({ "latitude": 52.5, "longitude": -13.25, "name": "Acme", "address": "Platz 1" });
    let location = shown(json!({ "type": "location", "location": place })).await?;
    assert_eq!(location["type"], "location");
    for field in ["latitude", "longitude", "name", "address"] {
        assert_eq!(location[field], place[field], "{field}");
    }
    let card = json!({ "name": "Ada; Countess", "phones": [OTHER], "organisation": "Acme, Inc." });
    let one = shown(json!({ "type": "contacts", "contacts": [card] })).await?;
    let vcard = one["contacts"][0]["vcard"].as_str().context("a card")?;
    assert_eq!(one["contacts"][0]["name"], "Ada; Countess");
    assert!(
        vcard.contains("waid=4915199000002:+4915199000002"),
        "{vcard}"
    );
    let two = shown(json!({ "type": "contacts", "contacts": [card, card] })).await?;
    assert_eq!(two["contacts"].as_array().map(Vec::len), Some(2));
    let poll = json!({ "question": "When?", "options": ["Monday", "Tuesday"] });
    let asked = shown(json!({ "type": "poll", "poll": poll })).await?;
    assert_eq!(asked["poll"]["name"], "When?");
    assert_eq!(asked["poll"]["options"], poll["options"]);
    assert_eq!(asked["poll"]["selectable"], 1);
    world.simulator.phone(OTHER, Phone::default()).await?;
    let text = json!({
        "type": "text", "text": { "body": "ask @4915199000002" }, "mentions": [OTHER], "forwarded": true,
    });
    let told = shown(text).await?;
    assert_eq!(told["text"], "ask @4915199000002");
    assert_eq!(told["mentions"], json!([OTHER]));
    assert_eq!(told["forwarded"], true);
    world.finish().await
}

async fn each_kind_comes_in_as_it_was_said(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let card =
        "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL;waid=4915199000002:+49 151 99000002\nEND:VCARD";
    let said = [
        json!({ "type": "location", "latitude": 1.5, "longitude": 2.25, "name": "Acme" }),
        json!({ "type": "contact", "name": "Ada", "vcard": card }),
        json!({ "type": "contacts", "contacts": [{ "name": "Ada", "vcard": card }, { "name": "Ada", "vcard": card }] }),
        json!({ "type": "poll", "name": "When?", "options": ["a", "b"], "selectable": 0 }),
        json!({ "type": "event", "name": "Opening" }),
    ];
    for message in said {
        let said = json!({ "message": message });
        world.simulator.tell(CONTACT, NUMBER, said).await?;
    }
    // WhatsApp mentions people by LID. An earlier message shows which number has this LID.
    world.simulator.phone(OTHER, Phone::default()).await?;
    world.simulator.say(OTHER, NUMBER, "Hello!").await?;
    receiver.wait_for("message.received", 6).await?;
    let named = json!({ "text": "ask @4915199000002", "mentions": [OTHER], "forwarded": true });
    world.simulator.tell(CONTACT, NUMBER, named).await?;
    let told = receiver.wait_for("message.received", 7).await?;
    let of = |kind: &str| {
        let found: Vec<_> = told
            .iter()
            .map(message)
            .filter(|one| one["type"] == json!(kind))
            .collect();
        found
    };
    let place = json!({ "latitude": 1.5, "longitude": 2.25, "name": "Acme" });
    assert_eq!(of("location")[0]["location"], place);
    let card = json!({ "name": "Ada", "phones": ["+49 151 99000002"] });
    let cards: Vec<_> = of("contacts")
        .iter()
        .map(|one| one["contacts"].clone())
        .collect();
    assert!(cards.contains(&json!([card])) && cards.contains(&json!([card, card])));
    let poll = json!({ "question": "When?", "options": ["a", "b"], "selectable_count": 2 });
    assert_eq!(of("poll")[0]["poll"], poll);
    assert_eq!(of("unsupported")[0]["unsupported"]["kind"], "eventMessage");
    let texts = of("text");
    let text = texts.iter().find(|text| text["from"] == json!(CONTACT));
    let text = text.context("it was reported")?;
    assert_eq!(text["mentions"], json!([OTHER]));
    assert_eq!(text["forwarded"], json!(true));
    // The API shows the same as the webhook.
    for arrival in &told {
        let id = message(arrival)["id"].as_str().context("an id")?;
        assert_eq!(&world.api.whole_message(id).await?, message(arrival));
    }
    assert_eq!(
        world
            .api
            .messages(&format!("session_id={session}"))
            .await?
            .len(),
        7
    );
    world.finish().await
}

async fn an_answer_names_what_it_answers_both_ways(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let asked = world.simulator.say(CONTACT, NUMBER, "Is it ready?").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let question = message(&told[0])["id"].as_str().context("an id")?;
    let answer = json!({ "type": "text", "text": { "body": "Yes." }, "reply_to": question });
    let (our_id, our_wa_id) = sent(&world, &session, answer).await?;
    let shown = on_the_phone(&world, &our_wa_id, "the answer is shown", |_| true).await?;
    let quoted = &shown["message"]["quoted"];
    assert_eq!(
        (&quoted["id"], &quoted["from"]),
        (&json!(asked), &json!(CONTACT))
    );
    assert_eq!(quoted["type"], "text");
    let kept = world.api.whole_message(&our_id).await?;
    let expected = json!({
        "message_id": question, "wa_message_id": asked, "from_me": false,
        "summary": { "type": "text", "text": "Is it ready?" },
    });
    assert_eq!(kept["reply_to"], expected);

    let thanks = json!({ "text": "Thanks!", "quote": our_wa_id });
    world.simulator.tell(CONTACT, NUMBER, thanks).await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let expected = json!({
        "message_id": our_id, "wa_message_id": our_wa_id, "from_me": true,
        "summary": { "type": "text", "text": "Yes." },
    });
    assert_eq!(message(&told[1])["reply_to"], expected);
    world.finish().await
}

async fn a_reaction_is_put_and_taken_back_both_ways(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.reaction"])
        .await?;
    let said = world.simulator.say(CONTACT, NUMBER, "It works!").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = message(&told[0])["id"].as_str().context("an id")?;
    let react = |emoji: &str| {
        let reaction = json!({ "message_id": id, "emoji": emoji });
        Api::of_kind(
            &session,
            CONTACT,
            json!({ "type": "reaction", "reaction": reaction }),
        )
    };
    let first = world.api.send_once("r1", &react("🎉")).await?;
    let again = world.api.send_once("r1", &react("🎉")).await?;
    assert_eq!(
        first.body["id"], again.body["id"],
        "the repeat made a second reaction"
    );
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let is = |emoji: Option<&'static str>| {
        move |one: &Value| one["reactions"].get(NUMBER).and_then(Value::as_str) == emoji
    };
    on_the_phone(&world, &said, "the reaction is shown", is(Some("🎉"))).await?;
    world.api.send_once("r2", &react("")).await?;
    on_the_phone(&world, &said, "the reaction is gone", is(None)).await?;
    let told = receiver.wait_for("message.reaction", 2).await?;
    assert_eq!(message(&told[0])["direction"], "outbound");

    let text = json!({ "type": "text", "text": { "body": "Good." } });
    let (our_id, our_wa_id) = sent(&world, &session, text).await?;
    for emoji in ["👍", ""] {
        let reaction =
            json!({ "message": { "type": "reaction", "target": our_wa_id, "text": emoji } });
        world.simulator.tell(CONTACT, NUMBER, reaction).await?;
    }
    let told = receiver.wait_for("message.reaction", 4).await?;
    let theirs: Vec<_> = told[2..]
        .iter()
        .map(|one| message(one)["reaction"].clone())
        .collect();
    let expected = |emoji: &str| json!({ "message_id": our_id, "wa_message_id": our_wa_id, "from_me": true, "emoji": emoji });
    assert!(
        theirs.contains(&expected("👍")) && theirs.contains(&expected("")),
        "{theirs:?}"
    );
    world.finish().await
}

async fn an_edit_and_a_deletion_of_ours_show_on_the_phone_and_on_the_message(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world
        .endpoint(&["message.edited", "message.deleted"])
        .await?;
    let text = json!({ "type": "text", "text": { "body": "Order 1042" } });
    let (id, wa_id) = sent(&world, &session, text).await?;
    let edit = json!({ "type": "edit", "edit": { "message_id": id, "body": "Order 1043" } });
    let (edit_id, _) = sent(&world, &session, edit.clone()).await?;
    let shown = on_the_phone(&world, &wa_id, "the edit is shown", |one| {
        one["edited"] == true
    })
    .await?;
    assert_eq!(shown["message"]["text"], "Order 1043");
    let told = receiver.wait_for("message.edited", 1).await?;
    assert_eq!(message(&told[0])["id"], json!(edit_id));
    assert_eq!(message(&told[0])["edit"]["message_id"], json!(id));
    let edited = world.api.whole_message(&id).await?;
    assert_eq!(edited["text"]["body"], "Order 1043");
    assert!(edited["edited_at"].is_string());

    let delete = json!({ "type": "delete", "delete": { "message_id": id } });
    sent(&world, &session, delete.clone()).await?;
    on_the_phone(&world, &wa_id, "it is gone", |one| one["deleted"] == true).await?;
    receiver.wait_for("message.deleted", 1).await?;
    let gone = world.api.whole_message(&id).await?;
    assert_eq!(
        (&gone["type"], &gone["text"]),
        (&json!("deleted"), &Value::Null)
    );
    assert!(gone["deleted_at"].is_string());
    for again in [edit, delete] {
        refused(&world, &session, again, "target_deleted").await?;
    }
    world.finish().await
}

/// Asserts that this kind of message to the contact is refused with this code.
async fn refused(world: &World, session: &str, kind: Value, code: &str) -> Result<Reply> {
    let body = Api::of_kind(session, CONTACT, kind);
    let reply = world.api.post("/v1/messages", &body).await?;
    assert_eq!((reply.status.as_u16(), reply.code()), (422, code), "{body}");
    Ok(reply)
}

async fn what_a_contact_edits_or_deletes_changes_here_too(backing: Backing) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    let said = world.simulator.say(CONTACT, NUMBER, "At five").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = message(&told[0])["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let edit =
        json!({ "message": { "type": "edit", "target": said, "text": "At six" }, "copies": 3 });
    world.simulator.tell(CONTACT, NUMBER, edit).await?;
    let told = receiver.wait_for("message.edited", 1).await?;
    let expected =
        json!({ "message_id": id, "wa_message_id": said, "from_me": false, "body": "At six" });
    assert_eq!(message(&told[0])["edit"], expected);
    let edited = world.api.whole_message(&id).await?;
    assert_eq!(edited["text"]["body"], "At six");

    let delete = json!({ "message": { "type": "revoke", "target": said } });
    world.simulator.tell(CONTACT, NUMBER, delete).await?;
    receiver.wait_for("message.deleted", 1).await?;
    let gone = world.api.whole_message(&id).await?;
    assert_eq!(gone["type"], "deleted");
    assert_eq!(gone["edited_at"], edited["edited_at"]);
    assert_eq!(
        receiver.of("message.edited").len(),
        1,
        "the repeated edit was reported again"
    );
    world.finish().await
}

async fn nobody_changes_what_another_one_wrote(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    world.simulator.phone(OTHER, Phone::default()).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let said = world.simulator.say(CONTACT, NUMBER, "Mine").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = message(&told[0])["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    // Another chat has a message with the same WhatsApp id, and it is deleted. That must not affect this
    // chat.
    let same = json!({ "text": "Other", "id": said });
    world.simulator.tell(OTHER, NUMBER, same).await?;
    receiver.wait_for("message.received", 2).await?;
    let listening = world.endpoint(&["message.deleted"]).await?;
    let delete = json!({ "message": { "type": "revoke", "target": said } });
    world.simulator.tell(OTHER, NUMBER, delete).await?;
    listening.wait_for("message.deleted", 1).await?;
    assert_eq!(world.api.whole_message(&id).await?["text"]["body"], "Mine");

    for (kind, code) in [
        (
            json!({ "type": "edit", "edit": { "message_id": id, "body": "x" } }),
            "target_not_editable",
        ),
        (
            json!({ "type": "delete", "delete": { "message_id": id } }),
            "target_not_deletable",
        ),
    ] {
        refused(&world, &session, kind, code).await?;
    }
    world.finish().await
}

async fn a_vote_in_a_poll_of_ours_is_opened(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["message.poll_vote"]).await?;
    let poll = json!({ "question": "When?", "options": ["Monday", "Tuesday"] });
    let (id, wa_id) = sent(&world, &session, json!({ "type": "poll", "poll": poll })).await?;
    on_the_phone(&world, &wa_id, "the poll is shown", |_| true).await?;
    let vote =
        json!({ "message": { "type": "poll_vote", "target": wa_id, "options": ["Tuesday"] } });
    world.simulator.tell(CONTACT, NUMBER, vote).await?;
    let told = receiver.wait_for("message.poll_vote", 1).await?;
    let expected = json!({ "message_id": id, "wa_message_id": wa_id, "from_me": true, "options": ["Tuesday"] });
    assert_eq!(message(&told[0])["poll_vote"], expected);
    world.finish().await
}

async fn a_message_is_marked_as_read_once(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    // The number's own phone sends no receipts.
    let blind = Phone {
        reads: false,
        ..Phone::default()
    };
    world.simulator.phone(NUMBER, blind).await?;
    let said = world.simulator.say(CONTACT, NUMBER, "Hello?").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = message(&told[0])["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let read = world.api.act(&format!("/v1/messages/{id}/read")).await?;
    let first: Value = read.into(200)?;
    assert!(first["read_at"].is_string());
    let again: Value = world
        .api
        .act(&format!("/v1/messages/{id}/read"))
        .await?
        .into(200)?;
    assert_eq!(again, first);
    let receipts = soon("the receipt reached the server", async || {
        let mut receipts = world.simulator.ledger("receipt").await?;
        receipts.retain(|one| one.id == said && one.detail.as_deref() == Some("read"));
        Ok((!receipts.is_empty()).then_some(receipts))
    })
    .await?;
    assert_eq!(receipts.len(), 1);

    let played = world.api.act(&format!("/v1/messages/{id}/played")).await?;
    assert_eq!(
        (played.status.as_u16(), played.code()),
        (409, "message_not_markable")
    );
    let ours = world.api.send(&session, CONTACT, "Yes").await?;
    let read = world
        .api
        .act(&format!("/v1/messages/{}/read", ours.id))
        .await?;
    assert_eq!(
        (read.status.as_u16(), read.code()),
        (409, "message_not_markable")
    );
    world.finish().await
}

async fn a_message_that_is_not_in_the_chat_is_no_target(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    world.simulator.phone(OTHER, Phone::default()).await?;
    let elsewhere = world.api.send(&session, OTHER, "to another one").await?.id;
    world.api.message_at(&elsewhere, "sent").await?;
    let stranger = world.admin.tenant("Globex").await?;
    let theirs = world.linked_for(&stranger, "+4915170000009").await?;
    let foreign = stranger.send(&theirs.id, CONTACT, "theirs").await?.id;
    stranger.message_at(&foreign, "sent").await?;
    let never = "msg_01kaq6h3zve9qbw4r2t8n5c7xd";
    let about = |id: &str| {
        [
            json!({ "type": "text", "text": { "body": "x" }, "reply_to": id }),
            json!({ "type": "reaction", "reaction": { "message_id": id, "emoji": "👍" } }),
            json!({ "type": "edit", "edit": { "message_id": id, "body": "x" } }),
            json!({ "type": "delete", "delete": { "message_id": id } }),
        ]
    };
    for id in [never, &elsewhere, &foreign] {
        for (kind, place) in about(id).into_iter().zip([
            "/reply_to",
            "/reaction/message_id",
            "/edit/message_id",
            "/delete/message_id",
        ]) {
            let reply = refused(&world, &session, kind, "target_not_found").await?;
            assert_eq!(reply.body["errors"][0]["pointer"], place);
        }
    }
    let waits = world.api.create_session("offline").await?.id;
    let waiting = world.api.send(&waits, CONTACT, "not yet").await?.id;
    for kind in about(&waiting) {
        refused(&world, &waits, kind, "target_not_sent").await?;
    }
    world
        .api
        .act(&format!("/v1/messages/{waiting}/cancel"))
        .await?;
    world.finish().await
}

async fn a_kind_s_own_route_takes_the_same_message(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let place = json!({ "latitude": 1.0, "longitude": 2.0 });
    let path = format!("/v1/sessions/{session}/messages/location");
    let body = json!({ "to": CONTACT, "location": place });
    let request = world.api.request(reqwest::Method::POST, &path);
    let own = Api::reply(request.header("Idempotency-Key", "k").json(&body)).await?;
    assert_eq!(own.status.as_u16(), 202, "{}", own.body);
    let whole = Api::of_kind(
        &session,
        CONTACT,
        json!({ "type": "location", "location": place }),
    );
    let again = world.api.send_once("k", &whole).await?;
    assert_eq!(
        own.body["id"], again.body["id"],
        "the repeat made a second message"
    );
    let unknown = json!({ "to": CONTACT, "location": place, "type": "location" });
    let refused = world.api.post(&path, &unknown).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (400, "unknown_field")
    );
    world.finish().await
}

//! Recipients, phone numbers and files in the forms that people paste.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, World, on_every_shape, simulator::Phone};
use serde_json::{Value, json};

on_every_shape!(
    every_spelling_of_a_recipient_is_one_contact,
    a_spelling_of_a_phone_number_is_taken_wherever_one_is_given,
    every_spelling_of_base64_is_the_same_file,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+33612345678";
const STRANGER: &str = "+4915199000002";

/// Returns the LID of a simulated phone, with its server.
async fn lid_of(world: &World, number: &str) -> Result<String> {
    let state = world.simulator.phone_state(number).await?;
    let lid = state["lid"].as_str().context("a LID")?;
    Ok(format!("{}@lid", lid.trim_end_matches("@lid")))
}

async fn every_spelling_of_a_recipient_is_one_contact(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, STRANGER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let send = async |to: &str| {
        let body = json!({ "to": to, "text": { "body": to } });
        let path = format!("/v1/sessions/{session}/messages/text");
        world.api.post(&path, &body).await
    };
    let spellings = [
        "+33 6 12 34 56 78",
        "0033612345678",
        "33612345678",
        "(+33) 6-12-34-56-78",
        "+33 (0)6 12 34 56 78",
        "33612345678@s.whatsapp.net",
        "33612345678@c.us",
        "TEL;type=CELL;waid=33612345678:+33 6 12 34 56 78",
        "https://wa.me/33612345678",
        "+33612345678",
    ];
    let (mut contacts, mut last) = (Vec::new(), String::new());
    for spelling in spellings {
        let sent: Value = send(spelling).await?.into(202)?;
        assert_eq!(sent["to"], CONTACT, "{spelling}");
        contacts.push(sent["contact_id"].clone());
        sent["id"].as_str().context("an id")?.clone_into(&mut last);
    }
    contacts.dedup();
    assert_eq!(contacts.len(), 1, "one person is one contact: {contacts:?}");
    world.api.message_at(&last, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, spellings);
    // A LID is a person, too: one who was never written to, and then the same one again.
    let lid = lid_of(&world, STRANGER).await?;
    let first: Value = send(&lid).await?.into(202)?;
    assert_eq!(first["to"], json!(lid));
    let first_id = first["id"].as_str().context("an id")?;
    world.api.message_at(first_id, "read").await?;
    let again: Value = send(&lid).await?.into(202)?;
    assert_eq!(again["contact_id"], first["contact_id"]);
    let again_id = again["id"].as_str().context("an id")?;
    world.api.message_at(again_id, "read").await?;
    assert_eq!(world.simulator.shown(STRANGER).await?, [&*lid, &*lid]);
    // What may be a national number is refused, with what would be right.
    for national in ["06 12 34 56 78", "612345678", "(11) 98765-4321"] {
        let refused = send(national).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, "invalid_recipient"),
            "{national}"
        );
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("+33612345678"), "{detail}");
        assert_eq!(refused.body["errors"][0]["pointer"], "/to");
    }
    world.finish().await
}

async fn a_spelling_of_a_phone_number_is_taken_wherever_one_is_given(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let post = async |path: &str, body: Value| {
        let path = format!("/v1/sessions/{session}/{path}");
        world.api.post(&path, &body).await
    };
    let pasted = "\u{202a}+33 6 12\u{a0}34 56 78\u{202c}";
    let checked = post("number-checks", json!({ "phone": pasted })).await?;
    let checked: Value = checked.into(200)?;
    assert_eq!(
        (&checked["phone"], &checked["on_whatsapp"]),
        (&json!(CONTACT), &json!(true))
    );
    let typing = json!({ "to": "0033612345678", "state": "typing" });
    let typing: Value = post("typing", typing).await?.into(200)?;
    assert_eq!(typing["to"], CONTACT);
    let text = json!({ "body": "ask @33612345678" });
    let mention = json!({ "to": CONTACT, "text": text, "mentions": ["33 6 12 34 56 78"] });
    let mention: Value = post("messages/text", mention).await?.into(202)?;
    assert_eq!(mention["mentions"], json!([CONTACT]));
    let card = json!([{ "name": "Ada", "phones": ["tel:+33-6-12-34-56-78", "waid=33612345678"] }]);
    let card = json!({ "to": CONTACT, "contacts": card });
    let card: Value = post("messages/contacts", card).await?.into(202)?;
    assert_eq!(card["contacts"][0]["phones"], json!([CONTACT, CONTACT]));
    for (path, body, code) in [
        (
            "number-checks",
            json!({ "phone": "0612345678" }),
            "invalid_phone",
        ),
        (
            "typing",
            json!({ "to": "0612345678", "state": "typing" }),
            "invalid_recipient",
        ),
        (
            "messages/text",
            json!({ "to": CONTACT, "text": { "body": "x" }, "mentions": ["0612345678"] }),
            "invalid_mention",
        ),
        (
            "messages/contacts",
            json!({ "to": CONTACT, "contacts": [{ "name": "Ada", "phones": ["0612345678"] }] }),
            "invalid_contact",
        ),
    ] {
        let refused = post(path, body).await?;
        assert_eq!(refused.code(), code, "{path}");
        assert!(refused.body.to_string().contains("+33612345678"), "{path}");
    }
    let normalise = async |body: Value| world.api.post("/v1/phone-numbers/normalise", &body).await;
    let known = json!({ "object": "phone_number", "phone": CONTACT, "formatted": "+33 6 12 34 56 78",
        "country": "FR", "valid": true });
    for body in [
        json!({ "phone": pasted }),
        json!({ "phone": "06 12 34 56 78", "country": "FR" }),
        json!({ "phone": "33612345678@c.us", "country": "us" }),
    ] {
        assert_eq!(normalise(body).await?.into::<Value>(200)?, known);
    }
    for (body, code) in [
        (json!({ "phone": "06 12 34 56 78" }), "invalid_phone"),
        (json!({ "phone": "nobody" }), "invalid_phone"),
        (
            json!({ "phone": "06 12 34 56 78", "country": "ZZ" }),
            "invalid_country",
        ),
        (
            json!({ "phone": "06 12 34 56 78", "country": "France" }),
            "invalid_country",
        ),
        (json!({}), "validation_failed"),
    ] {
        assert_eq!(normalise(body.clone()).await?.code(), code, "{body}");
    }
    let card = card["id"].as_str().context("an id")?;
    world.api.message_at(card, "read").await?;
    world.finish().await
}

async fn every_spelling_of_base64_is_the_same_file(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let send = async |base64: &str| {
        let document = json!({ "base64": base64, "file_name": "Export" });
        let body = json!({ "to": CONTACT, "document": document });
        let path = format!("/v1/sessions/{session}/messages/document");
        world.api.post(&path, &body).await
    };
    let (mut files, mut last) = (Vec::new(), String::new());
    // `a,b\n1,2\n?>`, which ends in a letter of its own in each alphabet.
    for spelling in [
        "YSxiCjEsMgo/Pg==",
        "YSxiCjEsMgo/Pg",
        "YSxiCjEsMgo_Pg",
        "YSxi\r\nCjEs\r\nMgo/\r\nPg==\r\n",
        "data:text/csv;base64,YSxiCjEsMgo/Pg==",
    ] {
        let sent: Value = send(spelling).await?.into(202)?;
        files.push(sent["document"]["sha256"].clone());
        let is_csv = sent["document"]["mime_type"] == "text/csv";
        // The type in a data URI counts where the content does not say it.
        assert_eq!(is_csv, spelling.starts_with("data:"), "{sent}");
        sent["id"].as_str().context("an id")?.clone_into(&mut last);
    }
    files.dedup();
    assert_eq!(files.len(), 1, "{files:?}");
    for wrong in [
        "YSxiCjEsMgo/P",
        "data:text/csv,a",
        "https://example.org/a.csv",
    ] {
        assert_eq!(send(wrong).await?.code(), "invalid_base64", "{wrong}");
    }
    world.api.message_at(&last, "read").await?;
    world.finish().await
}

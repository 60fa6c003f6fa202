//! People whom a message mentions are shown as its sender is: with their contact, and the number as WhatsApp writes it.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World, on_every_shape, protobuf::Proto, receiver::Receiver,
    simulator::Phone, soon,
};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(fidelity_mentions_name_the_contact_and_its_own_number,);

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
/// As WhatsApp writes it, and as it is written in Brazil.
const CONTACT: &str = "+551187654321";
const SPELLING: &str = "+5511987654321";
/// As many as are read.
const MENTIONS: usize = 256;

/// Waits for the event of a message and returns the message.
async fn told(receiver: &Receiver, kind: &str, wa_id: &str) -> Result<Value> {
    soon("the message is reported", async || {
        let arrived = receiver.of(kind).into_iter();
        let mut arrived = arrived.map(|one| one.body["data"]["message"].clone());
        Ok(arrived.find(|message| message["wa_message_id"] == json!(wa_id)))
    })
    .await
}

/// Returns what a phone says that mentions these JIDs.
fn mentioning(jids: &[&str]) -> Value {
    let info = jids
        .iter()
        .fold(Proto::new(), |info, jid| info.text(15, jid));
    let text = Proto::new().text(1, "Look").message(17, info);
    Proto::new().message(6, text).said()
}

async fn fidelity_mentions_name_the_contact_and_its_own_number(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.sent"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(BOB, Phone::default()).await?;
    let phone = json!({ "phone": CONTACT, "spellings": [SPELLING] });
    let made = world
        .simulator
        .call(Method::POST, "/phones", Some(&phone))
        .await?;
    let lid = made["lid"].as_str().context("a LID")?;
    // The spelling is learnt with the first message to it.
    let sent = world.api.send(&session, SPELLING, "Hello").await?;
    world.api.message_at(&sent.id, "sent").await?;
    let contact = world.api.whole_message(&sent.id).await?["contact_id"].clone();
    let of_contact =
        json!({ "contact_id": contact, "phone": CONTACT, "lid": lid.trim_end_matches("@lid") });
    let jid = |phone: &str| format!("{}@s.whatsapp.net", phone.trim_start_matches('+'));
    let (by_phone, by_spelling) = (jid(CONTACT), jid(SPELLING));
    let nobody = "99900011122233@lid";
    let said = mentioning(&[&by_spelling, nobody, lid, &by_phone]);
    let said = world.simulator.tell(BOB, NUMBER, said).await?;
    let message = told(&receiver, "message.received", &said).await?;
    assert_eq!(
        message["mentions"],
        json!([CONTACT, nobody, CONTACT, CONTACT])
    );
    let of_nobody = json!({ "lid": "99900011122233" });
    assert_eq!(
        message["mentioned"],
        json!([of_contact, of_nobody, of_contact, of_contact])
    );
    let id = message["id"].as_str().context("an id")?;
    assert_eq!(world.api.whole_message(id).await?, message);
    // On the number's own phone, too.
    let said = world
        .simulator
        .tell(NUMBER, BOB, mentioning(&[&by_spelling]))
        .await?;
    let message = told(&receiver, "message.sent", &said).await?;
    assert_eq!(message["mentioned"], json!([of_contact]));
    // As many as are read, of whom nobody but the last one is known.
    let many: Vec<_> = (1..MENTIONS)
        .map(|n| format!("88800011{n:06}@lid"))
        .collect();
    let mut many: Vec<_> = many.iter().map(String::as_str).collect();
    many.push(&by_spelling);
    let said = world.simulator.tell(BOB, NUMBER, mentioning(&many)).await?;
    let message = told(&receiver, "message.received", &said).await?;
    let mentioned = message["mentioned"].as_array().context("a list")?;
    assert_eq!(
        (mentioned.len(), mentioned.last()),
        (MENTIONS, Some(&of_contact))
    );
    world.finish().await
}

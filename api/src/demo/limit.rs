//! A message that a limit holds.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    SHOP,
    client::{self, Client},
    screen::line,
    until,
};

const BOB: &str = "+491510000003";
const APART_MINUTES: u32 = 10;
const FIRST: &str = "Hello Bob, your order 1043 has arrived.";
const SECOND: &str = "Bob, the pick-up code is 4712.";

/// Sets a limit, sends two texts to somebody who does not answer, and shows why the second one waits. Then he writes,
/// and it goes. The limit is taken back.
pub(super) async fn hold(tenant: &Client, phones: &Client, session: &str) -> anyhow::Result<()> {
    line(&format!(
        "\n8/8 Setting a limit: {APART_MINUTES} minutes between two messages to a contact who does not answer."
    ))?;
    let limit = json!({ "unanswered_apart_minutes": APART_MINUTES });
    tenant.put("/v1/policy", &limit).await?;
    phones.post("/phones", &json!({ "phone": BOB })).await?;
    let first = send(tenant, session, FIRST).await?;
    arrived(tenant, &first).await?;
    line(&format!("  Bob's phone has got: {FIRST}"))?;
    let second = send(tenant, session, SECOND).await?;
    let queue = &second["queue"];
    ensure!(
        queue["hold"] == "unanswered",
        "the second text is held by {}",
        queue["hold"]
    );
    line(&format!(
        "  The second text waits: hold {}, to be sent about {}",
        client::text(queue, "hold")?,
        client::text(queue, "estimated_send_at")?
    ))?;
    let says = json!({ "to": SHOP, "text": "Thanks! What is the code?" });
    phones.post(&format!("/phones/{BOB}/say"), &says).await?;
    line("  Bob writes. Now it is a reply.")?;
    arrived(tenant, &second).await?;
    line(&format!("  Bob's phone has got: {SECOND}"))?;
    tenant.delete("/v1/policy").await.map(drop)
}

async fn send(tenant: &Client, session: &str, text: &str) -> anyhow::Result<Value> {
    let body =
        json!({ "session_id": session, "type": "text", "to": BOB, "text": { "body": text } });
    tenant.post("/v1/messages", &body).await.context("sending")
}

async fn arrived(tenant: &Client, message: &Value) -> anyhow::Result<()> {
    let path = format!("/v1/messages/{}", client::text(message, "id")?);
    until("Bob's phone to get the text", || async {
        let message = tenant.get(&path).await?;
        Ok(["delivered", "read"]
            .contains(&client::text(&message, "status")?)
            .then_some(()))
    })
    .await
}

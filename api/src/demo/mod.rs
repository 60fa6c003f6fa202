//! The demo: the whole product at work in one command, without a phone.
//!
//! It uses the gateway as an outside user does: over HTTP alone, with a webhook receiver of its own.
//! Only the phones are simulated. It prints each step before it begins, and says what it waits for.

mod client;
mod limit;
mod receiver;
mod screen;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use passerelle_jobs::settings::PREVIEW_AGENT;
use serde_json::{Value, json};

use self::{client::Client, receiver::Receiver, screen::line};
use crate::{
    cli::{
        CONNECTS_PER_SECOND, DATABASE_CONNECTIONS, Demo, Gateway, KekFlag, MEDIA_DISK_MAX,
        MEDIA_RETENTION_HOURS, MEDIA_URL_TIMEOUT_MS, StoreFlag,
    },
    lifecycle,
    limits::{CONNECTIONS_PER_ADDRESS, REQUESTS_PER_MINUTE},
    next_steps,
    qr::Picture,
    sandbox::Pair,
};

const GAP_FLOOR_MS: u64 = 1000;
const GAP_CEILING_MS: u64 = 3000;
const SHOP: &str = "+491510000001";
const ADA: &str = "+491510000002";
const TEXTS: [&str; 5] = [
    "Hello Ada, your order 1042 has arrived.",
    "You can pick it up from 9 to 18 o'clock.",
    "The pick-up code is 4711.",
    "It will wait for you until Saturday.",
    "Thank you for shopping with us!",
];
const QUESTION: &str = "When are you open?";
/// A template.
const ANSWER: &str =
    "We are open from 9 to 18 o'clock, {{ contact.name | default('dear customer') }}.";
/// The longest a step may wait. Most take milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time between two polls.
const LOOK: Duration = Duration::from_millis(100);
/// Time between two lines that say what the demo waits for.
const STILL: Duration = Duration::from_secs(3);

/// Plays the story. Without `--once` it then keeps the gateway running until it is asked to stop.
pub async fn run(flags: Demo) -> anyhow::Result<()> {
    line(
        "Passerelle demo: a gateway, a WhatsApp server of our own and two simulated phones.\n\n\
         1/8 Starting the WhatsApp server and the gateway.",
    )?;
    let pair = Pair::start(gateway(flags.listen), SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let told = tell(&pair).await;
    if told.is_ok() && !flags.once {
        line("The demo keeps running. Press Ctrl-C to end it.")?;
        lifecycle::asked_to_stop().await?;
    }
    line("\nStopping the gateway and the WhatsApp server.")?;
    pair.stop().await;
    told?;
    line("Every step held.")
}

/// Takes nothing from the environment, so the demo never touches a store or a number in use.
fn gateway(listen: SocketAddr) -> Gateway {
    Gateway {
        listen,
        store: StoreFlag {
            database_schema: None,
            database_plain: false,
            database_url: "sqlite:passerelle.db".to_owned(),
            database_connections: DATABASE_CONNECTIONS,
        },
        kek: KekFlag { kek: None },
        admin_key: None,
        media_store: None,
        media_retention_hours: MEDIA_RETENTION_HOURS,
        media_url_timeout_ms: MEDIA_URL_TIMEOUT_MS,
        media_disk_max: MEDIA_DISK_MAX,
        ffmpeg: Some(String::new()),
        media_quota: 1024,
        media_inbound_max: 100,
        preview_user_agent: PREVIEW_AGENT.to_owned(),
        ffmpeg_unconfined: false,
        decoding_memory: None,
        public_url: None,
        egress_allow: Vec::new(),
        safety: None,
        gap_floor_ms: GAP_FLOOR_MS,
        gap_ceiling_ms: GAP_CEILING_MS,
        typing_ms: None,
        ack_timeout_ms: 20_000,
        lane_limit: 10_000,
        sessions_per_organisation: crate::limits::SESSIONS_PER_ORGANISATION,
        redis_url: None,
        redis_ca: None,
        redis_plain: false,
        requests_per_minute: REQUESTS_PER_MINUTE,
        connections_per_address: CONNECTIONS_PER_ADDRESS,
        trusted_proxies: Vec::new(),
        host: Some("demo".to_owned()),
        connects_per_second: CONNECTS_PER_SECOND,
        egress_name: None,
        whatsapp_url: None,
        announce: None,
    }
}

async fn tell(pair: &Pair) -> anyhow::Result<()> {
    let api = format!("http://{}", pair.gateway.addr());
    let admin = pair
        .gateway
        .admin_key()
        .context("a first start makes an operator's key")?;
    let operator = Client::new(&api, admin)?;
    let phones = Client::new(&pair.simulator.control_url(), "")?;

    line("\n2/8 Creating an organisation, its API key and a webhook endpoint.")?;
    let key = tenant(&operator).await?;
    let tenant = Client::new(&api, &key)?;
    let mut receiver = Receiver::start(&tenant)
        .await
        .context("starting the webhook receiver")?;
    line(&format!(
        "  The webhook receiver listens at {}.",
        receiver.url()
    ))?;
    let session = link(&tenant, &phones).await.context("linking the number")?;
    let echoing =
        json!({ "phone": ADA, "name": "Ada", "echo": true, "reads": true, "echo_delay_ms": 300 });
    phones
        .post("/phones", &echoing)
        .await
        .context("making Ada's phone")?;
    let sent = send(&tenant, &session).await.context("sending")?;
    follow(&tenant, &sent)
        .await
        .context("following the messages")?;
    gaps(&phones).await.context("measuring the gaps")?;
    hear(&mut receiver).await.context("receiving the answers")?;
    receiver.stop().await;
    answer(&tenant, &phones)
        .await
        .context("answering automatically")?;
    limit::hold(&tenant, &phones, &session)
        .await
        .context("holding a message")?;
    invite(&api, &key, &session)
}

async fn tenant(operator: &Client) -> anyhow::Result<String> {
    let made = operator
        .post("/v1/organisations", &json!({ "name": "Demo shop" }))
        .await
        .context("making the organisation")?;
    let org = client::text(&made, "id")?;
    let path = format!("/v1/organisations/{org}/api-keys");
    let made = operator
        .post(&path, &json!({ "name": "demo" }))
        .await
        .context("making the API key")?;
    line(&format!("  Organisation {org} has an API key."))?;
    Ok(client::text(&made, "key")?.to_owned())
}

async fn link(tenant: &Client, phones: &Client) -> anyhow::Result<String> {
    line("\n3/8 Linking a number. The gateway asks the WhatsApp server for a QR code.")?;
    let made = tenant
        .post("/v1/sessions", &json!({ "name": "demo number" }))
        .await?;
    let session = client::text(&made, "id")?.to_owned();
    let path = format!("/v1/sessions/{session}");
    tenant
        .post(&format!("{path}/connect"), &Value::Null)
        .await?;
    let qr = until("a QR code", || async {
        tenant.find(&format!("{path}/qr")).await
    })
    .await?;
    let qr = client::text(&qr, "qr")?;
    line(&format!(
        "  Session {session} has this QR code. With a real phone: Linked devices, Link a device.\n"
    ))?;
    for row in Picture::of(qr)?.lines() {
        line(&row)?;
    }
    phones
        .post(&format!("/phones/{SHOP}/scan"), &json!({ "qr": qr }))
        .await
        .context("scanning")?;
    line("\n  A simulated phone has scanned it.")?;
    let connected = until("the connection", || async {
        let session = tenant.get(&path).await?;
        Ok((session["state"] == "connected" && session["phone"] == SHOP).then_some(session))
    });
    connected.await?;
    line(&format!("  Linked as {SHOP} and connected."))?;
    Ok(session)
}

async fn send(tenant: &Client, session: &str) -> anyhow::Result<Vec<String>> {
    line(&format!(
        "\n4/8 Sending five texts to {ADA}, with a random gap of {GAP_FLOOR_MS} to {GAP_CEILING_MS} ms."
    ))?;
    let mut sent = Vec::new();
    for text in TEXTS {
        let body =
            json!({ "session_id": session, "type": "text", "to": ADA, "text": { "body": text } });
        let message = tenant.post("/v1/messages", &body).await?;
        let (position, at) = (
            &message["queue"]["position"],
            &message["queue"]["estimated_send_at"],
        );
        ensure!(
            message["status"] == "queued",
            "a message was accepted as {}",
            message["status"]
        );
        let id = client::text(&message, "id")?.to_owned();
        line(&format!(
            "  accepted {id}: position {position}, to be sent about {}",
            at.as_str().unwrap_or("?")
        ))?;
        sent.push(id);
    }
    Ok(sent)
}

/// Prints each status of each message until all are read.
async fn follow(tenant: &Client, sent: &[String]) -> anyhow::Result<()> {
    line("")?;
    for (number, id) in sent.iter().enumerate() {
        let path = format!("/v1/messages/{id}");
        let mut shown = String::new();
        while shown != "read" {
            shown = until("the next status", || async {
                let message = tenant.get(&path).await?;
                let status = client::text(&message, "status")?;
                ensure!(
                    !matches!(status, "failed" | "expired" | "unknown"),
                    "message {id} is {status}"
                );
                Ok((status != shown).then(|| status.to_owned()))
            })
            .await?;
            line(&format!("  text {}: {shown}", number + 1))?;
        }
    }
    Ok(())
}

/// Prints the gaps between the texts as the WhatsApp server measured them.
async fn gaps(phones: &Client) -> anyhow::Result<()> {
    line("\n5/8 Asking the WhatsApp server when each text arrived.")?;
    let ledger = phones.get("/ledger?kind=sent&limit=100").await?;
    let entries = ledger["entries"]
        .as_array()
        .context("the ledger has entries")?;
    let times: Vec<i64> = entries
        .iter()
        .filter_map(|entry| entry["wire_us"].as_i64())
        .collect();
    ensure!(
        times.len() == TEXTS.len(),
        "{} frames were on the wire",
        times.len()
    );
    let gaps: Vec<i64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1000)
        .collect();
    line(&format!("  Gaps on the wire, in ms: {gaps:?}"))?;
    let floor = i64::try_from(GAP_FLOOR_MS).expect("a small literal");
    ensure!(
        gaps.iter().all(|gap| *gap >= floor),
        "a gap was shorter than {floor} ms"
    );
    Ok(())
}

/// Prints Ada's answers. Her phone sends every text back, and each answer arrives as a signed webhook.
async fn hear(receiver: &mut Receiver) -> anyhow::Result<()> {
    line("\n6/8 Reading Ada's answers: webhooks whose signature was verified.")?;
    let mut missing: BTreeSet<&str> = TEXTS.into_iter().collect();
    while !missing.is_empty() {
        let event = wait("a webhook", receiver.next()).await?;
        let message = &event["data"]["message"];
        let text = client::text(&message["text"], "body")?;
        let from = client::text(message, "from")?;
        ensure!(from == ADA, "a message came from another number");
        if missing.remove(text) {
            line(&format!(
                "  {} from {from}: {text}",
                client::text(&event, "type")?
            ))?;
        }
    }
    Ok(())
}

/// Makes a rule, lets Ada ask, and waits until her phone shows the rule's answer.
async fn answer(tenant: &Client, phones: &Client) -> anyhow::Result<()> {
    line("\n7/8 Making a rule that answers by itself who asks when the shop is open.")?;
    // Ada's phone sends the answer back, and the same word is in it.
    let rule = json!({ "name": "Opening hours", "match": { "keywords": ["open"] },
        "conditions": { "once_per_seconds": 60 },
        "answer": { "type": "text", "text": { "body": ANSWER } } });
    let rule = tenant.post("/v1/auto-replies", &rule).await?;
    let asked = json!({ "to": SHOP, "text": QUESTION });
    phones.post(&format!("/phones/{ADA}/say"), &asked).await?;
    line(&format!("  Ada asks: {QUESTION}"))?;
    let answer = until("the automatic reply", || async {
        let ledger = phones.get("/ledger?kind=shown&limit=1000").await?;
        let entries = ledger["entries"].as_array().into_iter().flatten();
        let texts = entries.filter_map(|entry| entry["text"].as_str());
        let mut answers = texts.filter(|text| text.starts_with("We are open"));
        Ok(answers.next().map(str::to_owned))
    })
    .await?;
    line(&format!(
        "  Her phone shows: {answer}\n  Rule {} has answered once.",
        client::text(&rule, "id")?
    ))
}

fn invite(api: &str, key: &str, session: &str) -> anyhow::Result<()> {
    line(&format!("\nTry it: {api}/docs\nAPI key: {key}"))?;
    line(&next_steps::demo(api, key, session, ADA))
}

/// Polls until there is a result.
async fn until<T, F>(what: &str, look: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let looking = async {
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    wait(what, looking).await
}

/// Waits for `work` and prints, every few seconds, what it waits for.
async fn wait<T>(what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut work = std::pin::pin!(work);
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Ok(done) = tokio::time::timeout(STILL, &mut work).await {
            return done;
        }
        waited += STILL;
        line(&format!("  … waiting for {what}, {} s", waited.as_secs()))?;
    }
    bail!("waited {} s for {what}", PATIENCE.as_secs())
}

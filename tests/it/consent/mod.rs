//! Purposes and consents: what a message needs, and what it gets without it. With `--safety default`, unless a story says
//! otherwise. Under it what is no reply waits for minutes, and at night until the morning, so no story waits for that.

mod given;
mod links;
mod needed;
mod proof;

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Setup, World, api::Reply, simulator::Phone};
use serde_json::{Value, json};

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";

/// A gateway with the preset `default` and one linked number.
struct Story {
    world: World,
    session: String,
}

impl Story {
    async fn start(backing: Backing) -> Result<Self> {
        Self::with(backing, "default").await
    }

    async fn with(backing: Backing, preset: &str) -> Result<Self> {
        let setup = Setup {
            flags: vec!["--safety".to_owned(), preset.to_owned()],
            ..Setup::quick()
        };
        let world = World::with(backing, setup).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE] {
            world.simulator.phone(phone, Phone::default()).await?;
        }
        Ok(Self { world, session })
    }

    /// Starts one whose number has written to as many strangers as it may without a consent.
    async fn without_trial(backing: Backing) -> Result<Self> {
        let story = Self::start(backing).await?;
        for n in 0..5 {
            story
                .send(&stranger(n), json!({}))
                .await?
                .into::<Value>(202)?;
        }
        Ok(story)
    }

    /// Sends a text with further fields.
    async fn send(&self, to: &str, fields: Value) -> Result<Reply> {
        self.send_through(&self.session, to, fields).await
    }

    async fn send_through(&self, session: &str, to: &str, fields: Value) -> Result<Reply> {
        let mut body = Api::text(session, to, "hello");
        for (name, value) in fields.as_object().context("fields")? {
            body[name] = value.clone();
        }
        self.world.api.post("/v1/messages", &body).await
    }

    async fn contact(&self, phone: &str) -> Result<String> {
        let path = format!("/v1/contacts?phone={}", phone.replace('+', "%2B"));
        let page: Value = self.world.api.get(&path).await?.into(200)?;
        id(&page["data"][0])
    }

    async fn consents(&self, contact: &str) -> Result<Vec<Value>> {
        let path = format!("/v1/contacts/{contact}/consents");
        let page: Value = self.world.api.get(&path).await?.into(200)?;
        Ok(page["data"].as_array().context("consents")?.clone())
    }

    async fn consent(&self, contact: &str, body: &Value) -> Result<Reply> {
        let path = format!("/v1/contacts/{contact}/consents");
        self.world.api.post(&path, body).await
    }
}

/// The number of a stranger without a phone.
fn stranger(n: u32) -> String {
    format!("+49151980{n:05}")
}

fn id(value: &Value) -> Result<String> {
    Ok(value["id"].as_str().context("an id")?.to_owned())
}

/// Returns the body that the detail of a refusal shows.
fn shown_body(refused: &Reply) -> Result<Value> {
    let detail = refused.body["detail"].as_str().context("a detail")?;
    let (_, body) = detail.split_once("that works: ").context("a body")?;
    Ok(serde_json::from_str(body)?)
}

/// Asserts that a request was refused so.
fn refused(reply: &Reply, code: &str, pointer: &str) {
    assert_eq!(
        (
            reply.status.as_u16(),
            reply.code(),
            &reply.body["errors"][0]["pointer"]
        ),
        (422, code, &json!(pointer)),
        "{}",
        reply.body
    );
}

//! The queue of a session: what waits and why, pausing it, emptying it; the policy of an organisation; and what happened to a
//! message.

mod health;
mod limits;
mod pause;
mod policy;
mod seen;
mod timeline;

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Setup, World, simulator::Phone};
use serde_json::{Value, json};

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";
const IDA: &str = "+4915199000003";

/// A gateway with one linked number.
struct Story {
    world: World,
    session: String,
}

impl Story {
    /// Starts one with the limits of a sandbox: none.
    async fn start(backing: Backing) -> Result<Self> {
        Self::of(backing, Setup::quick()).await
    }

    /// Starts one with the preset `default`.
    async fn limited(backing: Backing) -> Result<Self> {
        Self::under(backing, "default").await
    }

    /// Starts one with this preset.
    async fn under(backing: Backing, preset: &str) -> Result<Self> {
        let setup = Setup {
            flags: vec!["--safety".to_owned(), preset.to_owned()],
            ..Setup::quick()
        };
        Self::of(backing, setup).await
    }

    async fn of(backing: Backing, setup: Setup) -> Result<Self> {
        let world = World::with(backing, setup).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE, IDA] {
            world.simulator.phone(phone, Phone::default()).await?;
        }
        Ok(Self { world, session })
    }

    fn path(&self, further: &str) -> String {
        format!("/v1/sessions/{}/queue{further}", self.session)
    }

    /// Returns the queue.
    async fn queue(&self) -> Result<Value> {
        self.world.api.get(&self.path("")).await?.into(200)
    }

    /// Pauses the queue, or lets it go on. Returns it.
    async fn act(&self, verb: &str) -> Result<Value> {
        let path = self.path(&format!("/{verb}"));
        self.world.api.act(&path).await?.into(200)
    }

    /// Sends a text with further fields. Returns the answer.
    async fn send(&self, to: &str, fields: Value) -> Result<Value> {
        let mut body = Api::text(&self.session, to, "hello");
        for (name, value) in fields.as_object().context("fields")? {
            body[name] = value.clone();
        }
        self.world.api.post("/v1/messages", &body).await?.into(202)
    }

    async fn timeline(&self, message: &Value) -> Result<Vec<Value>> {
        let path = format!("/v1/messages/{}/timeline", id(message)?);
        let shown: Value = self.world.api.get(&path).await?.into(200)?;
        assert_eq!(shown["object"], "message_timeline");
        Ok(shown["steps"].as_array().context("steps")?.clone())
    }
}

fn id(value: &Value) -> Result<&str> {
    value["id"].as_str().context("an id")
}

fn millis(time: &Value) -> Result<i64> {
    let time = time.as_str().context("a time")?;
    Ok(chrono::DateTime::parse_from_rfc3339(time)?.timestamp_millis())
}

/// Returns the names of steps in their order.
fn names(steps: &[Value]) -> Vec<&str> {
    steps
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect()
}

/// Returns the entry of a list with this value in a field.
fn entry<'v>(list: &'v Value, field: &str, value: &str) -> &'v Value {
    let entries = list.as_array().into_iter().flatten();
    let mut named = entries.filter(|entry| entry[field] == json!(value));
    named.next().unwrap_or(&Value::Null)
}

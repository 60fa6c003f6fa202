//! No tenant, no stranger and no row can hurt another.
//!
//! | page | what it shows |
//! |---|---|
//! | `door` | bodies, uploads, forms, connections and wrong keys: what arrives at the door |
//! | `decoder` | what a file does to the process that decodes it |
//! | `disk` | a disk that is full, quotas, large files that come in |
//! | `bad_rows` | a row that cannot be read ends with a code, and nothing else waits for it |
//! | `foreign_ids` | every operation answers another organisation's ids as ids that never existed |
//! | `operators` | keys that the operator revokes, suspended organisations, few pairing codes |
//! | `bad_jobs` | the same for rows that are jobs: deliveries and files, in every shape |
//! | `lists` | lists whose queries are long |
//! | `requests` | one request limit over all processes |
//! | `sessions` | sessions without end, and sessions that show QR codes |
//! | `streams` | a stream of QR codes ends with its key |
//! | `usage` | what is used of each limit, for the organisation and the operator |
//! | `webhooks` | endpoints that hang hold up no webhook of another organisation |
//! | `number` | a phone number that several sessions are linked to sends no faster than one |
//! | `accepted` | what is accepted stays whole |
//! | `older` | a database of an older version is brought up to date |

mod accepted;
mod bad_jobs;
mod bad_rows;
mod decoder;
mod disk;
mod door;
mod foreign_ids;
mod lists;
mod number;
mod older;
mod operators;
mod requests;
mod sessions;
mod streams;
mod usage;
mod webhooks;

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, World, receiver::Arrival};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// An answer that takes longer than this is not what another organisation expects.
const ORDINARY: Duration = Duration::from_secs(5);
/// The code of a row that cannot be read.
const UNREADABLE: &str = "unreadable_row";

/// Returns the ids of the rows of a page that cannot be read.
async fn unreadable(api: &Api, path: &str) -> Result<Vec<String>> {
    let page: Value = api.get(path).await?.into(200)?;
    let rows = page["unreadable"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| {
            assert_eq!(row["code"], UNREADABLE, "{page}");
            Ok(row["id"].as_str().context("a row has an id")?.to_owned())
        })
        .collect()
}

/// Makes an event: a message is canceled. Returns the message's id.
async fn cancel_one(api: &Api, session: &str) -> Result<String> {
    let queued = api.send(session, "+4915199000001", "never mind").await?.id;
    let cancel = format!("/v1/messages/{queued}/cancel");
    api.act(&cancel).await?.into::<Value>(200)?;
    Ok(queued)
}

/// Returns the messages of these events by their ids; events may arrive in any order.
fn messages(told: &[Arrival]) -> BTreeMap<String, Value> {
    let message = |told: &Arrival| {
        let message = told.body["data"]["message"].clone();
        Some((message["id"].as_str()?.to_owned(), message))
    };
    told.iter().filter_map(message).collect()
}

/// Has the database refuse certain writes, as one does whose schema is not as expected.
async fn refuse(world: &World, sqlite: &'static str, postgres: &'static str) -> Result<()> {
    let database = &world.gateway.database;
    let rule = match database.backing {
        Backing::Sqlite => sqlite,
        Backing::Postgres | Backing::Cluster => postgres,
    };
    database.execute(rule).await?;
    Ok(())
}

/// Returns the value of a counter with these labels; 0 if it was never counted. For one process alone.
async fn counted(world: &World, counter: &str) -> Result<f64> {
    let base = world.api.base().get();
    let metrics = reqwest::get(format!("{base}/metrics"))
        .await?
        .text()
        .await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(counter));
    Ok(line.map_or(Ok(0.0), |value| value.trim().parse())?)
}

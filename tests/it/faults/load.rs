//! Clients that send and contacts who write all the time, and a record of what was accepted.

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use passerelle_tests::{Api, Simulator};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::site::{CONTACT, Site};

/// The time between two messages of a session, and between two messages to it.
const SENDS: Duration = Duration::from_millis(250);
const SAYS: Duration = Duration::from_millis(700);
/// The time until a client tries again after no answer or a 503.
const AGAIN: Duration = Duration::from_millis(200);
/// If this many messages are queued before its own, a client waits longer, so that a busy machine does not
/// build up a backlog that takes just as long to drain.
const MANY: u64 = 40;
const LONGER: Duration = Duration::from_secs(3);
/// The number of tries before a client gives up.
const PATIENCE: u32 = 600;

/// The load on one session.
struct Line {
    api: Api,
    session: String,
    number: String,
    /// Part of every text, so that no two loads have a text in common.
    name: String,
}

pub(super) struct Load {
    lines: Vec<Line>,
    stop: CancellationToken,
}

/// What was accepted and received for one session.
pub(super) struct Told {
    pub(super) session: String,
    pub(super) number: String,
    /// The accepted messages in order: message id and text.
    pub(super) accepted: Vec<(String, String)>,
    /// The texts sent to it, in order.
    pub(super) said: Vec<String>,
}

impl Load {
    /// Makes a load with this name on every session.
    pub(super) fn of(site: &Site, name: &str) -> Self {
        let lines = site.sessions.iter().map(|(session, number)| Line {
            api: site.world.api.clone(),
            session: session.id.clone(),
            number: number.clone(),
            name: name.to_owned(),
        });
        Self {
            lines: lines.collect(),
            stop: CancellationToken::new(),
        }
    }

    /// Stops the load. Requests that have begun are completed.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Sends and writes until stopped.
    pub(super) async fn work(&self, simulator: &Simulator) -> Result<Vec<Told>> {
        let lines = self.lines.iter().map(|line| async move {
            let (accepted, said) =
                tokio::try_join!(line.send(&self.stop), line.say(simulator, &self.stop))?;
            anyhow::Ok(Told {
                session: line.session.clone(),
                number: line.number.clone(),
                accepted,
                said,
            })
        });
        try_join_all(lines).await
    }
}

impl Line {
    async fn send(&self, stop: &CancellationToken) -> Result<Vec<(String, String)>> {
        let mut accepted = Vec::new();
        while !stop.is_cancelled() {
            let text = format!("{} {} from {}", self.name, accepted.len(), self.number);
            let (id, place) = self.accepted(&text).await?;
            accepted.push((id, text));
            tokio::time::sleep(if place > MANY { LONGER } else { SENDS }).await;
        }
        Ok(accepted)
    }

    /// Sends one text until it is accepted. Returns its id and its place in the queue.
    async fn accepted(&self, text: &str) -> Result<(String, u64)> {
        let body = Api::text(&self.session, CONTACT, text);
        for _ in 0..PATIENCE {
            // A request without an answer, and one answered with 503, is repeated with the same key.
            if let Ok(reply) = self.api.send_once(text, &body).await
                && reply.status.as_u16() != 503
            {
                let accepted: serde_json::Value = reply.into(202)?;
                let id = accepted["id"]
                    .as_str()
                    .context("an accepted message has an id")?;
                let place = accepted["queue"]["position"].as_u64();
                return Ok((id.to_owned(), place.unwrap_or_default()));
            }
            tokio::time::sleep(AGAIN).await;
        }
        bail!("{text:?} was not accepted after all tries")
    }

    async fn say(&self, simulator: &Simulator, stop: &CancellationToken) -> Result<Vec<String>> {
        let mut said = Vec::new();
        while !stop.is_cancelled() {
            let text = format!("{} {} to {}", self.name, said.len(), self.number);
            simulator.say(CONTACT, &self.number, &text).await?;
            said.push(text);
            tokio::time::sleep(SAYS).await;
        }
        Ok(said)
    }
}

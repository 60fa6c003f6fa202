//! Clients that send and people who write, all the time, and what they were told.

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use passerelle_tests::{Api, Simulator};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::site::{CONTACT, Site};

/// Between two messages of a session, and between two that come in for it.
const SENDS: Duration = Duration::from_millis(250);
const SAYS: Duration = Duration::from_millis(700);
/// Between two tries of a client whose request was not answered, or answered with "later".
const AGAIN: Duration = Duration::from_millis(200);
/// Where a client's message has so many before it, it waits for longer: what is accepted while a machine
/// is busy with other things would else take it as long again.
const MANY: u64 = 40;
const LONGER: Duration = Duration::from_secs(3);
/// So long a client tries at most.
const PATIENCE: u32 = 600;

/// The load on one session.
struct Line {
    api: Api,
    session: String,
    number: String,
    /// In every text, so that no two loads have one in common.
    name: String,
}

pub(super) struct Load {
    lines: Vec<Line>,
    stop: CancellationToken,
}

/// What was told of one session.
pub(super) struct Told {
    pub(super) session: String,
    pub(super) number: String,
    /// What its clients were told is accepted, in order: message id and text.
    pub(super) accepted: Vec<(String, String)>,
    /// What was said to it, in order.
    pub(super) said: Vec<String>,
}

impl Load {
    /// On every session, by this name.
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

    /// Lets everybody finish what they are about.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Works until stopped.
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

    /// Sends one text, as often as it takes to be told that it is accepted: its id, and its place.
    async fn accepted(&self, text: &str) -> Result<(String, u64)> {
        let body = Api::text(&self.session, CONTACT, text);
        for _ in 0..PATIENCE {
            // A request without an answer, and one answered "not now", are made again under their key.
            if let Ok(reply) = self.api.send_once(text, &body).await
                && reply.status.as_u16() != 503
            {
                let accepted: serde_json::Value = reply.into(202)?;
                let id = accepted["id"].as_str().context("it has an id")?;
                let place = accepted["queue"]["position"].as_u64();
                return Ok((id.to_owned(), place.unwrap_or_default()));
            }
            tokio::time::sleep(AGAIN).await;
        }
        bail!("{text:?} was not accepted, however often it was sent")
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

//! Faults of PostgreSQL and Redis.

use anyhow::{Result, ensure};
use passerelle_tests::{Gateway, probes, proxy::Proxy, redis::Redis, tokens::Tokens};
use rand::{RngExt as _, rngs::StdRng};
use std::time::Duration;

use super::{fault::ms, site::Roads};

/// This many tokens without content end the workers so often that the queue is deleted.
const HOLLOW: usize = 12;
/// Counts the tokens that a worker could not read.
const UNKNOWN: &str = "passerelle_tokens_unknown_total";

pub(super) async fn gone(roads: &Roads, time: Duration) {
    roads.all().for_each(Proxy::cut);
    tokio::time::sleep(time).await;
    roads.all().for_each(Proxy::mend);
}

pub(super) async fn commits_lost(roads: &Roads, count: u32) {
    roads.all().for_each(|road| road.lose_commits(count));
    tokio::time::sleep(ms(2_000)).await;
    roads.all().for_each(|road| road.lose_commits(0));
}

pub(super) async fn slow(roads: &Roads, by: Duration) {
    roads.all().for_each(|road| road.slow_down(by));
    tokio::time::sleep(ms(3_000)).await;
    roads.all().for_each(|road| road.slow_down(ms(0)));
}

/// Pushes bad tokens. A worker skips and counts a token it cannot read. The queue is deleted if tokens
/// cannot even be fetched.
pub(super) async fn poisoned(gateway: &Gateway, redis: &Redis, chance: &mut StdRng) -> Result<()> {
    const LATER: &str = r#"{"v":99,"kind":"deliver_webhook","id":"dlv_01h455vb4pex5vsknk084sn02q","attempt":1,"gen":1}"#;
    probes::travels(gateway, true).await?;
    let tokens = Tokens::of(redis).await?;
    let before = probes::counted(gateway, UNKNOWN).await?;
    let run: u32 = chance.random();
    let unread = ["\u{1}nonsense", LATER].map(Some);
    let hollow = [None; HOLLOW];
    for (n, data) in unread.into_iter().chain(hollow).enumerate() {
        let id = format!("poison-{run}-{n}");
        tokens.put(&id, data).await?;
        if n + 1 == unread.len() {
            tokens.gone(&format!("poison-{run}-")).await?;
            let counted = probes::counted(gateway, UNKNOWN).await? - before;
            ensure!(
                counted > 1.0,
                "only {counted} unreadable tokens were counted"
            );
        }
    }
    tokens.gone(&format!("poison-{run}-")).await
}

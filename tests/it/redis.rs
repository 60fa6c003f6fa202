//! A cluster's webhooks and downloads travel through Redis, which may lose all its data or be down at any
//! time.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Backing, Finished, Setup, World, probes, receiver::Receiver, redis::Redis, simulator::Phone,
};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use tempfile::TempDir;

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const SOON: Duration = Duration::from_mins(1);

/// A cluster with its own Redis, a linked number and an endpoint.
struct Story {
    world: World,
    receiver: Receiver,
    redis: Redis,
    said: usize,
    _folder: TempDir,
}

impl Story {
    async fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("passerelle-redis-")?;
        let redis = Redis::start(folder.path()).await?;
        let setup = Setup {
            redis: Some(redis.url()),
            ..Setup::quick()
        };
        let world = World::with(Backing::Cluster, setup).await?;
        world.linked(NUMBER).await?;
        world.simulator.phone(CONTACT, Phone::default()).await?;
        let receiver = world.endpoint(&["message.received"]).await?;
        Ok(Self {
            world,
            receiver,
            redis,
            said: 0,
            _folder: folder,
        })
    }

    async fn say(&mut self, texts: usize) -> Result<()> {
        for _ in 0..texts {
            let text = self.said.to_string();
            self.world.simulator.say(CONTACT, NUMBER, &text).await?;
            self.said += 1;
        }
        Ok(())
    }

    /// Waits until every text was reported.
    async fn told(&self) -> Result<()> {
        let told = self
            .receiver
            .wait_for_within(SOON, "message.received", self.said)
            .await?;
        let texts: BTreeSet<_> = told.iter().map(|one| one.text().to_owned()).collect();
        assert_eq!(texts.len(), self.said);
        Ok(())
    }

    /// Waits until both workers report that tokens travel, or that they do not.
    async fn travels(&self, up: bool) -> Result<()> {
        probes::travels(&self.world.gateway, up).await
    }

    /// Returns how many tokens of the queue were pushed.
    async fn dispatched(&self, queue: &str) -> Result<f64> {
        let counter = format!("passerelle_tokens_dispatched_total{{queue=\"{queue}\"}}");
        probes::counted(&self.world.gateway, &counter).await
    }

    /// Sends this many documents from the contact.
    async fn show(&mut self, documents: usize) -> Result<()> {
        for _ in 0..documents {
            let bytes = STANDARD.encode(format!("document {}", self.said));
            let said = json!({ "message": { "type": "document", "bytes_base64": bytes } });
            self.world.simulator.tell(CONTACT, NUMBER, said).await?;
            self.said += 1;
        }
        Ok(())
    }

    /// Waits until every document is available.
    async fn fetched(&self, files: &Receiver) -> Result<()> {
        let here = files
            .wait_for_within(SOON, "media.available", self.said)
            .await?;
        let here: BTreeSet<_> = here
            .iter()
            .map(|one| one.body["data"]["media"]["id"].to_string())
            .collect();
        assert_eq!(here.len(), self.said);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_again_and_again_loses_no_webhook() -> Result<()> {
    let mut story = Story::start().await?;
    story.travels(true).await?;
    for _ in 0..15 {
        story.say(10).await?;
        story.redis.empty().await?;
    }
    story.told().await?;
    story.say(10).await?;
    story.told().await?;
    assert!(story.dispatched("webhook").await? > 0.0);
    let _finished: Finished = story.world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_go_out_while_redis_is_dead_and_through_it_once_it_is_back() -> Result<()> {
    let mut story = Story::start().await?;
    story.travels(true).await?;
    for _ in 0..3 {
        story.say(10).await?;
        story.redis.kill().await?;
        story.say(10).await?;
        story.told().await?;
        story.travels(false).await?;
        story.redis.restart().await?;
        story.travels(true).await?;
        let before = story.dispatched("webhook").await?;
        story.say(5).await?;
        story.told().await?;
        assert!(story.dispatched("webhook").await? > before);
    }
    let _finished: Finished = story.world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_fetched_through_a_redis_that_is_emptied_and_without_one() -> Result<()> {
    let mut story = Story::start().await?;
    let files = story.world.endpoint(&["media.available"]).await?;
    story.travels(true).await?;
    for _ in 0..5 {
        story.show(3).await?;
        story.redis.empty().await?;
    }
    story.fetched(&files).await?;
    assert!(story.dispatched("media").await? > 0.0);
    story.redis.kill().await?;
    story.show(5).await?;
    story.fetched(&files).await?;
    story.travels(false).await?;
    story.redis.restart().await?;
    story.travels(true).await?;
    let before = story.dispatched("media").await?;
    story.show(3).await?;
    story.fetched(&files).await?;
    assert!(story.dispatched("media").await? > before);
    let _finished: Finished = story.world.finish().await?;
    Ok(())
}

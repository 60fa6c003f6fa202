//! Wakes the other processes of a cluster, with Redis publish/subscribe. (The tokens of deliveries are
//! something else: [`queue::transport`](crate::queue::transport).)
//!
//! A wake-up says "look now", not what to find: that is in the store. A lost wake-up costs one second,
//! because everything looks after that time anyway. So nothing waits for a wake-up, and Redis may fail
//! and return.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::{redis_server::RedisServer, services::Services, state::wake_publisher::Topic};

/// Between two tries to reach Redis.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time that a publication may take.
const WITHIN: Duration = Duration::from_secs(2);

/// Publishes and receives wake-ups until stopped. Does nothing if no Redis is configured.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    let Some(redis) = services.settings().redis.clone() else {
        return;
    };
    let store = services.name_in_redis();
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            ended = connected(&services, &redis, &store) => ended,
            () = stop.cancelled() => return,
        };
        let was_connected = services
            .wake_publisher()
            .connected
            .swap(false, Ordering::Relaxed);
        if let Err(error) = ended {
            // The address may contain a password, so only the kind of error is logged.
            tracing::warn!(was_connected, error = %error.category(), "Redis cannot be reached: work may be delayed by a second");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn connected(
    services: &Services,
    redis: &RedisServer,
    store: &str,
) -> redis::RedisResult<()> {
    let client = redis.client()?;
    let mut heard = client.get_async_pubsub().await?;
    for topic in Topic::ALL {
        heard.subscribe(topic.channel(store)).await?;
    }
    let mut publish = client.get_multiplexed_async_connection().await?;
    services
        .wake_publisher()
        .connected
        .store(true, Ordering::Relaxed);
    tracing::info!("connected to Redis for wake-ups");
    // Wake-ups may have been missed until now.
    for topic in Topic::ALL {
        services.notify(*topic);
    }
    let hearing = async {
        let mut messages = heard.on_message();
        while let Some(message) = messages.next().await {
            let channel = message.get_channel_name();
            let mut topics = Topic::ALL.iter();
            if let Some(topic) = topics.find(|topic| topic.channel(store) == channel) {
                services.notify(*topic);
            }
        }
        Ok(())
    };
    let publishing = async {
        loop {
            services.wake_publisher().to_publish.notified().await;
            let mut pipe = redis::pipe();
            for topic in services.wake_publisher().take() {
                pipe.publish(topic.channel(store), "").ignore();
            }
            let sent = tokio::time::timeout(WITHIN, pipe.exec_async(&mut publish));
            match sent.await {
                Ok(sent) => sent?,
                Err(_) => return Ok(()),
            }
        }
    };
    tokio::select! {
        ended = hearing => ended,
        ended = publishing => ended,
    }
}

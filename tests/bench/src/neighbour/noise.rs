//! What the noisy organisation does. Each noise goes on until it is dropped.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use passerelle_tests::Api;
use std::{net::TcpListener, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::interval,
};

use super::{CONTACT, EVENT};

const PHOTO: &[u8] = include_bytes!("../../../assets/photo.jpg");
/// The address of the noisy organisation, as the proxy gives it.
const ADDRESS: &str = "198.51.100.1";
/// How many connections it opens, more than one address may have.
const CONNECTIONS: usize = 400;
/// How many bodies it sends slowly, and their size in bytes.
const BODIES: usize = 32;
const BODY: usize = (8 << 20) - 1024;
/// How many requests it sends at once.
const AT_ONCE: usize = 8;
/// How many endpoints it has that accept a connection and say nothing.
const ENDPOINTS: usize = 20;

pub(super) const ALL: [Noise; 6] = [
    Noise::Connections,
    Noise::SlowBodies,
    Noise::HangingEndpoints,
    Noise::LongLists,
    Noise::FullLane,
    Noise::Uploads,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// Many connections, each with a request that never ends.
    Connections,
    /// Large bodies, a kilobyte a second.
    SlowBodies,
    /// Events for endpoints that hang.
    HangingEndpoints,
    /// The longest pages of a long history.
    LongLists,
    /// Texts for a lane that is full.
    FullLane,
    /// Pictures.
    Uploads,
}

impl Noise {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::SlowBodies => "slow-bodies",
            Self::HangingEndpoints => "hanging-endpoints",
            Self::LongLists => "long-lists",
            Self::FullLane => "full-lane",
            Self::Uploads => "uploads",
        }
    }

    /// Creates what this noise needs.
    pub(super) async fn prepared(self, api: &Api) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        if self == Self::HangingEndpoints {
            let silent = TcpListener::bind("127.0.0.1:0")?;
            for n in 0..ENDPOINTS {
                let url = format!("http://{}/{n}", silent.local_addr()?);
                let (id, _) = api.create_endpoint(&url, &[EVENT]).await?;
                prepared.endpoints.push(id);
            }
            prepared.silent = Some(silent);
        }
        Ok(prepared)
    }

    /// Makes the noise until this is dropped. Returns only errors.
    pub(super) async fn make(self, api: &Api, session: &str) -> Result<()> {
        match self {
            Self::Connections => at_once(CONNECTIONS, || unending(api, 1000, 1)).await,
            Self::SlowBodies => at_once(BODIES, || unending(api, BODY, 1000)).await,
            Self::HangingEndpoints => events(api).await,
            Self::LongLists => at_once(AT_ONCE, || lists(api)).await,
            Self::FullLane => at_once(AT_ONCE, || texts(api, session)).await,
            Self::Uploads => at_once(AT_ONCE, || pictures(api)).await,
        }
    }
}

/// What a noise needs, for as long as it is made.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    endpoints: Vec<String>,
    /// The system completes connections to it, and nobody reads from them.
    silent: Option<TcpListener>,
}

impl Prepared {
    /// Deletes the endpoints, whose deliveries would go on.
    pub(super) async fn undone(self, api: &Api) -> Result<()> {
        for id in self.endpoints {
            api.delete(&format!("/v1/webhook-endpoints/{id}")).await?;
        }
        drop(self.silent);
        Ok(())
    }
}

async fn at_once<F: Future<Output = Result<()>>>(count: usize, make: impl Fn() -> F) -> Result<()> {
    try_join_all((0..count).map(|_| make())).await?;
    Ok(())
}

/// Sends requests whose bodies never end, one after the other, with so many bytes a second.
async fn unending(api: &Api, length: usize, a_second: usize) -> Result<()> {
    let base = api.base().get();
    let address = base.strip_prefix("http://").context("it is http")?;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nX-Forwarded-For: {ADDRESS}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        api.key
    );
    let some = vec![b' '; a_second];
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let mut stream = TcpStream::connect(address).await?;
        let mut is_sent = stream.write_all(head.as_bytes()).await.is_ok();
        let mut answer = [0; 1024];
        while is_sent {
            // An answer, or the end of the connection, ends the request.
            tokio::select! {
                _ = stream.read(&mut answer) => break,
                _ = second.tick() => is_sent = stream.write_all(&some).await.is_ok(),
            }
        }
    }
}

/// Makes events, some twenty a second.
async fn events(api: &Api) -> Result<()> {
    let session = api.create_session("of events").await?.id;
    let mut next = interval(Duration::from_millis(50));
    loop {
        next.tick().await;
        let text = api.send(&session, CONTACT, "never mind").await?;
        api.act(&format!("/v1/messages/{}/cancel", text.id)).await?;
    }
}

async fn lists(api: &Api) -> Result<()> {
    loop {
        api.get("/v1/messages?limit=100&status=queued").await?;
    }
}

async fn texts(api: &Api, session: &str) -> Result<()> {
    let text = Api::text(session, CONTACT, "one more");
    loop {
        let refused = api.post("/v1/messages", &text).await?;
        ensure!(!refused.status.is_success(), "the lane is not full");
    }
}

async fn pictures(api: &Api) -> Result<()> {
    loop {
        api.upload("image", PHOTO).await?;
    }
}

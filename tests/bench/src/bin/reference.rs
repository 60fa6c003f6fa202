//! The bare library with its in-memory store, doing what the gateway does.
//!
//! `reference memory CONTROL WS SESSIONS` links this many sessions and prints their idle cost, after
//! linking and after all of them were dropped and made again with the same keys. `reference through
//! CONTROL WS SESSIONS CONTACT EACH` sends EACH texts from each session. A session has one message in
//! flight and waits for the server's acknowledgement of each.

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::{io::Write as _, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_websockets::{ClientBuilder, MaybeTlsStream};
use url::Url;
use wacore::{
    net::{HttpClient, HttpRequest, HttpResponse, Transport, TransportEvent, TransportFactory},
    store::InMemoryBackend,
    types::events::{Event, EventKind},
};
use whatsapp_rust::{
    Client, Jid, SendOptions, TokioRuntime, async_channel,
    bot::{Bot, BotHandle},
    waproto::whatsapp::Message,
};
use whatsapp_rust_tokio_transport::from_websocket;

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<()> {
    let _already = rustls_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match arguments.as_slice() {
        ["memory", control, ws, sessions] => memory(control, ws, sessions.parse()?).await?,
        ["through", control, ws, sessions, contact, each] => {
            through(control, ws, sessions.parse()?, contact, each.parse()?).await?
        }
        _ => bail!(
            "reference memory CONTROL WS SESSIONS | reference through CONTROL WS SESSIONS CONTACT EACH"
        ),
    };
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

fn rustls_provider() -> bool {
    passerelle_tests::world::install_tls();
    true
}

/// A WebSocket over a stream with `TCP_NODELAY`, as in the gateway.
struct Dial(Url);

#[async_trait]
impl TransportFactory for Dial {
    async fn create_transport(
        &self,
    ) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let address = self.0.socket_addrs(|| None)?;
        let tcp = TcpStream::connect(address.as_slice()).await?;
        tcp.set_nodelay(true)?;
        let (socket, _) = ClientBuilder::new()
            .uri(self.0.as_str())?
            .connect_on(MaybeTlsStream::Plain(tcp))
            .await?;
        Ok(from_websocket(socket))
    }
}

struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        bail!("no request is made here: {}", request.url)
    }
}

/// A linked number.
struct Session {
    client: Arc<Client>,
    handle: BotHandle,
    keys: Arc<InMemoryBackend>,
    told: mpsc::UnboundedReceiver<Told>,
}

enum Told {
    Qr(String),
    Ack(String),
}

async fn open(ws: &str, keys: Arc<InMemoryBackend>) -> Result<Session> {
    let (tell, told) = mpsc::unbounded_channel();
    let bot = Bot::builder()
        .with_backend_arc(keys.clone())
        .with_transport_factory(Dial(ws.parse()?))
        .with_http_client(NoHttp)
        .with_runtime(TokioRuntime)
        .with_version((2, 3000, 1_020_000_000))
        .on_event_for(
            &[EventKind::PairingQrCode, EventKind::ServerAck],
            move |event, _| {
                let told = match &*event {
                    Event::PairingQrCode(qr) => Some(Told::Qr(qr.code.clone())),
                    Event::ServerAck(ack) => Some(Told::Ack(ack.id.clone())),
                    _ => None,
                };
                told.map(|told| tell.send(told).ok());
                async {}
            },
        )
        .build()
        .await?;
    let client = bot.client();
    Ok(Session {
        client,
        handle: bot.spawn(),
        keys,
        told,
    })
}

/// Links a new number.
async fn link(control: &str, ws: &str, number: u32) -> Result<Session> {
    let mut session = open(ws, Arc::new(InMemoryBackend::new())).await?;
    let qr = loop {
        match tokio::time::timeout(PATIENCE, session.told.recv())
            .await?
            .context("the session ended")?
        {
            Told::Qr(qr) => break qr,
            Told::Ack(_) => {}
        }
    };
    let http = reqwest::Client::builder().no_proxy().build()?;
    let path = format!("{control}/phones/%2B491527{number:07}/scan");
    let reply = http.post(path).json(&json!({ "qr": qr })).send().await?;
    ensure!(
        reply.status().is_success(),
        "the phone did not scan: {}",
        reply.status()
    );
    session.client.wait_for_connected(PATIENCE).await?;
    Ok(session)
}

async fn link_all(control: &str, ws: &str, sessions: u32) -> Result<Vec<Session>> {
    stream::iter(0..sessions)
        .map(async |number| link(control, ws, number).await)
        .buffered(8)
        .try_collect()
        .await
}

async fn memory(control: &str, ws: &str, sessions: u32) -> Result<Value> {
    // Builds an HTTP client before measuring: the client and its threads are not part of what a session
    // costs.
    drop(reqwest::Client::builder().no_proxy().build()?);
    let empty = cost().await?;
    let linked = link_all(control, ws, sessions).await?;
    let fresh = cost().await?;
    let mut keys = Vec::new();
    for session in linked {
        session.client.disconnect().await;
        session.handle.shutdown().await;
        keys.push(session.keys);
    }
    let mut again = Vec::new();
    for keys in keys {
        let session = open(ws, keys).await?;
        session.client.wait_for_connected(PATIENCE).await?;
        again.push(session);
    }
    let restarted = cost().await?;
    drop(again);
    Ok(json!({ "empty": empty, "fresh": fresh, "restarted": restarted }))
}

/// Measures what this process costs once it is idle. The wait is part of the measurement.
async fn cost() -> Result<Value> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bytes = |line: &str| -> Result<u64> {
        let text = status
            .lines()
            .find_map(|text| text.strip_prefix(line))
            .context("a status line")?;
        Ok(text.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    let descriptors = std::fs::read_dir("/proc/self/fd")?.count();
    Ok(json!({
        "resident": bytes("VmRSS:")?, "anonymous": bytes("RssAnon:")?, "descriptors": descriptors,
    }))
}

async fn through(
    control: &str,
    ws: &str,
    sessions: u32,
    contact: &str,
    each: u32,
) -> Result<Value> {
    let linked = link_all(control, ws, sessions).await?;
    let to = Jid::pn(contact.trim_start_matches('+'));
    let work = linked
        .into_iter()
        .enumerate()
        .map(|(number, session)| send_all(session, number, &to, each));
    futures_util::future::try_join_all(work).await?;
    Ok(json!({ "sent": sessions * each }))
}

async fn send_all(mut session: Session, number: usize, to: &Jid, each: u32) -> Result<()> {
    for n in 0..each {
        let id = format!("3EB0{number:09X}{n:09X}");
        let message = Message {
            conversation: Some(n.to_string()),
            ..Message::default()
        };
        let options = SendOptions::default().with_message_id(&id);
        session
            .client
            .send_message_with_options(to.clone(), message, options)
            .await?;
        loop {
            let told = tokio::time::timeout(PATIENCE, session.told.recv()).await?;
            if matches!(told.context("the session ended")?, Told::Ack(acknowledged) if acknowledged == id)
            {
                break;
            }
        }
    }
    session.client.disconnect().await;
    Ok(())
}

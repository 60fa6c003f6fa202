//! The socket: a WebSocket over our own TCP stream, which sends small writes at once.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{HeaderValue, ORIGIN};
use tokio::{
    io::{Join, ReadHalf, WriteHalf},
    net::TcpStream,
    time::error::Elapsed,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, upgrade::Error as UpgradeError};
use url::Url;
use wacore::{
    net::{Transport, TransportEvent, TransportFactory, WHATSAPP_WEB_ORIGIN},
    stats::TransportResourceReport,
};
use whatsapp_rust::async_channel;
use whatsapp_rust_tokio_transport::{Connector, from_websocket};

use super::{
    connect_slot::ConnectSlot,
    unstored::{Reading, Unstored},
};

/// Maximum times to connect, and then for the handshakes. Together with the wait for a connect slot
/// they are less than the twenty seconds that the library allows.
const CONNECT: Duration = Duration::from_secs(7);
const ANSWER: Duration = Duration::from_secs(6);
/// Maximum size of a frame from the server, in bytes. The length field of WhatsApp's frames has
/// three bytes.
const FRAME_MAX: usize = 16 * 1024 * 1024;

/// Connects to the server. It is used for each connect of a connection.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) url: Arc<Url>,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) slot: ConnectSlot,
    /// Cancelled when the session's lease is lost. Nothing is written to WhatsApp after that.
    pub(super) lost: CancellationToken,
    /// Nothing is written while there are late messages that are not stored.
    pub(super) unstored: Unstored,
}

#[async_trait]
impl TransportFactory for Dial {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        self.slot.acquire().await?;
        self.is_ours()?;
        // The library retries by itself without a log line, so it is logged here.
        let socket = self.open().await.inspect_err(|error| {
            if is_too_much(error) {
                self.slot.refused();
            }
            tracing::warn!(
                error = format!("{error:#}"),
                "could not reach the WhatsApp server"
            );
        })?;
        let (socket, events) = from_websocket(socket);
        let fenced = Fenced {
            socket,
            dial: self.clone(),
        };
        Ok((Arc::new(fenced), events))
    }
}

/// Returns whether WhatsApp has too many connections to accept this one, or does not answer.
fn is_too_much(error: &anyhow::Error) -> bool {
    let upgrade = error.downcast_ref::<tokio_websockets::Error>();
    match upgrade {
        Some(tokio_websockets::Error::Upgrade(UpgradeError::DidNotSwitchProtocols(status))) => {
            [429, 503].contains(status)
        }
        _ => error.is::<Elapsed>(),
    }
}

/// A socket that writes nothing after the lease is lost, whatever the library still sends, and nothing that
/// may acknowledge a message that is not stored.
struct Fenced {
    socket: Arc<dyn Transport>,
    dial: Dial,
}

#[async_trait]
impl Transport for Fenced {
    async fn send(&self, data: Bytes) -> anyhow::Result<()> {
        tokio::select! {
            () = self.dial.unstored.none() => {}
            () = self.dial.lost.cancelled() => {}
        }
        self.dial.is_ours()?;
        self.socket.send(data).await
    }

    async fn disconnect(&self) {
        self.socket.disconnect().await;
    }

    fn resource_report(&self) -> Option<TransportResourceReport> {
        self.socket.resource_report()
    }
}

impl Dial {
    fn is_ours(&self) -> anyhow::Result<()> {
        ensure!(!self.lost.is_cancelled(), "the session's lease is lost");
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Socket> {
        let host = bare_host(&self.url);
        let port = self.url.port_or_known_default().unwrap_or(443);
        let tcp = open_tcp(host, port).await?;
        let connector = match self.url.scheme() {
            "wss" => Connector::Rustls(TlsConnector::from(self.tls.clone())),
            _ => Connector::Plain,
        };
        let shake_hands = async {
            let (read, write) = tokio::io::split(connector.wrap(host, tcp).await?);
            let read = Reading::new(read, self.unstored.clone());
            upgrade(&self.url, tokio::io::join(read, write)).await
        };
        tokio::time::timeout(ANSWER, shake_hands).await?
    }
}

/// Returns the host as socket addresses and certificates name it: IPv6 without the brackets of a
/// URL.
fn bare_host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Opens a TCP stream with `TCP_NODELAY`. A send is one small write that waits for the server's
/// answer. Without `TCP_NODELAY` it waits for the acknowledgement of the write before it, and takes
/// 40 ms instead of 2 ms.
async fn open_tcp(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let tcp = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

type Tls = MaybeTlsStream<TcpStream>;
type Stream = Join<Reading<ReadHalf<Tls>>, WriteHalf<Tls>>;
type Socket = tokio_websockets::WebSocketStream<Stream>;

/// Upgrades the stream to a WebSocket. The origin is that of WhatsApp's own page.
async fn upgrade(url: &Url, stream: Stream) -> anyhow::Result<Socket> {
    let (socket, _) = ClientBuilder::new()
        .uri(url.as_str())?
        .limits(Limits::default().max_payload_len(Some(FRAME_MAX)))
        .add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))?
        .connect_on(stream)
        .await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn small_writes_are_never_held_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = open_tcp("127.0.0.1", port).await.unwrap();
        assert!(tcp.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_full_server_and_a_silent_one_are_told_from_one_that_refuses() {
        let answered = |status| {
            let refused = UpgradeError::DidNotSwitchProtocols(status);
            is_too_much(&tokio_websockets::Error::Upgrade(refused).into())
        };
        assert!(answered(429) && answered(503));
        assert!(!answered(403));
        let silent = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>());
        assert!(is_too_much(&silent.await.unwrap_err().into()));
        assert!(!is_too_much(&anyhow::anyhow!("no route")));
    }

    /// Counts the writes.
    #[derive(Default)]
    struct Wire(std::sync::atomic::AtomicUsize);

    #[async_trait]
    impl Transport for Wire {
        async fn send(&self, _: Bytes) -> anyhow::Result<()> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }

        async fn disconnect(&self) {}
    }

    fn dial(lost: CancellationToken) -> Dial {
        let address = super::super::address::ServerAddress::real();
        Dial {
            slot: ConnectSlot::of_a_test(&lost),
            url: Arc::new(Url::parse("ws://127.0.0.1:9/ws/chat").unwrap()),
            tls: Arc::new(super::super::tls::client_config(&address).unwrap()),
            lost,
            unstored: Unstored::new(),
        }
    }

    #[tokio::test]
    async fn nothing_is_written_until_a_late_message_is_stored() {
        let wire = Arc::new(Wire::default());
        let dial = dial(CancellationToken::new());
        let fenced = Fenced {
            socket: wire.clone(),
            dial: dial.clone(),
        };
        let written = || wire.0.load(std::sync::atomic::Ordering::Relaxed);
        dial.unstored.add_one();
        let send = fenced.send(Bytes::from_static(b"an acknowledgement"));
        tokio::pin!(send);
        assert!(futures_util::FutureExt::now_or_never(send.as_mut()).is_none());
        assert_eq!(written(), 0);
        dial.unstored.stored(1);
        send.await.unwrap();
        assert_eq!(written(), 1);
    }

    #[tokio::test]
    async fn a_lost_session_writes_nothing_and_connects_no_more() {
        let wire = Arc::new(Wire::default());
        let dial = dial(CancellationToken::new());
        let fenced = Fenced {
            socket: wire.clone(),
            dial: dial.clone(),
        };
        fenced.send(Bytes::from_static(b"ours")).await.unwrap();
        dial.lost.cancel();
        assert!(fenced.send(Bytes::from_static(b"a refusal")).await.is_err());
        assert_eq!(wire.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        let Err(refused) = dial.create_transport().await else {
            panic!("connected");
        };
        assert!(refused.to_string().contains("lease is lost"));
    }
}

//! The socket: a WebSocket over a TCP stream of ours, which never holds back small writes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::header::{HeaderValue, ORIGIN};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream};
use url::Url;
use wacore::net::{Transport, TransportEvent, TransportFactory, WHATSAPP_WEB_ORIGIN};
use whatsapp_rust::async_channel;
use whatsapp_rust_tokio_transport::{Connector, from_websocket};

/// How long to wait for one address to answer before the next is tried.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest frame taken from the server. WhatsApp's frames carry a three-byte length.
const FRAME_MAX: usize = 16 * 1024 * 1024;

/// Dials the server, once for each connection of a link.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) url: Arc<Url>,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

#[async_trait]
impl TransportFactory for Dial {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        // The library tries again by itself and tells nobody, so it is told here.
        let socket = self.open().await.inspect_err(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "could not reach the WhatsApp server"
            );
        })?;
        Ok(from_websocket(socket))
    }
}

impl Dial {
    async fn open(&self) -> anyhow::Result<Socket> {
        let host = bare_host(&self.url);
        let port = self.url.port_or_known_default().unwrap_or(443);
        let tcp = open_tcp(host, port).await?;
        let connector = match self.url.scheme() {
            "wss" => Connector::Rustls(TlsConnector::from(self.tls.clone())),
            _ => Connector::Plain,
        };
        upgrade(&self.url, connector.wrap(host, tcp).await?).await
    }
}

/// The host as a socket address and a certificate name it: IPv6 without a URL's brackets.
fn bare_host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Opens a TCP stream with `TCP_NODELAY`. A send is one small write that waits for the server's
/// answer; held back until the acknowledgement of the write before it, it takes 40 ms instead of 2.
async fn open_tcp(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let tcp = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

type Socket = tokio_websockets::WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Upgrades the stream to a WebSocket, with the origin WhatsApp's own page has.
async fn upgrade(url: &Url, stream: MaybeTlsStream<TcpStream>) -> anyhow::Result<Socket> {
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
}

//! One port for everything. A connection that starts with byte 0x16 is TLS. Inside it, a WebSocket
//! upgrade is a WhatsApp client, and `/control` is the control API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::web::{Data, LocalAddr, RemoteAddr};
use poem::{Endpoint, EndpointExt, IntoResponse, Route, get, handler, post};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::state::cuts::{Cuts, Cuttable};
use crate::state::world::World;
use crate::{connection, control, media};

/// A peer that needs longer for its first byte and TLS is disconnected.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections that wait for the HTTP server.
const BACKLOG: usize = 1024;
/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Buffers start small, because hundreds of idle clients should use little memory.
const SOCKET_BUFFER: usize = 4 * 1024;
/// The largest WebSocket message, slightly above the largest frame.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// A plain or a TLS stream.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Accepted connections, after TLS.
struct AcceptedStreams {
    local: SocketAddr,
    streams: mpsc::Receiver<(Box<dyn Duplex>, SocketAddr, Scheme)>,
}

impl Acceptor for AcceptedStreams {
    type Io = Box<dyn Duplex>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.streams.recv().await {
            Some((io, remote, scheme)) => Ok((
                io,
                LocalAddr(self.local.into()),
                RemoteAddr(remote.into()),
                scheme,
            )),
            // The accept loop has ended, so the server is stopping.
            None => std::future::pending().await,
        }
    }
}

/// Serves until the simulator stops.
pub(crate) fn start(
    world: &Arc<World>,
    listener: TcpListener,
    tls: TlsAcceptor,
) -> anyhow::Result<()> {
    let local = listener
        .local_addr()
        .context("reading the listening address")?;
    let (intake, streams) = mpsc::channel(BACKLOG);
    world
        .tasks
        .spawn(accept(Arc::clone(world), listener, tls, intake));
    let server = poem::Server::new_with_acceptor(AcceptedStreams { local, streams });
    let app = routes(Arc::clone(world));
    let stop = world.stop.clone();
    world.tasks.spawn(async move {
        let stopped = async move { stop.cancelled().await };
        let grace = Some(Duration::from_secs(1));
        if let Err(error) = server.run_with_graceful_shutdown(app, stopped, grace).await {
            tracing::error!(%error, "the simulator's server failed");
        }
    });
    Ok(())
}

fn routes(world: Arc<World>) -> impl Endpoint {
    Route::new()
        .nest("/control", control::routes())
        .at("/mms/:folder/:token", post(media::upload::upload))
        .at("/v/*path", get(media::download::download))
        .at("/*path", get(client))
        .data(world)
}

/// Serves a WhatsApp client, on any path.
#[handler]
fn client(socket: WebSocket, Data(world): Data<&Arc<World>>) -> impl IntoResponse {
    let world = Arc::clone(world);
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_BUFFER)
        .write_buffer_size(SOCKET_BUFFER)
        .max_message_size(Some(LARGEST_MESSAGE));
    socket
        .config(config)
        .on_upgrade(move |socket| connection::serve(world, socket))
}

async fn accept(
    world: Arc<World>,
    listener: TcpListener,
    tls: TlsAcceptor,
    intake: mpsc::Sender<(Box<dyn Duplex>, SocketAddr, Scheme)>,
) {
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The process is probably out of file descriptors: wait a little.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, intake) = (tls.clone(), intake.clone());
        let cuts = Arc::clone(&world.cuts);
        world.tasks.spawn(async move {
            let opened = detect_tls(stream, remote, &cuts, tls);
            if let Ok(Ok((io, scheme))) = tokio::time::timeout(OPENING_TIMEOUT, opened).await {
                let _ = intake.send((io, remote, scheme)).await;
            }
        });
    }
}

/// Detects TLS and removes it.
async fn detect_tls(
    stream: TcpStream,
    remote: SocketAddr,
    cuts: &Arc<Cuts>,
    tls: TlsAcceptor,
) -> io::Result<(Box<dyn Duplex>, Scheme)> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first).await?;
    let stream = Cuttable::new(stream, remote, cuts);
    if first[0] == TLS_HANDSHAKE {
        let stream = tls.accept(stream).await?;
        return Ok((Box::new(stream), Scheme::HTTPS));
    }
    Ok((Box::new(stream), Scheme::HTTP))
}

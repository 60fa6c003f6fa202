//! One port for everything. A connection that starts with byte 0x16 is TLS. Inside it, a WebSocket
//! upgrade is a WhatsApp client, and `/control` is the control API. `CONNECT` opens a tunnel to this
//! same port, whatever host it names.

use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use poem::http::uri::Scheme;
use poem::http::{Method, StatusCode};
use poem::listener::Acceptor;
use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::web::{Data, LocalAddr, RemoteAddr};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::state::cuts::Cuttable;
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

/// A stream after TLS, the client's address, and whether there was TLS.
type OpenedStream = (Box<dyn Duplex>, SocketAddr, Scheme);

/// Accepted connections, after TLS.
struct AcceptedStreams {
    local: SocketAddr,
    streams: mpsc::Receiver<OpenedStream>,
}

/// Where new streams go: it removes TLS and passes them to the HTTP server.
#[derive(Clone)]
struct Intake {
    tls: TlsAcceptor,
    streams: mpsc::Sender<OpenedStream>,
}

impl Intake {
    /// Opens a stream and passes it on. Drops it if its first byte or TLS takes too long.
    async fn take<S: Duplex + 'static>(&self, stream: S, remote: SocketAddr) {
        let opened = tokio::time::timeout(OPENING_TIMEOUT, self.detect_tls(stream)).await;
        if let Ok(Ok((io, scheme))) = opened {
            let _ = self.streams.send((io, remote, scheme)).await;
        }
    }

    /// Detects TLS by the first byte, and removes it.
    async fn detect_tls<S: Duplex + 'static>(
        &self,
        mut stream: S,
    ) -> io::Result<(Box<dyn Duplex>, Scheme)> {
        let first = stream.read_u8().await?;
        let (read, write) = tokio::io::split(stream);
        let stream = tokio::io::join(Cursor::new([first]).chain(read), write);
        if first == TLS_HANDSHAKE {
            let stream = self.tls.accept(stream).await?;
            return Ok((Box::new(stream), Scheme::HTTPS));
        }
        Ok((Box::new(stream), Scheme::HTTP))
    }
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
    let (sender, streams) = mpsc::channel(BACKLOG);
    let intake = Intake {
        tls,
        streams: sender,
    };
    world
        .tasks
        .spawn(accept(Arc::clone(world), listener, intake.clone()));
    let server = poem::Server::new_with_acceptor(AcceptedStreams { local, streams });
    let app = routes(Arc::clone(world), intake);
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

fn routes(world: Arc<World>, intake: Intake) -> impl Endpoint {
    Route::new()
        .nest("/control", control::routes())
        .at("/mms/:folder/:token", post(media::upload::upload))
        .at("/v/*path", get(media::download::download))
        .at("/*path", get(client))
        .data(Arc::clone(&world))
        .around(move |routes, request: Request| {
            let tunnel = (request.method() == Method::CONNECT)
                .then(|| tunnel(&world, intake.clone(), &request));
            async move {
                match tunnel {
                    Some(answer) => answer,
                    None => routes.call(request).await.map(IntoResponse::into_response),
                }
            }
        })
}

/// Answers `CONNECT`, for clients that can be given a proxy but no address: the tunnel leads to this
/// port.
fn tunnel(world: &Arc<World>, intake: Intake, request: &Request) -> poem::Result<Response> {
    let upgrade = request.take_upgrade()?;
    let remote = request.remote_addr().as_socket_addr().copied();
    let remote = remote.ok_or(StatusCode::BAD_REQUEST)?;
    let stop = world.stop.clone();
    world.tasks.spawn(async move {
        let opened = async {
            if let Ok(stream) = upgrade.await {
                intake.take(stream, remote).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = opened => {}
        }
    });
    Ok(StatusCode::OK.into_response())
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

async fn accept(world: Arc<World>, listener: TcpListener, intake: Intake) {
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
        let intake = intake.clone();
        let cuts = Arc::clone(&world.cuts);
        world.tasks.spawn(async move {
            if stream.set_nodelay(true).is_ok() {
                let stream = Cuttable::new(stream, remote, &cuts);
                intake.take(stream, remote).await;
            }
        });
    }
}

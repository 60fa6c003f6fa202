//! The HTTP server: one hyper connection per socket, with a deadline for headers.
//!
//! poem's own server has no such deadline, so an incomplete header would keep its connection open for ever.
//! HTTP/1.1 only: a reverse proxy in front adds HTTP/2 and TLS.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Addr, Endpoint as _,
    endpoint::BoxEndpoint,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    addresses::{self, Addresses},
    limits,
    problem::{Code, Problem},
};

/// All routes as one endpoint.
pub type Surface = Arc<BoxEndpoint<'static>>;

/// Serves `surface` on `listener` until `stop`. Requests in flight then have at most `grace` to finish.
pub async fn serve(
    listener: TcpListener,
    surface: Surface,
    addresses: Arc<Addresses>,
    stop: CancellationToken,
    grace: Duration,
) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let cut = CancellationToken::new();
    loop {
        let permit = Arc::clone(&room)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, remote)) => {
                let Some(open) = addresses.connect(remote.ip()) else {
                    refuse(&socket, remote);
                    continue;
                };
                let (surface, stop, cut) = (Arc::clone(&surface), stop.clone(), cut.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = connection(socket, remote, surface, stop) => {}
                        () = cut.cancelled() => {}
                    }
                    drop((permit, open));
                });
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait())
        .await
        .is_err()
    {
        cut.cancel();
        connections.wait().await;
    }
}

/// Logs an error such as "too many open files", and waits a moment before the next attempt.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn connection(
    socket: TcpStream,
    remote: SocketAddr,
    surface: Surface,
    stop: CancellationToken,
) {
    let local = socket.local_addr().unwrap_or(remote);
    // A refused option costs latency, not correctness.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let surface = Arc::clone(&surface);
        let local = LocalAddr(Addr::SocketAddr(local));
        let remote = RemoteAddr(Addr::SocketAddr(remote));
        async move {
            let request = (request, local, remote, Scheme::HTTP).into();
            let response = surface.get_response(request).await;
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADERS_WITHIN)
        .max_buf_size(limits::HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let done = tokio::select! {
        done = &mut serving => done,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut serving).graceful_shutdown();
            (&mut serving).await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection ended early");
        let parts = serving.into_parts();
        // An idle connection gets no answer: its next request may be on the way.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            let told = tell(parts.io.into_inner());
            let _ = tokio::time::timeout(limits::GOODBYE, told).await;
        }
    }
}

/// Answers an incomplete header with the reason why the connection ends. hyper itself answers nothing.
async fn tell(mut socket: TcpStream) -> anyhow::Result<()> {
    let answer = goodbye(Problem::new(Code::RequestTimeout)).await?;
    socket.write_all(&answer).await?;
    Ok(socket.shutdown().await?)
}

/// Ends a connection above the maximum of its address. It waits for nothing: the answer is written if it fits
/// into the socket's buffer.
fn refuse(socket: &TcpStream, remote: SocketAddr) {
    tracing::debug!(%remote, "a connection was refused: its address has too many (--connections-per-address)");
    metrics::counter!("passerelle_connections_refused_total").increment(1);
    if let Some(Ok(answer)) = goodbye(addresses::too_many()).now_or_never() {
        let _ = socket.try_write(&answer);
    }
}

/// Returns an answer to no request, as bytes.
async fn goodbye(problem: Problem) -> anyhow::Result<Vec<u8>> {
    let mut response = problem.response("", "");
    let body = response.take_body().into_bytes().await?;
    let mut answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        response.status(),
        body.len(),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    Ok(answer)
}

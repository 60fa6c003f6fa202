//! The HTTP server: one hyper connection per socket, with a deadline for headers.
//!
//! poem's own server has no such deadline, so an incomplete header would keep its connection open for ever.
//! HTTP/1.1 only: a reverse proxy in front adds HTTP/2 and TLS.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
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
    addresses::{Addresses, Open},
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
    let goodbyes = Arc::new(Semaphore::new(limits::GOODBYES_MAX));
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
                let open = match addresses.connect(remote.ip()) {
                    Ok(open) => open,
                    Err(problem) => {
                        tracing::debug!(%remote, "a connection was refused: its address has too many (--connections-per-address)");
                        metrics::counter!("passerelle_connections_refused_total").increment(1);
                        // Without a permit it is closed without the reason.
                        if let Ok(permit) = Arc::clone(&goodbyes).try_acquire_owned() {
                            connections.spawn(async move {
                                let refused = refuse(socket, problem);
                                let _ = tokio::time::timeout(limits::GOODBYE, refused).await;
                                drop(permit);
                            });
                        }
                        continue;
                    }
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
            Ok::<_, Infallible>(Counted::of(hyper::Response::from(response)))
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
            Pin::new(&mut serving).graceful_shutdown();
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

/// A body of an answer, whose request is counted for its address until the body has been sent.
struct Counted<B> {
    body: B,
    _open: Option<Arc<Open>>,
}

impl<B> Counted<B> {
    fn of(answer: hyper::Response<B>) -> hyper::Response<Self> {
        let (mut parts, body) = answer.into_parts();
        let open = parts.extensions.remove();
        hyper::Response::from_parts(parts, Self { body, _open: open })
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answers an incomplete header with the reason why the connection ends. hyper itself answers nothing.
async fn tell(mut socket: TcpStream) -> anyhow::Result<()> {
    let late = Problem::new(Code::RequestTimeout).detail(format!(
        "The headers of a request must arrive within {} seconds. This limit is fixed.",
        limits::HEADERS_WITHIN.as_secs()
    ));
    let answer = goodbye(late).await?;
    socket.write_all(&answer).await?;
    Ok(socket.shutdown().await?)
}

/// Ends a connection above the maximum of its address, with the reason.
async fn refuse(mut socket: TcpStream, problem: Problem) -> anyhow::Result<()> {
    let answer = goodbye(problem).await?;
    socket.write_all(&answer).await?;
    socket.shutdown().await?;
    // A socket that is closed with unread bytes takes the answer away from its client.
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Returns an answer to no request, as bytes.
async fn goodbye(problem: Problem) -> anyhow::Result<Vec<u8>> {
    let mut response = problem.response("", "");
    let body = response.take_body().into_bytes().await?;
    let mut answer = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        answer.extend_from_slice(
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat(),
        );
    }
    let length = format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    answer.extend_from_slice(length.as_bytes());
    answer.extend_from_slice(&body);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt as _, endpoint::make_sync};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_above_the_maximum_of_its_address_gets_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let surface = Arc::new(make_sync(|_| "hello").map_to_response().boxed());
        let stop = CancellationToken::new();
        let addresses = Addresses::strict(1);
        let serving = serve(listener, surface, addresses, stop.clone(), Duration::ZERO);
        let asking = async {
            let ask = async |socket: &mut TcpStream| {
                let request = format!("GET / HTTP/1.1\r\nhost: {at}\r\n\r\n");
                socket.write_all(request.as_bytes()).await.unwrap();
                let mut answer = vec![0; 4096];
                let read = socket.read(&mut answer).await.unwrap();
                String::from_utf8(answer[..read].to_vec()).unwrap()
            };
            let mut first = TcpStream::connect(at).await.unwrap();
            assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
            let mut second = TcpStream::connect(at).await.unwrap();
            let refused = ask(&mut second).await;
            assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
            assert!(refused.contains("retry-after: 5"), "{refused}");
            assert!(refused.contains("too_many_connections"), "{refused}");
            assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
            stop.cancel();
        };
        tokio::join!(serving, asking);
    }
}

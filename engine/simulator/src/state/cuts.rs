//! Connections that the simulator can break without an answer.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::{Mutex, MutexGuard};
use poem::web::RemoteAddr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The open connections, by the client's address.
#[derive(Default)]
pub(crate) struct Cuts {
    open: Mutex<HashMap<SocketAddr, CancellationToken>>,
}

impl Cuts {
    /// Breaks a client's connection without an answer.
    pub(crate) fn cut(&self, remote: &RemoteAddr) {
        let token = remote
            .as_socket_addr()
            .and_then(|addr| self.open().get(addr).cloned());
        if let Some(token) = token {
            token.cancel();
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SocketAddr, CancellationToken>> {
        self.open.lock()
    }
}

/// A stream that fails after it was cut.
pub(crate) struct Cuttable<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    remote: SocketAddr,
    cuts: Arc<Cuts>,
}

impl<S> Cuttable<S> {
    /// Registers a client's connection, so that it can be cut.
    pub(crate) fn new(stream: S, remote: SocketAddr, cuts: &Arc<Cuts>) -> Self {
        let token = CancellationToken::new();
        cuts.open().insert(remote, token.clone());
        Self {
            stream,
            cut: Box::pin(token.cancelled_owned()),
            remote,
            cuts: Arc::clone(cuts),
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S> Drop for Cuttable<S> {
    fn drop(&mut self) {
        self.cuts.open().remove(&self.remote);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

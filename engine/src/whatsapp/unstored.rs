//! Counts the late messages that are not stored yet.
//!
//! The library acknowledges them to WhatsApp without waiting for us. So while there are any, nothing is
//! written to the socket: their acknowledgements are in what is written next. While there are many,
//! nothing is read either, so that their number is bounded.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::watch,
};

/// Number of late messages from which on nothing more is read from the socket.
const MANY: usize = 1024;

/// The number of late messages of one connection that are not stored yet.
#[derive(Clone, Debug)]
pub(super) struct Unstored(Arc<watch::Sender<usize>>);

impl Unstored {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn add_one(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(super) fn stored(&self, stored: usize) {
        let left = |count: &mut usize| *count = count.saturating_sub(stored);
        self.0.send_modify(left);
    }

    /// Waits until all are stored.
    pub(super) async fn none(&self) {
        self.fewer_than(1).await;
    }

    async fn fewer_than(&self, most: usize) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count < most).await;
    }

    fn is_many(&self) -> bool {
        *self.0.borrow() >= MANY
    }
}

type Room = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A socket from which nothing is read while many late messages are not stored.
pub(super) struct Reading<R> {
    socket: R,
    unstored: Unstored,
    room: Option<Room>,
}

impl<R> Reading<R> {
    pub(super) fn new(socket: R, unstored: Unstored) -> Self {
        Self {
            socket,
            unstored,
            room: None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reading<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(room) = &mut this.room {
                ready!(room.as_mut().poll(cx));
                this.room = None;
            }
            if !this.unstored.is_many() {
                return Pin::new(&mut this.socket).poll_read(cx, buf);
            }
            let unstored = this.unstored.clone();
            this.room = Some(Box::pin(async move { unstored.fewer_than(MANY).await }));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_while_many_are_not_stored() {
        let unstored = Unstored::new();
        let mut reading = Reading::new(&b"abc"[..], unstored.clone());
        (1..MANY).for_each(|_| unstored.add_one());
        assert_eq!(reading.read_u8().await.unwrap(), b'a');
        unstored.add_one();
        {
            let read = reading.read_u8();
            tokio::pin!(read);
            assert!(read.as_mut().now_or_never().is_none());
            unstored.stored(1);
            assert_eq!(read.await.unwrap(), b'b');
        }
        assert!(unstored.none().now_or_never().is_none());
        unstored.stored(MANY);
        unstored.none().await;
    }
}

//! How the body of a request is read: completely before its operation runs, or as a stream by the operation.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use poem::{Body, http::Method};
use tokio::sync::Mutex;

use crate::limits::{BODY_MAX, BODY_WITH_FILE_MAX, BODY_WITHIN, DISCARD_MAX};

/// How the body of a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intake {
    /// Completely, before the operation runs, with this maximum of bytes.
    Gathered(usize),
    /// As a stream, by the operation.
    Streamed,
}

impl Intake {
    /// Returns how the body for this method and path is read.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let posted = *method == Method::POST;
        match path.trim_end_matches('/') {
            "/v1/media" | "/v1/media/stream" if posted => Self::Streamed,
            "/v1/messages" if posted => Self::Gathered(BODY_WITH_FILE_MAX),
            path if posted && path.starts_with("/v1/sessions/") && path.contains("/messages/") => {
                Self::Gathered(BODY_WITH_FILE_MAX)
            }
            _ => Self::Gathered(BODY_MAX),
        }
    }
}

/// Splits a body into a stream and the rest that the operation does not read. The stream ends with an error
/// if a chunk takes longer than `pause`.
pub(crate) fn stream(body: Body, pause: Duration) -> (Body, Rest) {
    let bytes = Arc::new(Mutex::new(body.into_bytes_stream().fuse().boxed()));
    let rest = Rest(Arc::clone(&bytes));
    let chunks = futures_util::stream::unfold(bytes, move |bytes| async move {
        let next = tokio::time::timeout(pause, async { bytes.lock().await.next().await });
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let chunk = next.await.unwrap_or_else(|_| Some(Err(late())))?;
        Some((chunk, bytes))
    });
    (Body::from_bytes_stream(chunks), rest)
}

/// The part of a body that an operation did not read.
pub(crate) struct Rest(Arc<Mutex<BoxStream<'static, io::Result<Bytes>>>>);

impl Rest {
    /// Reads and drops it. Some clients read the answer only after they have sent the whole body.
    pub(crate) async fn discard(self) {
        let all = async {
            let (mut bytes, mut seen) = (self.0.lock().await, 0);
            while let Some(Ok(chunk)) = bytes.next().await {
                seen += chunk.len();
                if seen > DISCARD_MAX {
                    break;
                }
            }
        };
        // A client that does not stop sending is disconnected.
        let _ = tokio::time::timeout(BODY_WITHIN, all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_hold_a_file_is_long() {
        let of = |path| Intake::of(&Method::POST, path);
        assert_eq!(of("/v1/media"), Intake::Streamed);
        assert_eq!(of("/v1/media/stream"), Intake::Streamed);
        assert_eq!(of("/v1/messages"), Intake::Gathered(BODY_WITH_FILE_MAX));
        let by_kind = "/v1/sessions/ses_x/messages/image";
        assert_eq!(of(by_kind), Intake::Gathered(BODY_WITH_FILE_MAX));
        assert_eq!(of("/v1/sessions"), Intake::Gathered(BODY_MAX));
        let read = Intake::of(&Method::GET, "/v1/media");
        assert_eq!(read, Intake::Gathered(BODY_MAX));
    }

    #[tokio::test]
    async fn what_an_operation_leaves_of_a_body_is_read_all_the_same() {
        let (sent, received) = tokio::sync::mpsc::channel(1);
        let chunks = futures_util::stream::unfold(received, |mut received| async {
            let chunk: Option<Bytes> = received.recv().await;
            chunk.map(|chunk| (Ok::<_, io::Error>(chunk), received))
        });
        let (body, rest) = stream(Body::from_bytes_stream(chunks), Duration::from_secs(30));
        drop(body);
        let writing = async {
            for _ in 0..10 {
                sent.send(Bytes::from_static(b"x")).await.unwrap();
            }
            drop(sent);
        };
        tokio::join!(writing, rest.discard());
    }

    #[tokio::test]
    async fn a_body_that_pauses_too_long_breaks_off() {
        let silent = futures_util::stream::pending::<io::Result<Bytes>>();
        let (body, _rest) = stream(Body::from_bytes_stream(silent), Duration::from_millis(20));
        let error = body.into_bytes().await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}

//! How the body of a request is read: completely before its operation runs, or as a stream by the operation.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use poem::{Body, http::Method};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::limits::{
    BODY_MAX, BODY_WITH_FILE_MAX, BODY_WITHIN, PAUSE_MAX, UPLOAD_RATE_AFTER, UPLOAD_RATE_MIN,
};

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
            "/v1/messages" | "/v1/auto-replies" if posted => Self::Gathered(BODY_WITH_FILE_MAX),
            path if *method == Method::PUT && path.starts_with("/v1/auto-replies/") => {
                Self::Gathered(BODY_WITH_FILE_MAX)
            }
            path if posted && path.starts_with("/v1/sessions/") && path.contains("/messages/") => {
                Self::Gathered(BODY_WITH_FILE_MAX)
            }
            _ => Self::Gathered(BODY_MAX),
        }
    }
}

/// How slow a streamed body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tempo {
    /// The longest pause.
    pub(crate) pause: Duration,
    /// The least number of bytes per second, on average.
    pub(crate) least: u64,
    /// When the least rate must be reached.
    pub(crate) after: Duration,
}

/// What every streamed body must reach.
pub(crate) const UPLOAD: Tempo = Tempo {
    pause: PAUSE_MAX,
    least: UPLOAD_RATE_MIN,
    after: UPLOAD_RATE_AFTER,
};

impl Tempo {
    fn allows(self, seen: u64, waited: Duration) -> bool {
        waited <= self.after || seen >= self.least.saturating_mul(waited.as_secs())
    }
}

/// Splits a body into a stream and the rest that the operation does not read. The stream ends with an error
/// if the body is slower than `tempo`.
pub(crate) fn stream(body: Body, tempo: Tempo) -> (Body, Rest) {
    let bytes = Arc::new(Mutex::new(body.into_bytes_stream().fuse().boxed()));
    let late = CancellationToken::new();
    let rest = Rest {
        bytes: Arc::clone(&bytes),
        late: late.clone(),
    };
    // Only the time that the client needs counts, not the time until the operation asks for more.
    let start = (bytes, 0, Duration::ZERO);
    let chunks = futures_util::stream::unfold(start, move |(bytes, seen, waited)| {
        let late = late.clone();
        async move {
            let next = async { bytes.lock().await.next().await };
            let began = Instant::now();
            let next = tokio::time::timeout(tempo.pause, next).await;
            let waited = waited + began.elapsed();
            let seen = match &next {
                Ok(Some(Ok(chunk))) => seen + chunk.len() as u64,
                Ok(None) => return None,
                Ok(Some(Err(_))) | Err(_) => seen,
            };
            let chunk = next.ok().flatten().filter(|_| tempo.allows(seen, waited));
            let chunk = chunk.unwrap_or_else(|| {
                late.cancel();
                Err(io::Error::from(io::ErrorKind::TimedOut))
            });
            Some((chunk, (bytes, seen, waited)))
        }
    });
    (Body::from_bytes_stream(chunks), rest)
}

/// The part of a body that an operation did not read.
pub(crate) struct Rest {
    bytes: Arc<Mutex<BoxStream<'static, io::Result<Bytes>>>>,
    /// Cancelled when the stream ended because the body was too slow.
    late: CancellationToken,
}

impl Rest {
    /// Returns whether the stream ended because the body was too slow.
    pub(crate) fn was_late(&self) -> bool {
        self.late.is_cancelled()
    }

    /// Reads and drops at most `max` bytes of it. Some clients read the answer only after they have sent the
    /// whole body.
    pub(crate) async fn discard(self, max: usize) {
        let all = async {
            let (mut bytes, mut seen) = (self.bytes.lock().await, 0);
            while let Some(Ok(chunk)) = bytes.next().await {
                seen += chunk.len();
                if seen > max {
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
    use crate::limits::DISCARD_MAX;

    #[test]
    fn only_what_may_hold_a_file_is_long() {
        let of = |path| Intake::of(&Method::POST, path);
        assert_eq!(of("/v1/media"), Intake::Streamed);
        assert_eq!(of("/v1/media/stream"), Intake::Streamed);
        assert_eq!(of("/v1/messages"), Intake::Gathered(BODY_WITH_FILE_MAX));
        let by_kind = "/v1/sessions/ses_x/messages/image";
        assert_eq!(of(by_kind), Intake::Gathered(BODY_WITH_FILE_MAX));
        assert_eq!(of("/v1/auto-replies"), Intake::Gathered(BODY_WITH_FILE_MAX));
        let replaced = Intake::of(&Method::PUT, "/v1/auto-replies/alr_x");
        assert_eq!(replaced, Intake::Gathered(BODY_WITH_FILE_MAX));
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
        let (body, rest) = stream(Body::from_bytes_stream(chunks), UPLOAD);
        drop(body);
        let writing = async {
            for _ in 0..10 {
                sent.send(Bytes::from_static(b"x")).await.unwrap();
            }
            drop(sent);
        };
        tokio::join!(writing, rest.discard(DISCARD_MAX));
    }

    #[test]
    fn an_upload_must_reach_the_least_rate_after_half_a_minute() {
        let after = Duration::from_secs;
        assert!(UPLOAD.allows(0, after(30)));
        assert!(!UPLOAD.allows(60 * UPLOAD.least - 1, after(60)));
        assert!(UPLOAD.allows(60 * UPLOAD.least, after(60)));
    }

    const HASTY: Tempo = Tempo {
        pause: Duration::from_millis(50),
        least: 1000,
        after: Duration::ZERO,
    };

    #[tokio::test]
    async fn a_body_that_trickles_breaks_off() {
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"drop")), ()))
        });
        let (body, rest) = stream(Body::from_bytes_stream(drops), HASTY);
        let error = body.into_bytes().await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        assert!(rest.was_late());
    }

    #[tokio::test]
    async fn a_body_that_pauses_too_long_breaks_off() {
        let silent = futures_util::stream::pending::<io::Result<Bytes>>();
        let (body, rest) = stream(Body::from_bytes_stream(silent), HASTY);
        let error = body.into_bytes().await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        assert!(rest.was_late());
    }
}

//! The version of WhatsApp's web client to present: the newest one, asked for once a day.
//!
//! The library would ask at every connect, and the connect would fail without an answer. Here a
//! missing answer does no harm: the built-in version is used until the next attempt.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};
use wacore::version::parse_sw_js;

use super::http::Http;
use crate::clock::Clock;

/// The three parts of a version.
pub(super) type Version = (u32, u32, u32);

/// Used while the newest version is not known. It is the version that the library was made for.
const BUILT_IN: Version = (2, 3000, 1_042_742_319);
/// The page where WhatsApp publishes the newest version (as whatsapp-rust 0.7.0, `src/version.rs`).
const SOURCE: &str = "https://web.whatsapp.com/sw.js";
/// How long a fetched version is used.
const FRESH: Duration = Duration::from_hours(24);
/// Pause after a failed request.
const RETRY: Duration = Duration::from_mins(10);
/// Maximum size of the answer that is read, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// The version to present, cached.
#[derive(Debug)]
pub(super) struct WebVersion {
    clock: Clock,
    source: String,
    cached: Mutex<Option<CachedVersion>>,
}

#[derive(Debug, Clone, Copy)]
struct CachedVersion {
    version: Version,
    until: Instant,
}

impl WebVersion {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            source: SOURCE.to_owned(),
            cached: Mutex::new(None),
        }
    }

    /// Returns the version built into this program. Sends no request.
    pub(super) fn built_in() -> Version {
        BUILT_IN
    }

    /// Returns whether a request was made.
    #[cfg(test)]
    pub(super) async fn has_asked(&self) -> bool {
        self.cached.lock().await.is_some()
    }

    /// Returns the newest known version. Concurrent callers share one request.
    pub(super) async fn newest(&self, http: &Http) -> Version {
        let mut cached = self.cached.lock().await;
        let now = self.clock.monotonic();
        if let Some(fresh) = cached.filter(|cached| cached.until > now) {
            return fresh.version;
        }
        let next = match fetch(http, &self.source).await {
            Ok(version) => CachedVersion {
                version,
                until: now + FRESH,
            },
            Err(error) => {
                tracing::warn!(%error, "could not fetch the newest web version; using an older one");
                CachedVersion {
                    version: cached.map_or(BUILT_IN, |old| old.version),
                    until: now + RETRY,
                }
            }
        };
        *cached = Some(next);
        next.version
    }

    /// Drops the cached version, because WhatsApp called it outdated. The next caller asks again.
    pub(super) async fn forget(&self) {
        *self.cached.lock().await = None;
    }
}

async fn fetch(http: &Http, source: &str) -> anyhow::Result<Version> {
    let page = http.page(source, ANSWER_MAX).await?;
    let version = parse_sw_js(&page);
    version
        .filter(|(_, _, revision)| *revision > 0)
        .ok_or_else(|| anyhow::anyhow!("the page contains no version"))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with a page that contains `revision`.
    async fn answer(listener: &TcpListener, revision: u32) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let page = format!(r#"{{"client_revision":{revision}}}"#);
        let reply = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
            page.len()
        );
        socket.write_all(reply.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn the_newest_version_is_asked_for_once_a_day_and_by_one_of_many() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = Http::plain();
        let version = WebVersion {
            source: format!("http://{}/sw.js", listener.local_addr().unwrap()),
            ..WebVersion::new(Clock::system())
        };
        let newest = || version.newest(&http);
        // The server does not answer a second request, so every further result comes from the
        // cache.
        let ((), one, other) = tokio::join!(answer(&listener, 1_042_800_123), newest(), newest());
        assert_eq!((one, other), ((2, 3000, 1_042_800_123), one));
        assert_eq!(newest().await, one);
        version.cached.lock().await.as_mut().unwrap().until -= FRESH;
        let ((), next) = tokio::join!(answer(&listener, 1_042_800_124), newest());
        assert_eq!(
            next,
            (2, 3000, 1_042_800_124),
            "a day later it is asked again"
        );
    }

    #[test]
    fn the_page_of_whatsapps_web_client_names_the_version() {
        let page = r#"self.x=1;importScripts("a.js");var y={"client_revision":1042800123,"z":2}"#;
        assert_eq!(parse_sw_js(page), Some((2, 3000, 1_042_800_123)));
        assert_eq!(parse_sw_js("<html>maintenance</html>"), None);
    }

    #[tokio::test]
    async fn without_an_answer_the_built_in_version_stands_in_and_the_source_is_left_alone() {
        // This client has no TLS configuration, so every request fails at once.
        let http = Http::broken();
        let version = WebVersion::new(Clock::system());
        assert_eq!(version.newest(&http).await, BUILT_IN);
        let until = version.cached.lock().await.unwrap().until;
        assert_eq!(version.newest(&http).await, BUILT_IN);
        assert_eq!(version.cached.lock().await.unwrap().until, until);
        version.forget().await;
        assert!(version.cached.lock().await.is_none());
    }
}

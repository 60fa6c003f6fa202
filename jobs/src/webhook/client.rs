//! One POST to an endpoint: no redirects, no proxy, one deadline, a reply of limited size.

use std::time::{Duration, SystemTime};

use reqwest::{
    Client, ClientBuilder, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use url::Url;

use super::guard::{Egress, Guarded, UrlNotAllowed};

/// Bytes of a reply that are read and kept.
pub const REPLY_MAX: usize = 16 * 1024;

/// How long an attempt may take, from the DNS look-up to the reply's last byte.
pub const REPLY_WITHIN: Duration = Duration::from_secs(15);

/// How long an attempt may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The longest time to connect.
    pub connect: Duration,
    /// From the DNS look-up to the reply's last byte.
    pub total: Duration,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: REPLY_WITHIN,
        }
    }
}

/// Returns the guarded client. Make one and clone it, because it keeps connections open.
pub fn client(egress: &Egress, deadline: Deadline) -> reqwest::Result<Client> {
    builder(egress, deadline).build()
}

/// Returns a builder for a guarded client. It follows no redirects unless told to.
pub(crate) fn builder(egress: &Egress, deadline: Deadline) -> ClientBuilder {
    over(Guarded::new(egress.clone()), deadline)
}

pub(super) fn over(resolver: Guarded, deadline: Deadline) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("passerelle/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(resolver)
        .connect_timeout(deadline.connect)
        .timeout(deadline.total)
        .pool_idle_timeout(Duration::from_mins(1))
        .pool_max_idle_per_host(4)
}

/// The reply of an endpoint.
#[derive(Debug)]
pub struct Reply {
    /// Any status, including 3xx: redirects are not followed.
    pub status: StatusCode,
    /// The wait that `Retry-After` asked for, in seconds or as a date.
    pub retry_after: Option<Duration>,
    /// The first [`REPLY_MAX`] bytes.
    pub body: Vec<u8>,
}

/// Why there is no reply. The tenant sees only this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The gateway does not connect to this address.
    #[error("url_not_allowed")]
    UrlNotAllowed,
    /// The deadline passed.
    #[error("timeout")]
    Timeout,
    /// No connection, or a broken one.
    #[error("connection_failed")]
    ConnectionFailed,
}

impl From<UrlNotAllowed> for NoReply {
    fn from(_: UrlNotAllowed) -> Self {
        Self::UrlNotAllowed
    }
}

/// Posts `body` as JSON with `headers`. A date in `Retry-After` is measured from `now`.
pub async fn post(
    client: &Client,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    now: SystemTime,
) -> Result<Reply, NoReply> {
    let request = client.post(url).headers(headers);
    let request = request.header(CONTENT_TYPE, "application/json").body(body);
    let mut response = request.send().await.map_err(|error| why(&error))?;
    let mut reply = Reply {
        status: response.status(),
        retry_after: retry_after(response.headers(), now),
        body: Vec::new(),
    };
    // The body is read piece by piece, so that an endless reply does not fill the memory. The status has
    // already arrived: a body that breaks off or is late changes only what is kept of it.
    while let Ok(Some(piece)) = response.chunk().await {
        let room = REPLY_MAX - reply.body.len();
        reply
            .body
            .extend_from_slice(&piece[..piece.len().min(room)]);
        if reply.body.len() == REPLY_MAX {
            break;
        }
    }
    Ok(reply)
}

fn why(error: &reqwest::Error) -> NoReply {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<UrlNotAllowed>() {
            return NoReply::UrlNotAllowed;
        }
        cause = error.source();
    }
    if error.is_timeout() {
        NoReply::Timeout
    } else {
        NoReply::ConnectionFailed
    }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    SystemTime::from(date).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            asked("Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(asked("Sun, 06 Nov 1994 08:48:37 GMT"), None, "already past");
        for nonsense in ["", "-1", "soon", "1e9", "99999999999999999999999"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}

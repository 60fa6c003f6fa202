//! Headers that an endpoint's owner adds to its deliveries, such as `Authorization`.

use std::{collections::BTreeMap, fmt};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde::{Deserialize, Serialize};

/// The most headers of an endpoint.
pub const HEADERS_MAX: usize = 20;
/// The most bytes of all their names and values together. Common receivers take 8 KiB.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Names that the gateway or the HTTP client sets, and those that HTTP uses for the connection.
const RESERVED: [&str; 11] = [
    "host",
    "user-agent",
    "accept-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
];
/// Beginnings of names that are reserved, too.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "content-", "proxy-"];

/// Why headers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHeaders {
    /// More than [`HEADERS_MAX`].
    #[error("at most {HEADERS_MAX} headers")]
    TooMany,
    /// More than [`HEADER_BYTES_MAX`].
    #[error("at most {HEADER_BYTES_MAX} bytes of names and values together")]
    TooLarge,
    /// A name that HTTP does not allow.
    #[error("a name has letters, digits and !#$%&'*+-.^_`|~ only")]
    Name,
    /// A name that occurs twice: upper and lower case are the same.
    #[error("each name once; upper and lower case are the same")]
    Duplicate,
    /// A name that is set by the gateway, or that is about the connection.
    #[error(
        "not host, user-agent, accept-encoding, connection, keep-alive, te, trailer, transfer-encoding, upgrade, expect or http2-settings, and none that begins with webhook-, content- or proxy-: the gateway sets these"
    )]
    Reserved,
    /// A value that is empty or that HTTP does not allow.
    #[error("a value is printable ASCII, is not empty, and has no space at its ends")]
    Value,
}

/// Further headers. The values may be secret: they are stored encrypted and never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtraHeaders(BTreeMap<String, String>);

impl ExtraHeaders {
    /// Checks names and values. Names become lower case.
    pub fn parse(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadHeaders> {
        let mut all = BTreeMap::new();
        let mut bytes = 0;
        for (name, value) in headers {
            bytes += name.len() + value.len();
            if bytes > HEADER_BYTES_MAX {
                return Err(BadHeaders::TooLarge);
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHeaders::Name)?;
            if is_reserved(name.as_str()) {
                return Err(BadHeaders::Reserved);
            }
            // The HTTP library takes other bytes, which receivers read in different ways.
            let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if value.is_empty() || value.trim() != value || !is_plain {
                return Err(BadHeaders::Value);
            }
            if all.insert(name.as_str().to_owned(), value).is_some() {
                return Err(BadHeaders::Duplicate);
            }
            if all.len() > HEADERS_MAX {
                return Err(BadHeaders::TooMany);
            }
        }
        Ok(Self(all))
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the headers of an attempt. No log shows their values.
    pub(crate) fn to_map(&self) -> anyhow::Result<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.0 {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            map.insert(name, header_value(value)?);
        }
        Ok(map)
    }
}

fn header_value(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &&str| name.starts_with(*prefix);
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(begins)
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(headers: &[(&str, &str)]) -> Result<ExtraHeaders, BadHeaders> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ExtraHeaders::parse(headers.iter().map(owned))
    }

    #[test]
    fn fidelity_no_header_of_ours_or_of_the_connection_can_be_set() {
        for name in [
            "webhook-id",
            "Webhook-Timestamp",
            "WEBHOOK-SIGNATURE",
            "webhook-later",
            "Content-Type",
            "content-length",
            "Content-Encoding",
            "Host",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Expect",
            "User-Agent",
        ] {
            let refused = parse(&[(name, "x")]);
            assert_eq!(refused, Err(BadHeaders::Reserved), "{name}");
        }
        for name in ["Authorization", "X-Api-Key", "cookie", "x-webhook-id"] {
            let taken = parse(&[(name, "x")]).unwrap();
            assert_eq!(taken.names().collect::<Vec<_>>(), [name.to_lowercase()]);
        }
    }

    #[test]
    fn names_and_values_that_http_does_not_allow_are_refused() {
        for name in ["", "a b", "a:b", "ä", "a\r\nwebhook-id", ":path", "a\0"] {
            assert_eq!(parse(&[(name, "x")]), Err(BadHeaders::Name), "{name:?}");
        }
        for value in ["", " x", "x ", "a\r\nb: c", "a\nb", "ä", "\0", "\u{7f}"] {
            assert_eq!(
                parse(&[("x-a", value)]),
                Err(BadHeaders::Value),
                "{value:?}"
            );
        }
        let twice = parse(&[("X-A", "1"), ("x-a", "2")]);
        assert_eq!(twice, Err(BadHeaders::Duplicate));
    }

    #[test]
    fn number_and_size_are_bounded() {
        let names: Vec<_> = (0..=HEADERS_MAX).map(|n| format!("x-{n}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert!(parse(&headers[..HEADERS_MAX]).is_ok());
        assert_eq!(parse(&headers), Err(BadHeaders::TooMany));
        let longest = "x".repeat(HEADER_BYTES_MAX - 3);
        assert!(parse(&[("x-a", &longest)]).is_ok());
        let refused = parse(&[("x-ab", &longest)]);
        assert_eq!(refused, Err(BadHeaders::TooLarge));
    }

    #[test]
    fn a_value_is_in_no_log() {
        let headers = parse(&[("Authorization", "Bearer CANARY")]).unwrap();
        let shown = format!("{headers:?} {:?}", headers.to_map().unwrap());
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

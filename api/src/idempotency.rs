//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header). This module reads the header.
//! `jobs` stores each key in the transaction of its effect.

use passerelle_jobs::outbound::Idempotency;
use poem::http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::problem::{Code, Problem};

/// The name of the header.
pub const HEADER: &str = "idempotency-key";
/// The header of a repeated answer, with the value `true`.
pub const REPLAYED: &str = "idempotency-replayed";
const KEY_MAX: usize = 255;

/// Returns the key and a digest of the route and the parsed body, so that white space and the order of fields
/// make no difference. It reads the header itself, because a header that is not text must be refused.
pub(crate) fn of(
    headers: &HeaderMap,
    route: &str,
    body: &impl Serialize,
) -> Result<Option<Idempotency>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(key) = values.next() else {
        return Ok(None);
    };
    let key = usable(key)
        .filter(|_| values.next().is_none())
        .ok_or_else(|| {
            Problem::new(Code::IdempotencyKeyInvalid).parameter(
                "Idempotency-Key",
                "idempotency_key_invalid",
                format!("one, of 1 to {KEY_MAX} printable ASCII characters"),
            )
        })?;
    let mut request = route.as_bytes().to_vec();
    request.push(b'\n');
    request.extend(serde_json::to_vec(body).expect("a parsed body serialises"));
    Ok(Some(Idempotency { key, request }))
}

fn usable(key: &HeaderValue) -> Option<String> {
    let key = key.to_str().ok()?;
    let plain = key.bytes().all(|b| (b' '..=b'~').contains(&b));
    (plain && !key.trim().is_empty() && key.len() <= KEY_MAX).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderName;

    use super::*;

    fn headers(keys: &[&[u8]]) -> HeaderMap {
        let value = |key: &&[u8]| HeaderValue::from_bytes(key).unwrap();
        keys.iter()
            .map(|key| (HeaderName::from_static(HEADER), value(key)))
            .collect()
    }

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        let of = |keys: &[&[u8]]| of(&headers(keys), "POST /v1/messages", &"body");
        assert!(of(&[]).unwrap().is_none());
        assert!(of(&[b"order-1042"]).unwrap().is_some());
        assert!(of(&[&[b'x'; 255]]).is_ok());
        for bad in [&b""[..], b" ", b"a\tb", "ä".as_bytes(), &[b'x'; 256]] {
            let refused = of(&[bad]).unwrap_err();
            assert_eq!(refused.code(), Code::IdempotencyKeyInvalid);
        }
        let refused = of(&[b"one", b"two"]).unwrap_err();
        assert_eq!(refused.code(), Code::IdempotencyKeyInvalid);
    }

    #[test]
    fn the_request_is_route_and_body() {
        let request = |route, body: &str| {
            of(&headers(&[b"k"]), route, &body)
                .unwrap()
                .unwrap()
                .request
        };
        assert_eq!(request("a", "b"), request("a", "b"));
        assert_ne!(request("a", "b"), request("a", "c"));
        assert_ne!(request("a", "b"), request("c", "b"));
    }
}

//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header). The keys are kept by
//! the brain, each in the transaction of its effect; here the header is read.

use passerelle_jobs::outbound::Idempotency;
use serde::Serialize;

use crate::problem::{Code, Problem};

/// The header's name.
pub const HEADER: &str = "idempotency-key";
/// On the answer of an earlier request: `true`.
pub const REPLAYED: &str = "idempotency-replayed";
const KEY_MAX: usize = 255;

/// The key and what it stands for: route and body as parsed, so that white space and the order of
/// fields make no other request.
pub(crate) fn of(
    key: Option<String>,
    route: &str,
    body: &impl Serialize,
) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let plain = key.bytes().all(|b| (b' '..=b'~').contains(&b));
    if key.trim().is_empty() || key.len() > KEY_MAX || !plain {
        return Err(Problem::new(Code::IdempotencyKeyInvalid).parameter(
            "Idempotency-Key",
            "idempotency_key_invalid",
            format!("1 to {KEY_MAX} printable ASCII characters"),
        ));
    }
    let mut request = route.as_bytes().to_vec();
    request.push(b'\n');
    request.extend(serde_json::to_vec(body).expect("a parsed body serialises"));
    Ok(Some(Idempotency { key, request }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        let of = |key: &str| of(Some(key.to_owned()), "POST /v1/messages", &"body");
        assert!(of("order-1042").unwrap().is_some());
        assert!(of(&"x".repeat(255)).is_ok());
        for bad in ["", " ", "a\u{7f}", "ä", &"x".repeat(256)] {
            assert_eq!(of(bad).unwrap_err().code(), Code::IdempotencyKeyInvalid);
        }
    }

    #[test]
    fn the_request_is_route_and_body() {
        let request = |route, body: &str| {
            of(Some("k".to_owned()), route, &body)
                .unwrap()
                .unwrap()
                .request
        };
        assert_eq!(request("a", "b"), request("a", "b"));
        assert_ne!(request("a", "b"), request("a", "c"));
        assert_ne!(request("a", "b"), request("c", "b"));
    }
}

//! What uploads and downloads share: parameters, refusals and faults.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use poem::http::StatusCode;
use poem::web::Json;
use poem::{IntoResponse, Response};
use serde_json::json;

use crate::state::address::{Address, plus};
use crate::state::faults::{Fault, FaultAction, FaultPoint};
use crate::state::media_store::Hash;
use crate::state::world::World;

/// Returns a query parameter. Clients add theirs after a `?` even if the direct path already has
/// one.
pub(super) fn parameter<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    query
        .split(['&', '?'])
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// Parses a token, which is a hash in base64. Padding is optional and may be escaped.
pub(super) fn token(text: &str) -> Option<Hash> {
    let text = text.trim_end_matches("%3D").trim_end_matches('=');
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Returns an error response with a JSON body.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    Json(json!({ "error": why }))
        .with_status(status)
        .into_response()
}

/// Returns the response to an unknown upload pass.
pub(super) fn unauthorized() -> Response {
    refuse(StatusCode::UNAUTHORIZED, "auth is not a valid upload pass")
}

/// Returns the response to a failure of the server itself.
pub(super) fn internal_error(why: &str) -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// Returns the fault that applies to a transfer of this device, if there is one.
pub(super) fn fault(world: &World, owner: Option<&Address>, on: FaultPoint) -> Option<Fault> {
    let phone = owner.map_or_else(String::new, |own| plus(&own.pn));
    world.faults.trigger(&phone, on)
}

/// Applies a fault that acts before the transfer. Returns `None` if the transfer goes on.
pub(super) async fn apply_fault(world: &World, fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    match fault.action {
        FaultAction::Nack => {
            let status = StatusCode::from_u16(fault.code.unwrap_or(500));
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(refuse(status, "refused by a fault"))
        }
        FaultAction::Drop => {
            // The client waits until it gives up.
            world.stop.cancelled().await;
            Some(internal_error("the server is stopping"))
        }
        FaultAction::Delay => {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
            None
        }
        FaultAction::Cut | FaultAction::Refuse | FaultAction::Duplicate | FaultAction::Corrupt => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_behind_either_mark() {
        let query = "ccb=11-4&oe=1?auth=abc&token=x%3D";
        assert_eq!(parameter(query, "auth"), Some("abc"));
        assert_eq!(parameter(query, "oe"), Some("1"));
        assert_eq!(parameter(query, "resume"), None);
    }

    #[test]
    fn a_token_is_a_hash_with_or_without_padding() {
        let text = BASE64_URL_SAFE_NO_PAD.encode([9; 32]);
        for padded in [text.clone(), format!("{text}="), format!("{text}%3D")] {
            assert_eq!(token(&padded), Some([9; 32]));
        }
        assert_eq!(token("short"), None);
    }
}

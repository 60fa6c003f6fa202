//! What uploads and downloads have in common: how they name things, how they are refused, and what
//! goes wrong with them on purpose.

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

/// Reads `name=value` pairs; clients put a `?` before their own even where the direct path has one.
pub(super) fn parameter<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    query
        .split(['&', '?'])
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// The hash a token is made of; its padding may be there, written either way.
pub(super) fn token(text: &str) -> Option<Hash> {
    let text = text.trim_end_matches("%3D").trim_end_matches('=');
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A refusal, as JSON that says why.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    Json(json!({ "error": why }))
        .with_status(status)
        .into_response()
}

/// A refusal of whose pass nobody was given.
pub(super) fn unauthorized() -> Response {
    refuse(
        StatusCode::UNAUTHORIZED,
        "auth is no pass of a linked device",
    )
}

/// The server's own failure.
pub(super) fn internal_error(why: &str) -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// The fault that strikes a transfer of this device, if any.
pub(super) fn fault(world: &World, owner: Option<&Address>, on: FaultPoint) -> Option<Fault> {
    let phone = owner.map_or_else(String::new, |own| plus(&own.pn));
    world.faults.trigger(&phone, on)
}

/// A fault that strikes before anything else happens; `None` to go on.
pub(super) async fn apply_fault(world: &World, fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    match fault.action {
        FaultAction::Nack => {
            let status = StatusCode::from_u16(fault.code.unwrap_or(500));
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(refuse(status, "refused on purpose"))
        }
        FaultAction::Drop => {
            // Until the client has enough.
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

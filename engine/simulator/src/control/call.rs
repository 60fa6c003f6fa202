//! What all calls of the control API share: how they are parsed and how they are refused.

use std::sync::Arc;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::web::{Data, Json};
use poem::{Body, IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::phone;
use crate::state::address::{Pn, parse_phone};
use crate::state::chat::Chat;
use crate::state::group::GroupId;
use crate::state::world::World;

/// The largest body of most calls, in bytes.
const BODY: usize = 256 * 1024;
pub(super) type WorldData<'a> = Data<&'a Arc<World>>;
pub(super) type CallResult<T> = Result<T, Refusal>;

/// A refused call. The reply is `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl ResponseError for Refusal {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        refuse(self.status, &self.reason)
    }
}

pub(super) fn refuse(status: StatusCode, reason: &str) -> Response {
    Json(json!({ "error": reason }))
        .with_status(status)
        .into_response()
}

pub(super) fn refusal(status: StatusCode, reason: impl Into<String>) -> Refusal {
    Refusal {
        status,
        reason: reason.into(),
    }
}

pub(super) fn bad(reason: impl Into<String>) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, reason)
}

pub(super) fn missing(reason: &str) -> Refusal {
    refusal(StatusCode::NOT_FOUND, reason)
}

pub(super) async fn parse<T: DeserializeOwned>(body: Body) -> CallResult<T> {
    parse_within(body, BODY).await
}

pub(super) async fn parse_within<T: DeserializeOwned>(body: Body, limit: usize) -> CallResult<T> {
    let bytes = body
        .into_bytes_limit(limit)
        .await
        .map_err(|error| refusal(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
}

pub(super) fn number(text: &str) -> CallResult<Pn> {
    parse_phone(text).ok_or_else(|| bad("a phone number is + and 5 to 17 digits"))
}

/// Parses a phone number. The phone must exist.
pub(super) fn known(world: &World, text: &str) -> CallResult<Pn> {
    let pn = number(text)?;
    let exists = world.state().accounts.contains_key(&pn);
    exists.then_some(pn).ok_or_else(|| missing("no such phone"))
}

/// Parses a group's address. The group must exist.
pub(super) fn known_group(world: &World, text: &str) -> CallResult<GroupId> {
    let id = text.strip_suffix("@g.us").unwrap_or(text);
    let state = world.state();
    let found = state.groups.get_key_value(id);
    let id = found.map(|(id, _)| Arc::clone(id));
    id.ok_or_else(|| missing("no such group"))
}

/// Parses a phone number or a group's address. It must exist.
pub(super) fn known_chat(world: &World, text: &str) -> CallResult<Chat> {
    if text.ends_with("@g.us") {
        return known_group(world, text).map(Chat::Group);
    }
    known(world, text).map(Chat::With)
}

pub(super) fn make(world: &Arc<World>, pn: &Pn) -> CallResult<bool> {
    phone::make::create(world, pn)
        .map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

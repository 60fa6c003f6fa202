//! The control API: what tests and demos tell the simulator. `CONTROL.md` documents each call.

mod groups;
mod look;
mod media;
mod phones;
mod say;
mod steer;

use std::sync::Arc;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::web::{Data, Json};
use poem::{Body, EndpointExt, IntoResponse, Response, Route, delete, get, post, put};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::account::Pn;
use crate::chat::Chat;
use crate::group::GroupId;
use crate::phone;
use crate::world::{World, parse_phone};

/// The largest body of a call.
const BODY: usize = 256 * 1024;
type Worlds<'a> = Data<&'a Arc<World>>;
type Outcome<T> = Result<T, Refusal>;

/// A call that was refused: `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct Refusal {
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

fn refuse(status: StatusCode, reason: &str) -> Response {
    Json(json!({ "error": reason }))
        .with_status(status)
        .into_response()
}

fn refusal(status: StatusCode, reason: impl Into<String>) -> Refusal {
    Refusal {
        status,
        reason: reason.into(),
    }
}

fn bad(reason: impl Into<String>) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, reason)
}

fn missing(reason: &str) -> Refusal {
    refusal(StatusCode::NOT_FOUND, reason)
}

/// All calls.
pub(crate) fn routes() -> impl poem::Endpoint {
    Route::new()
        .at("/phones", post(phones::put_phone))
        .at("/phones/:phone", get(phones::get_phone))
        .at("/phones/:phone/scan", post(phones::scan))
        .at("/phones/:phone/enter-code", post(phones::enter_code))
        .at("/phones/:phone/say", post(say::say))
        .at("/phones/:phone/read", post(say::read))
        .at("/phones/:phone/played", post(say::played))
        .at("/phones/:phone/chat", get(say::chat))
        .at("/phones/:phone/unlink", post(phones::unlink))
        .at("/groups", post(groups::create))
        .at("/groups/:group", get(groups::show))
        .at("/groups/:group/members", post(groups::change))
        .at("/media", post(media::change))
        .at("/ledger", get(look::ledger))
        .at(
            "/faults",
            post(steer::add_fault).delete(steer::clear_faults),
        )
        .at("/faults/:id", delete(steer::remove_fault))
        .at("/kick", post(steer::kick))
        .at("/timelock/:phone", put(steer::set_timelock))
        .at("/stats", get(look::stats))
        .at("/cert", get(look::certificate))
        .at("/root", get(look::root))
        .catch_all_error(|error: poem::Error| async move {
            let reason = error.to_string();
            match error.downcast_ref::<Refusal>() {
                Some(refusal) => refusal.as_response(),
                None => refuse(error.status(), &reason),
            }
        })
}

async fn parse<T: DeserializeOwned>(body: Body) -> Outcome<T> {
    parse_within(body, BODY).await
}

async fn parse_within<T: DeserializeOwned>(body: Body, limit: usize) -> Outcome<T> {
    let bytes = body
        .into_bytes_limit(limit)
        .await
        .map_err(|error| refusal(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
}

fn number(text: &str) -> Outcome<Pn> {
    parse_phone(text).ok_or_else(|| bad("a phone is + and 5 to 17 digits"))
}

/// A number that must exist.
fn known(world: &World, text: &str) -> Outcome<Pn> {
    let pn = number(text)?;
    let exists = world.state().accounts.contains_key(&pn);
    exists.then_some(pn).ok_or_else(|| missing("no such phone"))
}

/// A group that must exist, by its address.
fn known_group(world: &World, text: &str) -> Outcome<GroupId> {
    let id = text.strip_suffix("@g.us").unwrap_or(text);
    let state = world.state();
    let found = state.groups.get_key_value(id);
    let id = found.map(|(id, _)| Arc::clone(id));
    id.ok_or_else(|| missing("no such group"))
}

/// A number or a group, which must exist.
fn known_chat(world: &World, text: &str) -> Outcome<Chat> {
    if text.ends_with("@g.us") {
        return known_group(world, text).map(Chat::Group);
    }
    known(world, text).map(Chat::With)
}

fn make(world: &Arc<World>, pn: &Pn) -> Outcome<bool> {
    phone::create(world, pn)
        .map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

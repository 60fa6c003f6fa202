//! Calls that cause failures: faults, closed connections, the reach-out time-lock, the quota of new chats.

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, known, missing, number, parse};
use crate::iq::mex;
use crate::stanza;
use crate::state::account::{Capping, TimeLock};
use crate::state::address::plus;
use crate::state::faults::Fault;

#[handler]
pub(super) async fn add_fault(Data(world): WorldData<'_>, body: Body) -> CallResult<Response> {
    let mut fault: Fault = parse(body).await?;
    if let Some(phone) = &fault.phone {
        fault.phone = Some(plus(&number(phone)?));
    }
    let id = world.faults.add(fault).map_err(bad)?;
    let reply = Json(json!({ "id": id }));
    Ok(reply.with_status(StatusCode::CREATED).into_response())
}

#[handler]
pub(super) fn clear_faults(Data(world): WorldData<'_>) -> Response {
    world.faults.clear();
    Json(json!({})).into_response()
}

#[handler]
pub(super) fn remove_fault(
    Data(world): WorldData<'_>,
    Path(id): Path<u64>,
) -> CallResult<Response> {
    if !world.faults.remove(id) {
        return Err(missing("no such fault"));
    }
    Ok(Json(json!({})).into_response())
}

/// How a connection is closed.
#[derive(Clone, Copy, Deserialize)]
enum KickKind {
    #[serde(rename = "close")]
    Close,
    #[serde(rename = "503")]
    Unavailable,
    #[serde(rename = "429")]
    TooMany,
    #[serde(rename = "500")]
    Internal,
    #[serde(rename = "515")]
    Restart,
    #[serde(rename = "516")]
    Gone,
    #[serde(rename = "401")]
    Unauthorized,
    #[serde(rename = "409")]
    Conflict,
    #[serde(rename = "replaced")]
    Replaced,
    #[serde(rename = "device_removed")]
    DeviceRemoved,
}

impl KickKind {
    fn last(self) -> Option<wacore_binary::Node> {
        match self {
            Self::Close => None,
            Self::Unavailable => Some(stanza::stream_error(503)),
            Self::TooMany => Some(stanza::stream_error(429)),
            Self::Internal => Some(stanza::stream_error(500)),
            Self::Restart => Some(stanza::stream_error(515)),
            Self::Gone => Some(stanza::stream_error(516)),
            Self::Unauthorized => Some(stanza::stream_error(401)),
            Self::Conflict => Some(stanza::stream_error(409)),
            Self::Replaced => Some(stanza::conflict("replaced")),
            Self::DeviceRemoved => Some(stanza::conflict("device_removed")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KickBody {
    phone: Option<String>,
    how: KickKind,
}

#[handler]
pub(super) async fn kick(Data(world): WorldData<'_>, body: Body) -> CallResult<Response> {
    let body: KickBody = parse(body).await?;
    let only = match &body.phone {
        Some(text) => Some(known(world, text)?),
        None => None,
    };
    let mut kicked = 0;
    let mut state = world.state();
    for (pn, account) in &mut state.accounts {
        if only.as_ref().is_some_and(|only| only != pn) {
            continue;
        }
        let linked = account
            .devices
            .iter_mut()
            .filter(|(number, _)| **number != 0);
        for (_, device) in linked {
            kicked += usize::from(device.disconnect(body.how.last()));
        }
    }
    Ok(Json(json!({ "devices": kicked })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeLockBody {
    active: bool,
    #[serde(default)]
    until_ms: u64,
    kind: Option<String>,
    #[serde(default = "yes")]
    push: bool,
}

fn yes() -> bool {
    true
}

#[handler]
pub(super) async fn set_timelock(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: TimeLockBody = parse(body).await?;
    let pn = known(world, &phone)?;
    if let Some(account) = world.state().accounts.get_mut(&pn) {
        account.timelock = TimeLock {
            active: body.active,
            until_ms: body.until_ms,
            kind: body.kind,
        };
    }
    if body.push {
        mex::push_timelock(world, &pn);
    }
    Ok(Json(json!({})).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CappingBody {
    status: String,
    total: u64,
    used: u64,
    #[serde(default)]
    cycle_start_ms: u64,
    #[serde(default)]
    cycle_end_ms: u64,
    #[serde(default = "yes")]
    push: bool,
}

#[handler]
pub(super) async fn set_capping(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: CappingBody = parse(body).await?;
    let pn = known(world, &phone)?;
    if let Some(account) = world.state().accounts.get_mut(&pn) {
        account.capping = Some(Capping {
            status: body.status,
            total: body.total,
            used: body.used,
            cycle_start_ms: body.cycle_start_ms,
            cycle_end_ms: body.cycle_end_ms,
        });
    }
    if body.push {
        mex::push_capping(world, &pn);
    }
    Ok(Json(json!({})).into_response())
}

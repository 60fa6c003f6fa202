//! Calls that make a phone call somebody, end a call or answer one.

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Response, handler};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, known, known_chat, missing, parse, refusal};
use crate::calls;
use crate::state::address::Address;
use crate::state::call::{Answer, Call};
use crate::state::chat::Chat;
use crate::state::group::AddressingMode;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallBody {
    to: String,
    #[serde(default)]
    video: bool,
    id: Option<String>,
    #[serde(default)]
    addressing_mode: AddressingMode,
    #[serde(default)]
    age_seconds: u64,
}

#[handler]
pub(super) async fn ring(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: CallBody = parse(body).await?;
    let caller = known(world, &phone)?;
    let chat = known_chat(world, &body.to)?;
    if body
        .id
        .as_ref()
        .is_some_and(|id| id.is_empty() || id.len() > 64)
    {
        return Err(bad("id must have 1 to 64 bytes"));
    }
    let (id, called) = {
        let mut state = world.state();
        let random: [u8; 16] = state.rng.random();
        let id = body.id.unwrap_or_else(|| hex::encode_upper(random));
        let called: Vec<_> = match &chat {
            Chat::With(pn) => vec![pn.clone()],
            Chat::Group(group) => {
                let group = state.groups.get(group);
                let group = group.filter(|group| group.members.contains_key(&caller));
                let group = group.ok_or_else(|| bad("the phone is not in the group"))?;
                group.members.keys().cloned().collect()
            }
        };
        (id, called)
    };
    let called = called.into_iter().filter(|pn| *pn != caller);
    let new = Call {
        id: id.clone(),
        called: called.map(|pn| (pn, Answer::None)).collect(),
        caller: Address {
            pn: caller,
            device: 0,
        },
        server: body.addressing_mode.server(),
        video: body.video,
        age: body.age_seconds,
        group: chat.group().cloned(),
    };
    if new.called.is_empty() {
        return Err(bad("nobody is called"));
    }
    if !calls::offer(world, new) {
        return Err(refusal(
            StatusCode::CONFLICT,
            "another phone has a call with this id",
        ));
    }
    let reply = Json(json!({ "id": id }));
    Ok(reply.with_status(StatusCode::CREATED).into_response())
}

/// What a phone does with a call.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CallStep {
    HangUp,
    TimeOut,
    Accept,
    Reject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepBody {
    #[serde(rename = "do")]
    step: CallStep,
    /// The device that answers.
    #[serde(default)]
    device: u16,
}

#[handler]
pub(super) async fn step(
    Data(world): WorldData<'_>,
    Path((phone, id)): Path<(String, String)>,
    body: Body,
) -> CallResult<Response> {
    let body: StepBody = parse(body).await?;
    let pn = known(world, &phone)?;
    let call = world.state().calls.find(&id).cloned();
    let call = call.ok_or_else(|| missing("no such call"))?;
    let reason = match body.step {
        CallStep::HangUp => call.group.as_ref().map(|_| "group_call_ended"),
        CallStep::TimeOut => Some("timeout"),
        CallStep::Accept | CallStep::Reject => {
            let tag = match body.step {
                CallStep::Accept => "accept",
                _ => "reject",
            };
            if call.called.get(&pn) != Some(&Answer::None) {
                return Err(refusal(
                    StatusCode::CONFLICT,
                    "the call does not ring there",
                ));
            }
            let by = Address {
                pn,
                device: body.device,
            };
            calls::answer(world, &by, &call, tag);
            return Ok(Json(json!({})).into_response());
        }
    };
    if call.caller.pn != pn {
        return Err(refusal(StatusCode::CONFLICT, "the phone does not call"));
    }
    if !calls::end(world, &id, reason) {
        return Err(refusal(StatusCode::CONFLICT, "the call is over"));
    }
    Ok(Json(json!({})).into_response())
}

//! Calls that make a group, return it or change its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, known_group, make, missing, number, parse};
use crate::group::members::{self, GroupChange, MEMBERS, NewGroup, SUBJECT};
use crate::state::address::{Pn, plus};
use crate::state::group::AddressingMode;
use crate::state::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupBody {
    subject: String,
    creator: String,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    admins: Vec<String>,
    #[serde(default)]
    addressing_mode: AddressingMode,
}

/// Parses phone numbers and makes the phones that are missing.
fn phones(world: &Arc<World>, numbers: &[String]) -> CallResult<Vec<Pn>> {
    if numbers.len() > MEMBERS {
        return Err(bad("a group has at most 1024 members"));
    }
    let made = numbers.iter().map(|text| {
        let pn = number(text)?;
        make(world, &pn)?;
        Ok(pn)
    });
    made.collect()
}

#[handler]
pub(super) async fn create(Data(world): WorldData<'_>, body: Body) -> CallResult<Response> {
    let body: GroupBody = parse(body).await?;
    if body.subject.len() > SUBJECT {
        return Err(bad("subject must be at most 400 bytes"));
    }
    let creator = number(&body.creator)?;
    make(world, &creator)?;
    let new = NewGroup {
        subject: body.subject,
        mode: body.addressing_mode,
        creator,
        members: phones(world, &body.members)?,
        admins: phones(world, &body.admins)?,
    };
    let id = members::create(world, new);
    let reply = Json(json!({ "id": format!("{id}@g.us") }));
    Ok(reply.with_status(StatusCode::CREATED).into_response())
}

#[handler]
pub(super) fn show(Data(world): WorldData<'_>, Path(group): Path<String>) -> CallResult<Response> {
    let id = known_group(world, &group)?;
    let state = world.state();
    let group = state.groups.get(&id);
    let group = group.ok_or_else(|| missing("no such group"))?;
    let members = group.members.iter();
    let members: BTreeMap<String, &str> = members
        .map(|(pn, admin)| (plus(pn), if *admin { "admin" } else { "member" }))
        .collect();
    Ok(Json(json!({
        "id": format!("{id}@g.us"),
        "subject": group.subject,
        "creator": plus(&group.creator),
        "addressing_mode": group.mode,
        "members": members,
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[handler]
pub(super) async fn change(
    Data(world): WorldData<'_>,
    Path(group): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: ChangeBody = parse(body).await?;
    let id = known_group(world, &group)?;
    let changes = [
        GroupChange::Add(phones(world, &body.add)?),
        GroupChange::Remove(phones(world, &body.remove)?),
    ];
    for change in &changes {
        if !members::change(world, &id, None, change) {
            return Err(missing("no such group"));
        }
    }
    Ok(Json(json!({})).into_response())
}

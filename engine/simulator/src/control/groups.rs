//! Calls that make a group, return it or change its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, known, known_group, make, missing, number, parse};
use crate::group::members::{self, DESCRIPTION, GroupChange, MEMBERS, NewGroup, SUBJECT};
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
        "settings": group.settings,
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    by: Option<String>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    join: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    leave: Vec<String>,
    #[serde(default)]
    promote: Vec<String>,
    #[serde(default)]
    demote: Vec<String>,
}

#[handler]
pub(super) async fn change(
    Data(world): WorldData<'_>,
    Path(group): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: ChangeBody = parse(body).await?;
    let id = known_group(world, &group)?;
    let by = by(world, body.by.as_deref())?;
    for (make, named) in [
        (GroupChange::Add as fn(Vec<Pn>) -> GroupChange, &body.add),
        (GroupChange::Remove, &body.remove),
        (GroupChange::Promote, &body.promote),
        (GroupChange::Demote, &body.demote),
    ] {
        let change = make(phones(world, named)?);
        members::change(world, &id, by.as_ref(), &change);
    }
    // Each of them does it alone.
    for who in phones(world, &body.join)? {
        members::change(world, &id, None, &GroupChange::Join(vec![who]));
    }
    for who in phones(world, &body.leave)? {
        let left = GroupChange::Remove(vec![Arc::clone(&who)]);
        members::change(world, &id, Some(&who), &left);
    }
    Ok(Json(json!({})).into_response())
}

/// Parses the phone in whose name a group is changed. It must exist.
fn by(world: &World, text: Option<&str>) -> CallResult<Option<Pn>> {
    text.map(|text| known(world, text)).transpose()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    by: Option<String>,
    subject: Option<String>,
    description: Option<String>,
    admins_only: Option<bool>,
    locked: Option<bool>,
    join_approval: Option<bool>,
    expires_seconds: Option<u32>,
}

#[handler]
pub(super) async fn set(
    Data(world): WorldData<'_>,
    Path(group): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: SettingsBody = parse(body).await?;
    let id = known_group(world, &group)?;
    let by = by(world, body.by.as_deref())?;
    let longest = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    if longest(&body.subject) > SUBJECT || longest(&body.description) > DESCRIPTION {
        return Err(bad("subject has at most 400 bytes, description 2048"));
    }
    let description = body
        .description
        .map(|text| Some(text).filter(|text| !text.is_empty()));
    let changes = [
        body.subject.map(GroupChange::Subject),
        description.map(GroupChange::Description),
        body.admins_only.map(GroupChange::AdminsOnly),
        body.locked.map(GroupChange::Locked),
        body.join_approval.map(GroupChange::JoinApproval),
        body.expires_seconds.map(GroupChange::Timer),
    ];
    for one in changes.iter().flatten() {
        members::change(world, &id, by.as_ref(), one);
    }
    Ok(Json(json!({})).into_response())
}

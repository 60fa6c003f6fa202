//! Calls that make phones and link devices.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{Body, IntoResponse, Response, handler};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wacore_binary::Server;

use super::call::{CallResult, WorldData, known, make, missing, number, parse, refusal};
use crate::stanza::notification;
use crate::state::account::Account;
use crate::state::address::{Address, Pn, plus};
use crate::state::pairing::LinkedDevice;
use crate::{iq, pair_code, pairing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneBody {
    phone: String,
    name: Option<String>,
    echo: Option<bool>,
    reads: Option<bool>,
    shows_number: Option<bool>,
    online: Option<bool>,
    echo_delay_ms: Option<u64>,
    contacts: Option<Vec<String>>,
    spellings: Option<Vec<String>>,
    verified_name: Option<String>,
    picture: Option<String>,
    about: Option<String>,
    demands_token: Option<bool>,
}

#[handler]
pub(super) async fn put_phone(Data(world): WorldData<'_>, body: Body) -> CallResult<Response> {
    let body: PhoneBody = parse(body).await?;
    let pn = number(&body.phone)?;
    let contacts = body.contacts.iter().flatten();
    let contacts: Vec<Pn> = contacts
        .map(|text| number(text))
        .collect::<CallResult<_>>()?;
    let spellings = body.spellings.iter().flatten();
    let spellings: Vec<Pn> = spellings
        .map(|text| number(text))
        .collect::<CallResult<_>>()?;
    make(world, &pn)?;
    for contact in &contacts {
        make(world, contact)?;
    }
    let now = world.clock.seconds();
    let mut state = world.state();
    if let Some(taken) = spellings
        .iter()
        .find(|spelling| state.accounts.contains_key(*spelling))
    {
        return Err(refusal(
            StatusCode::CONFLICT,
            format!("{} is a phone", plus(taken)),
        ));
    }
    for spelling in spellings {
        state.spellings.insert(spelling, Arc::clone(&pn));
    }
    for contact in &contacts {
        state.exchange_tokens(&pn, contact, now);
    }
    let id = state.fresh_id();
    let account = state.accounts.get_mut(&pn);
    let account = account.ok_or_else(|| missing("no such phone"))?;
    let script = &mut account.script;
    if let Some(name) = body.verified_name {
        script.verified_name = Some(name).filter(|name| !name.is_empty());
    }
    if let Some(picture) = body.picture {
        script.picture = Some(picture).filter(|picture| !picture.is_empty());
    }
    script.echo = body.echo.unwrap_or(script.echo);
    script.reads = body.reads.unwrap_or(script.reads);
    script.shows_number = body.shows_number.unwrap_or(script.shows_number);
    script.echo_delay_ms = body.echo_delay_ms.unwrap_or(script.echo_delay_ms);
    account.demands_token = body.demands_token.unwrap_or(account.demands_token);
    if let Some(online) = body.online {
        account.set_online(online);
    }
    if let Some(name) = body.name {
        rename(account, name, id, now);
    }
    let reply = json!({ "phone": plus(&pn), "lid": account.jid(Server::Lid, 0).to_string() });
    drop(state);
    if let Some(about) = body.about {
        iq::about::change(world, &Address { pn, device: 0 }, about);
    }
    Ok(Json(reply).with_status(StatusCode::CREATED).into_response())
}

/// Changes the account's name and tells its linked devices.
fn rename(account: &mut Account, name: String, id: String, now: u64) {
    if account.script.name == name {
        return;
    }
    let told = notification("account_sync", Some(account.jid(Server::Pn, 0)), id, now);
    let told = told.attr("pushname", name.as_str()).build();
    account.script.name = name;
    account.send_to_devices(&Arc::new(told), Some(0), true);
}

#[derive(Serialize)]
struct DeviceView {
    device: u16,
    jid: String,
    online: bool,
    queued: usize,
}

#[handler]
pub(super) fn get_phone(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
) -> CallResult<Response> {
    let pn = known(world, &phone)?;
    let state = world.state();
    let account = state.accounts.get(&pn);
    let account = account.ok_or_else(|| missing("no such phone"))?;
    let linked = account.devices.iter().filter(|(number, _)| **number != 0);
    let devices: Vec<DeviceView> = linked
        .map(|(number, device)| DeviceView {
            device: *number,
            jid: account.jid(Server::Pn, *number).to_string(),
            online: device.connection.is_some(),
            queued: device.queue.len(),
        })
        .collect();
    let phone = account.devices.get(&0);
    Ok(Json(json!({
        "phone": plus(&pn),
        "lid": account.jid(Server::Lid, 0).to_string(),
        "name": account.script.name,
        "about": account.about,
        "echo": account.script.echo,
        "reads": account.script.reads,
        "shows_number": account.script.shows_number,
        "echo_delay_ms": account.script.echo_delay_ms,
        "demands_token": account.demands_token,
        "online": phone.is_some_and(|device| device.active),
        "queued": phone.map_or(0, |device| device.queue.len()),
        "devices": devices,
    }))
    .into_response())
}

fn linked(outcome: anyhow::Result<LinkedDevice>) -> CallResult<Response> {
    let linked = outcome.map_err(|error| refusal(StatusCode::CONFLICT, format!("{error:#}")))?;
    let reply = json!({ "jid": linked.jid.to_string(), "device": linked.device });
    Ok(Json(reply).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanBody {
    qr: String,
}

#[handler]
pub(super) async fn scan(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: ScanBody = parse(body).await?;
    let pn = number(&phone)?;
    make(world, &pn)?;
    linked(pairing::scan(world, &pn, &body.qr).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    code: String,
}

#[handler]
pub(super) async fn enter_code(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: CodeBody = parse(body).await?;
    let pn = number(&phone)?;
    make(world, &pn)?;
    linked(pair_code::enter(world, &pn, &body.code).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlinkBody {
    device: u16,
}

#[handler]
pub(super) async fn unlink(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: UnlinkBody = parse(body).await?;
    let address = Address {
        pn: known(world, &phone)?,
        device: body.device,
    };
    if body.device == 0 || !pairing::unlink(world, &address) {
        return Err(missing("no such device"));
    }
    Ok(Json(json!({})).into_response())
}

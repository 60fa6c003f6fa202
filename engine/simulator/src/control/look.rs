//! Calls that only read: the ledger, the counters and the certificates.

use poem::web::{Data, Json, Query};
use poem::{IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, number};
use crate::state::address::plus;
use crate::state::ledger::{Entry, EntryKind, LedgerPage};

/// The most ledger entries that one call returns.
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerQuery {
    after: Option<u64>,
    limit: Option<usize>,
    phone: Option<String>,
    kind: Option<String>,
}

#[handler]
pub(super) fn ledger(
    Data(world): WorldData<'_>,
    query: poem::Result<Query<LedgerQuery>>,
) -> CallResult<Response> {
    let Query(query) = query.map_err(|error| bad(error.to_string()))?;
    let phone = query.phone.as_deref().map(|text| {
        // Some clients send a `+` in a query string unescaped; it arrives as a space.
        number(text.trim_start()).map(|pn| plus(&pn))
    });
    let phone = phone.transpose()?;
    let kind: Option<EntryKind> = match query.kind {
        Some(text) => Some(
            serde_json::from_value(text.into())
                .map_err(|_| bad("kind is not a kind of ledger entry"))?,
        ),
        None => None,
    };
    let wanted = |entry: &Entry| {
        kind.is_none_or(|kind| entry.kind == kind)
            && phone
                .as_ref()
                .is_none_or(|phone| entry.from == *phone || entry.to == *phone)
    };
    let limit = query.limit.unwrap_or(1000).clamp(1, MOST);
    let page = world.ledger.read(query.after.unwrap_or(0), limit, wanted);
    let LedgerPage {
        entries,
        next,
        forgotten,
    } = page;
    Ok(Json(json!({ "entries": entries, "next": next, "forgotten": forgotten })).into_response())
}

#[handler]
pub(super) fn stats(Data(world): WorldData<'_>) -> Response {
    let mut counts = world.stats.read();
    let state = world.state();
    let devices = state.accounts.values().flat_map(|account| {
        let devices = account.devices.iter();
        devices.filter(|(number, _)| **number != 0)
    });
    let (mut linked, mut connected) = (0_u64, 0_u64);
    for (_, device) in devices {
        linked += 1;
        connected += u64::from(device.connection.is_some());
    }
    let pairings = state.pairings.len() as u64;
    counts.insert("phones".to_owned(), state.accounts.len() as u64);
    counts.insert("devices".to_owned(), linked);
    let (objects, bytes) = world.media.counts();
    counts.insert("media_objects".to_owned(), objects);
    counts.insert("media_bytes".to_owned(), bytes);
    counts.insert("connections".to_owned(), connected + pairings);
    Json(counts).into_response()
}

#[handler]
pub(super) fn certificate(Data(world): WorldData<'_>) -> Response {
    world.certificate.clone().into_response()
}

#[handler]
pub(super) fn root(Data(world): WorldData<'_>) -> Response {
    hex::encode(world.noise.root).into_response()
}

//! Uploads, whole or resumed. Files are stored by the hash of their bytes.

use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::web::{Data, Json, Path, RemoteAddr};
use poem::{Body, IntoResponse, Request, Response, handler};
use serde_json::json;

use super::server::{apply_fault, fault, internal_error, parameter, refuse, token, unauthorized};
use super::transfer::{Incoming, LARGEST, UploadEnd};
use super::{FOLDERS, GOOD_FOR};
use crate::state::faults::{Fault, FaultAction, FaultPoint};
use crate::state::media_store::{Hash, UploadProgress};
use crate::state::world::World;

/// Where an upload of unknown length is cut.
const CUT_AT: u64 = 64 * 1024;

/// Handles `POST /mms/{folder}/{token}?auth=…&token=…[&resume=1][&file_offset=…]`.
#[handler]
pub(crate) async fn upload(
    Data(world): Data<&Arc<World>>,
    Path((folder, named)): Path<(String, String)>,
    remote: &RemoteAddr,
    request: &Request,
    body: Body,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let Some(hash) = token(&named).filter(|_| FOLDERS.contains(&folder.as_str())) else {
        return refuse(StatusCode::NOT_FOUND, "no such folder or token");
    };
    let auth = parameter(query, "auth").unwrap_or_default();
    let owner = world.state().pass_owner(auth);
    if parameter(query, "resume") == Some("1") {
        return owner.map_or_else(unauthorized, |_| progress(world, &hash));
    }
    world.stats.count("uploads");
    let fault = fault(world, owner.as_ref(), FaultPoint::Upload);
    if let Some(refused) = apply_fault(world, fault.as_ref()).await {
        return refused;
    }
    if owner.is_none() {
        return unauthorized();
    }
    let length = content_length(request);
    if length.is_some_and(|length| length > LARGEST) {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "an upload is at most 2 GiB");
    }
    let plan = Upload {
        hash,
        offset: offset(query),
        limit: limit(fault.as_ref(), length),
    };
    taken(world, plan, body, remote).await
}

/// An upload as the client announced it.
#[derive(Clone, Copy)]
struct Upload {
    hash: Hash,
    offset: u64,
    /// The most bytes that are accepted.
    limit: u64,
}

fn offset(query: &str) -> u64 {
    let offset = parameter(query, "file_offset").and_then(|text| text.parse().ok());
    offset.unwrap_or(0)
}

/// Returns how many bytes to accept: half the upload if a fault cuts it.
fn limit(fault: Option<&Fault>, length: Option<u64>) -> u64 {
    match fault.map(|fault| fault.action) {
        Some(FaultAction::Cut) => length.map_or(CUT_AT, |length| length / 2),
        _ => LARGEST,
    }
}

/// Runs the upload in its own task: if the connection breaks, the bytes are still kept for a
/// resume.
async fn taken(world: &Arc<World>, plan: Upload, body: Body, remote: &RemoteAddr) -> Response {
    let (world, remote) = (Arc::clone(world), remote.clone());
    let taking = world.tasks.clone().spawn(async move {
        let outcome = take(&world, plan, body).await;
        if plan.limit < LARGEST {
            world.cuts.cut(&remote);
        }
        outcome
    });
    taking
        .await
        .unwrap_or_else(|_| internal_error("the upload failed"))
}

async fn take(world: &World, plan: Upload, body: Body) -> Response {
    let store = &world.media;
    let mut incoming = match Incoming::begin(store, &plan.hash, plan.offset).await {
        Ok(incoming) => incoming,
        Err(error) => return refuse(StatusCode::RANGE_NOT_SATISFIABLE, &format!("{error:#}")),
    };
    let limit = plan.limit.max(incoming.length);
    let body = Box::pin(body.into_bytes_stream());
    match incoming.take(body, limit).await {
        Ok(UploadEnd::All) => {}
        Ok(UploadEnd::Stopped) => {
            return match incoming.pause(store, plan.hash).await {
                Ok(()) => internal_error("the upload stopped"),
                Err(error) => internal_error(&format!("{error:#}")),
            };
        }
        Err(error) => return internal_error(&format!("{error:#}")),
    }
    let expires = world.clock.seconds() + GOOD_FOR;
    match incoming.finish(store, plan.hash, expires).await {
        Ok(direct_path) => Json(address(world, &direct_path)).into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &format!("{error:#}")),
    }
}

fn address(world: &World, direct_path: &str) -> serde_json::Value {
    json!({ "url": world.media_url(direct_path), "direct_path": direct_path })
}

fn progress(world: &World, hash: &Hash) -> Response {
    let reply = match world.media.progress(hash, world.clock.seconds() + GOOD_FOR) {
        UploadProgress::Complete(direct_path) => {
            let mut reply = address(world, &direct_path);
            reply["resume"] = "complete".into();
            reply
        }
        UploadProgress::Partial(bytes) => json!({ "resume": bytes.to_string() }),
        UploadProgress::Nothing => json!({ "resume": "0" }),
    };
    Json(reply).into_response()
}

fn content_length(request: &Request) -> Option<u64> {
    request.header(header::CONTENT_LENGTH)?.parse().ok()
}

//! The media server: uploads under `/mms`, downloads by direct path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use poem::http::{StatusCode, header};
use poem::web::{Data, Json, Path, RemoteAddr};
use poem::{Body, IntoResponse, Request, Response, handler};
use serde_json::json;

use super::range::{self, Part};
use super::store::{Hash, Object, Progress};
use super::transfer::{self, Incoming, LARGEST, Taken};
use super::{FOLDERS, pass};
use crate::faults::{Do, Fault, On};
use crate::world::{World, plus};

/// Seconds an address says it is good for; nobody checks.
const GOOD_FOR: u64 = 30 * 24 * 3600;
/// Where an upload of unknown length is cut.
const CUT_AT: u64 = 64 * 1024;

/// Reads `name=value` pairs; clients put a `?` before their own even where the direct path has one.
fn parameter<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    query
        .split(['&', '?'])
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// The hash a token is made of; its padding may be there, written either way.
fn token(text: &str) -> Option<Hash> {
    let text = text.trim_end_matches("%3D").trim_end_matches('=');
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    Json(json!({ "error": why }))
        .with_status(status)
        .into_response()
}

/// `POST /mms/{folder}/{token}?auth=…&token=…[&resume=1][&file_offset=…]`
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
    let owner = pass::owner(&world.state(), auth);
    if parameter(query, "resume") == Some("1") {
        return match owner {
            Some(_) => progress(world, &hash),
            None => refuse(
                StatusCode::UNAUTHORIZED,
                "auth is no pass of a linked device",
            ),
        };
    }
    world.stats.count("uploads");
    let phone = owner.as_ref().map_or_else(String::new, |own| plus(&own.pn));
    let fault = world.faults.strike(&phone, On::Upload);
    let length = content_length(request);
    let mut limit = LARGEST;
    match fault.as_ref().map(|fault| fault.act) {
        Some(Do::Cut) => limit = length.map_or(CUT_AT, |length| length / 2),
        Some(_) => {
            if let Some(refused) = struck(world, fault.as_ref()).await {
                return refused;
            }
        }
        None => {}
    }
    if owner.is_none() {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "auth is no pass of a linked device",
        );
    }
    if length.is_some_and(|length| length > LARGEST) {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "more than 2 GiB");
    }
    let offset = parameter(query, "file_offset").and_then(|text| text.parse().ok());
    let told = Upload {
        hash,
        offset: offset.unwrap_or(0),
        limit,
    };
    let (world, remote) = (Arc::clone(world), remote.clone());
    // In a task of its own: when the connection breaks, what came is still kept to be resumed.
    let taking = world.tasks.clone().spawn(async move {
        let outcome = take(&world, told, body).await;
        if limit < LARGEST {
            world.cuts.cut(&remote);
        }
        outcome
    });
    taking.await.unwrap_or_else(|_| broken("the upload failed"))
}

/// What an upload is said to be.
#[derive(Clone, Copy)]
struct Upload {
    hash: Hash,
    offset: u64,
    /// Bytes taken at most.
    limit: u64,
}

async fn take(world: &World, told: Upload, body: Body) -> Response {
    let store = &world.media;
    let mut incoming = match Incoming::begin(store, &told.hash, told.offset).await {
        Ok(incoming) => incoming,
        Err(error) => return refuse(StatusCode::RANGE_NOT_SATISFIABLE, &format!("{error:#}")),
    };
    let limit = told.limit.max(incoming.length);
    let body = Box::pin(body.into_bytes_stream());
    match incoming.take(body, limit).await {
        Ok(Taken::All) => {}
        Ok(Taken::Stopped) => {
            return match incoming.pause(store, told.hash).await {
                Ok(()) => broken("the upload stopped"),
                Err(error) => broken(&format!("{error:#}")),
            };
        }
        Err(error) => return broken(&format!("{error:#}")),
    }
    let expires = world.clock.seconds() + GOOD_FOR;
    match incoming.finish(store, told.hash, expires).await {
        Ok(direct_path) => Json(address(world, &direct_path)).into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &format!("{error:#}")),
    }
}

fn broken(why: &str) -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, why)
}

fn address(world: &World, direct_path: &str) -> serde_json::Value {
    json!({ "url": world.media_url(direct_path), "direct_path": direct_path })
}

fn progress(world: &World, hash: &Hash) -> Response {
    let reply = match world.media.progress(hash, world.clock.seconds() + GOOD_FOR) {
        Progress::Complete(direct_path) => {
            let mut reply = address(world, &direct_path);
            reply["resume"] = "complete".into();
            reply
        }
        Progress::Partial(bytes) => json!({ "resume": bytes.to_string() }),
        Progress::Nothing => json!({ "resume": "0" }),
    };
    Json(reply).into_response()
}

fn content_length(request: &Request) -> Option<u64> {
    request.header(header::CONTENT_LENGTH)?.parse().ok()
}

/// A fault that strikes before anything else happens; `None` to go on.
async fn struck(world: &World, fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    match fault.act {
        Do::Nack => {
            let status = StatusCode::from_u16(fault.code.unwrap_or(500));
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(refuse(status, "refused on purpose"))
        }
        Do::Drop => {
            // Until the client has enough.
            world.stop.cancelled().await;
            Some(broken("the server is stopping"))
        }
        Do::Delay => {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
            None
        }
        Do::Cut | Do::Refuse | Do::Duplicate | Do::Corrupt => None,
    }
}

/// `GET {direct_path}…`, with or without a pass, as a whole or a `Range` of it.
#[handler]
pub(crate) async fn download(Data(world): Data<&Arc<World>>, request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let owner = parameter(query, "auth").map(|auth| pass::owner(&world.state(), auth));
    world.stats.count("downloads");
    let phone = owner.as_ref().and_then(Option::as_ref);
    let phone = phone.map_or_else(String::new, |own| plus(&own.pn));
    let fault = world.faults.strike(&phone, On::Download);
    if let Some(refused) = struck(world, fault.as_ref()).await {
        return refused;
    }
    if owner.is_some_and(|owner| owner.is_none()) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "auth is no pass of a linked device",
        );
    }
    let Some(mut object) = world.media.find(request.uri().path()) else {
        return refuse(StatusCode::NOT_FOUND, "no such media");
    };
    if let Some(status) = object.gone {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::GONE);
        return refuse(status, "it has expired");
    }
    if parameter(query, "token").is_some_and(|text| token(text) != Some(object.hash)) {
        return refuse(StatusCode::FORBIDDEN, "the token is not this media's");
    }
    let act = fault.map(|fault| fault.act);
    object.spoiled |= act == Some(Do::Corrupt);
    let range = request.header(header::RANGE);
    match give(object, range, act == Some(Do::Cut)).await {
        Ok(response) => response,
        Err(error) => broken(&format!("{error:#}")),
    }
}

/// Cut, half of what is promised comes, then the connection breaks.
async fn give(object: Object, range: Option<&str>, cut: bool) -> anyhow::Result<Response> {
    let (part, status) = match range::part(range, object.length) {
        Part::Whole => (0..object.length, StatusCode::OK),
        Part::Some(part) => (part, StatusCode::PARTIAL_CONTENT),
        Part::Outside => {
            let all = format!("bytes */{}", object.length);
            let refused = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "nothing there");
            return Ok(refused
                .with_header(header::CONTENT_RANGE, all)
                .into_response());
        }
    };
    let mut builder = Response::builder()
        .status(status)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, part.end - part.start);
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{}", part.start, part.end - 1, object.length);
        builder = builder.header(header::CONTENT_RANGE, place);
    }
    let spoil = object.spoiled.then_some(object.length / 2);
    let half = part.start + (part.end - part.start) / 2;
    let end = if cut { half } else { part.end };
    let bytes = transfer::read(object.file, part.start..end, spoil).await?;
    let reset = cut.then(|| Err(io::Error::from(io::ErrorKind::ConnectionReset)));
    let bytes = bytes.chain(futures_util::stream::iter(reset));
    Ok(builder.body(Body::from_bytes_stream(bytes)))
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

//! Downloads of a whole file or a range, with or without an upload pass.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use poem::http::{StatusCode, header};
use poem::web::Data;
use poem::{Body, IntoResponse, Request, Response, handler};

use super::range::Part;
use super::server::{apply_fault, fault, internal_error, parameter, refuse, token, unauthorized};
use super::{range, transfer};
use crate::state::faults::{FaultAction, FaultPoint};
use crate::state::media_store::MediaObject;
use crate::state::world::World;

/// Time for written bytes to leave before the connection is cut.
const BEFORE_CUT: Duration = Duration::from_millis(50);

/// Handles `GET {direct_path}…`, with or without a pass, with or without a `Range`.
#[handler]
pub(crate) async fn download(Data(world): Data<&Arc<World>>, request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let owner = parameter(query, "auth").map(|auth| world.state().pass_owner(auth));
    world.stats.count("downloads");
    let known = owner.as_ref().and_then(Option::as_ref);
    let fault = fault(world, known, FaultPoint::Download);
    if let Some(refused) = apply_fault(world, fault.as_ref()).await {
        return refused;
    }
    if owner.is_some_and(|owner| owner.is_none()) {
        return unauthorized();
    }
    let mut object = match wanted(world, request.uri().path(), parameter(query, "token")) {
        Ok(object) => object,
        Err((status, why)) => return refuse(status, why),
    };
    let act = fault.map(|fault| fault.action);
    object.corrupt |= act == Some(FaultAction::Corrupt);
    let range = request.header(header::RANGE);
    match give(object, range, act == Some(FaultAction::Cut)).await {
        Ok(response) => response,
        Err(error) => internal_error(&format!("{error:#}")),
    }
}

/// Returns the object, or an error if it is missing, has expired or has another token.
fn wanted(
    world: &World,
    path: &str,
    named: Option<&str>,
) -> Result<MediaObject, (StatusCode, &'static str)> {
    let object = world.media.find(path);
    let object = object.ok_or((StatusCode::NOT_FOUND, "no such media"))?;
    if let Some(status) = object.expired_status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::GONE);
        return Err((status, "the media has expired"));
    }
    if named.is_some_and(|text| token(text) != Some(object.hash)) {
        return Err((StatusCode::FORBIDDEN, "the token belongs to other media"));
    }
    Ok(object)
}

/// Breaks the connection after a short wait, because an error drops the bytes that are not sent
/// yet.
async fn reset((): ()) -> io::Result<Bytes> {
    tokio::time::sleep(BEFORE_CUT).await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Sends the object or a range of it. With `cut`, it sends half and breaks the connection.
async fn give(object: MediaObject, range: Option<&str>, cut: bool) -> anyhow::Result<Response> {
    let (part, status) = match range::part(range, object.length) {
        Part::Whole => (0..object.length, StatusCode::OK),
        Part::Some(part) => (part, StatusCode::PARTIAL_CONTENT),
        Part::Outside => {
            let all = format!("bytes */{}", object.length);
            let refused = refuse(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "the range is outside the file",
            );
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
    let spoil = object.corrupt.then_some(object.length / 2);
    let half = part.start + (part.end - part.start) / 2;
    let end = if cut { half } else { part.end };
    let bytes = transfer::read(object.file, part.start..end, spoil).await?;
    let bytes = bytes.chain(futures_util::stream::iter(cut.then_some(())).then(reset));
    Ok(builder.body(Body::from_bytes_stream(bytes)))
}

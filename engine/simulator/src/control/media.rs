//! Changes what the media server does with a file.

use poem::web::{Data, Json};
use poem::{Body, IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::json;

use super::call::{CallResult, WorldData, bad, missing, parse};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaBody {
    direct_path: String,
    expire: Option<u16>,
    #[serde(default)]
    lost: bool,
    #[serde(default)]
    corrupt: bool,
}

#[handler]
pub(super) async fn change(Data(world): WorldData<'_>, body: Body) -> CallResult<Response> {
    let body: MediaBody = parse(body).await?;
    if body
        .expire
        .is_some_and(|status| !(400..600).contains(&status))
    {
        return Err(bad("expire must be a status from 400 to 599"));
    }
    let found = world.media.change(&body.direct_path, |object| {
        object.expired_status = body.expire.or(object.expired_status);
        object.lost |= body.lost;
        object.corrupt |= body.corrupt;
    });
    if !found {
        return Err(missing("no such media"));
    }
    Ok(Json(json!({})).into_response())
}

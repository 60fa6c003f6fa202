//! Calls that make a phone send messages and receipts, and return what it shows.

use poem::http::StatusCode;
use poem::web::{Data, Json, Path, Query};
use poem::{Body, IntoResponse, Response, handler};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::call::{
    CallResult, WorldData, bad, known, known_chat, known_group, missing, number, parse,
    parse_within, refusal,
};
use crate::state::address::Pn;
use crate::state::content::Content;
use crate::state::order::Order;
use crate::state::speech::{Speech, SpeechContext};
use crate::state::world::World;

/// The most frames that one `say` may send.
const COPIES: u32 = 100;
/// The largest body of a `say`: a file of 16 MiB in base64, and the other fields.
const BODY: usize = 24 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayBody {
    to: String,
    text: Option<String>,
    message: Option<Value>,
    quote: Option<String>,
    #[serde(default)]
    mentions: Vec<String>,
    #[serde(default)]
    forwarded: bool,
    expires_seconds: Option<u32>,
    id: Option<String>,
    copies: Option<u32>,
    #[serde(default)]
    age_seconds: u64,
}

#[handler]
pub(super) async fn say(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    let body: SayBody = parse_within(body, BODY).await?;
    let pn = known(world, &phone)?;
    let (done, said) = oneshot::channel();
    let mut speech = speech(world, body)?;
    speech.done = Some(done);
    order(world, &pn, Order::Say(Box::new(speech)))?;
    let said = said.await.map_err(|_| missing("the phone has stopped"))?;
    let said = said.map_err(bad)?;
    let mut reply = json!({ "id": said.id });
    if let Some(media) = said.media {
        reply["media"] = media;
    }
    Ok(Json(reply).into_response())
}

fn speech(world: &World, body: SayBody) -> CallResult<Speech> {
    let copies = body.copies.unwrap_or(1);
    if !(1..=COPIES).contains(&copies) {
        return Err(bad("copies must be from 1 to 100"));
    }
    let id = body.id.as_ref();
    if id.is_some_and(|id| id.is_empty() || id.len() > 64) {
        return Err(bad("id must have 1 to 64 bytes"));
    }
    let message = match (body.text, body.message) {
        (Some(text), None) => json!({ "type": "text", "text": text }),
        (None, Some(message)) => message,
        _ => return Err(bad("give either text or message")),
    };
    let mentions = body.mentions.iter().map(|text| number(text));
    Ok(Speech {
        to: known_chat(world, &body.to)?,
        content: Content::parse(message).map_err(bad)?,
        context: SpeechContext {
            quote: body.quote,
            mentions: mentions.collect::<CallResult<_>>()?,
            forwarded: body.forwarded,
            expires: body.expires_seconds,
        },
        id: body.id,
        copies,
        age: body.age_seconds,
        done: None,
    })
}

fn order(world: &World, pn: &Pn, order: Order) -> CallResult<()> {
    let state = world.state();
    let account = state.accounts.get(pn);
    let account = account.ok_or_else(|| missing("no such phone"))?;
    let busy = |_| {
        refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "the phone has too many orders waiting",
        )
    };
    account.orders.try_send(order).map_err(busy)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptBody {
    from: String,
    group: Option<String>,
    ids: Vec<String>,
}

#[handler]
pub(super) async fn read(
    world: WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    receipts(world, &phone, "read", body).await
}

#[handler]
pub(super) async fn played(
    world: WorldData<'_>,
    Path(phone): Path<String>,
    body: Body,
) -> CallResult<Response> {
    receipts(world, &phone, "played", body).await
}

async fn receipts(
    Data(world): WorldData<'_>,
    phone: &str,
    kind: &'static str,
    body: Body,
) -> CallResult<Response> {
    let body: ReceiptBody = parse(body).await?;
    let pn = known(world, phone)?;
    let from = known(world, &body.from)?;
    if body.ids.is_empty() {
        return Err(bad("ids is empty"));
    }
    let group = body.group.as_ref().map(|text| known_group(world, text));
    let receipt = Order::Receipt {
        kind,
        from,
        group: group.transpose()?,
        ids: body.ids,
    };
    order(world, &pn, receipt)?;
    Ok(Json(json!({})).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatQuery {
    with: String,
}

#[handler]
pub(super) async fn chat(
    Data(world): WorldData<'_>,
    Path(phone): Path<String>,
    query: poem::Result<Query<ChatQuery>>,
) -> CallResult<Response> {
    let Query(query) = query.map_err(|error| bad(error.to_string()))?;
    let pn = known(world, &phone)?;
    // Some clients send a `+` in a query string unescaped; it arrives as a space.
    let chat = known_chat(world, query.with.trim_start())?;
    let (shown, answer) = oneshot::channel();
    order(world, &pn, Order::ReadChat { chat, shown })?;
    let messages = answer.await.map_err(|_| missing("the phone has stopped"))?;
    Ok(Json(json!({ "messages": messages })).into_response())
}

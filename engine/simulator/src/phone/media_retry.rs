//! A linked device asks its phone to upload a file again that the media server has lost (`receipt
//! type="server-error"`). The phone does so and answers with the new address (`notification
//! type="mediaretry"`).

use std::sync::Arc;

use rand::RngExt;
use wacore_binary::Node;
use waproto::buffa::Message as _;
use waproto::whatsapp::media_retry_notification::ResultType;
use waproto::whatsapp::{MediaRetryNotification, ServerErrorReceipt};

use super::Phone;
use crate::addon::IV;
use crate::media::GOOD_FOR;
use crate::reading::Attachment;
use crate::stanza::{el, notification};
use crate::{addon, reading, stanza};

/// The text that the key of request and answer is derived with.
const INFO: &[u8] = b"WhatsApp Media Retry Notification";
/// Codes of an answer that is not encrypted (wacore 0.7.0, `parse_media_retry_notification`).
const NOT_FOUND: u8 = 2;
const NOT_OPENED: u8 = 3;

/// Answers a request from one of the account's devices.
pub(crate) async fn answer(phone: &mut Phone, node: &Node) -> Option<()> {
    let id = stanza::text(node, "id")?;
    let about = node.get_optional_child("rmr")?.clone();
    let attachment = phone
        .screen
        .anywhere(&id)
        .and_then(|shown| reading::attachment(&shown.original));
    let answer = match attachment {
        None => refused(NOT_FOUND),
        Some(attachment) => again(phone, &id, node, &attachment).await,
    };
    let own = stanza::jid(node, "from")?;
    let told = notification(
        "mediaretry",
        Some(own.to_non_ad()),
        id,
        phone.world.clock.seconds(),
    )
    .children([about, answer]);
    let mut state = phone.world.state();
    let device = state.address(&own)?;
    let account = state.accounts.get_mut(&device.pn)?;
    let device = account.devices.get_mut(&device.device)?;
    device.deliver(Arc::new(told.build()), true);
    Some(())
}

fn refused(code: u8) -> Node {
    el("error").attr("code", code).build()
}

/// Uploads the file again if the request was encrypted with the media key.
async fn again(phone: &mut Phone, id: &str, request: &Node, attachment: &Attachment) -> Node {
    let key = attachment.media_key.clone().unwrap_or_default();
    if !asked_properly(id, request, &key) {
        return refused(NOT_OPENED);
    }
    let direct_path = reupload(phone, attachment).await;
    let answer = MediaRetryNotification {
        stanza_id: Some(id.to_owned()),
        result: Some(match &direct_path {
            Some(_) => ResultType::SUCCESS,
            None => ResultType::NOT_FOUND,
        }),
        direct_path,
        ..Default::default()
    };
    let iv: [u8; IV] = phone.rng.random();
    let sealed = addon::seal(&key, INFO, id.as_bytes(), iv, &answer.encode_to_vec());
    el("encrypt")
        .children([
            el("enc_p").bytes(sealed).build(),
            el("enc_iv").bytes(iv).build(),
        ])
        .build()
}

fn asked_properly(id: &str, request: &Node, key: &[u8]) -> bool {
    let opened = request.get_optional_child("encrypt").and_then(|sealed| {
        let bytes = stanza::child_bytes(sealed, "enc_p")?;
        let iv = stanza::child_bytes(sealed, "enc_iv")?;
        addon::open(key, INFO, id.as_bytes(), &iv, &bytes)
    });
    opened
        .and_then(|plain| ServerErrorReceipt::decode_from_slice(&plain).ok())
        .is_some_and(|receipt| receipt.stanza_id.as_deref() == Some(id))
}

/// Copies the file to a new address. The old address stays invalid.
async fn reupload(phone: &Phone, attachment: &Attachment) -> Option<String> {
    let world = &phone.world;
    let object = world.media.find(attachment.direct_path.as_deref()?)?;
    if object.lost {
        return None;
    }
    let copy = world.media.new_file().ok()?;
    tokio::fs::copy(&object.file, &copy).await.ok()?;
    let expires = world.clock.seconds() + GOOD_FOR;
    Some(world.media.keep(copy, object.hash, object.length, expires))
}

//! Puts the bytes of a small file into its event, for endpoints that ask for it. This happens when the
//! event is posted, so that no event is stored with a file in it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use passerelle_engine::{
    ids::{MediaId, OrgId},
    store::Store,
    vault::DataKey,
};
use serde_json::{Value, json};

use crate::{
    error::Fault,
    media::{self, objects::Objects},
    model::{event::EventType, report_unreadable},
    store,
};

/// The largest file that is put into an event, in bytes.
pub const INLINE_MAX: u64 = 1 << 20;

/// Returns the event with the bytes of its file, if that file is stored and small.
pub(super) async fn filled(
    store: &Store,
    objects: &Objects,
    key: &DataKey,
    org: OrgId,
    body: Vec<u8>,
) -> Result<Vec<u8>, Fault> {
    let mut event: Value = serde_json::from_slice(&body)?;
    if event["type"] != EventType::MediaAvailable.as_str() {
        return Ok(body);
    }
    let id = event["data"]["media"]["id"].as_str().map(MediaId::parse);
    let Some(Ok(id)) = id else { return Ok(body) };
    let stored = {
        let mut conn = store.read(org).await?;
        let stored = store::media::read(&mut conn, org, id).await;
        stored.map_err(Fault::from)
    };
    let stored = match stored {
        Err(fault) if !fault.is_permanent() => return Err(fault),
        stored => stored,
    };
    let file = stored.and_then(|stored| {
        let file = stored.map(|stored| media::sealed::open(key, &stored));
        file.transpose()
    });
    let stored = match file {
        Ok(file) => file.and_then(|file| file.stored),
        Err(fault) => {
            // The event itself can be read and goes out.
            report_unreadable("media", &id, &fault);
            None
        }
    };
    let Some(stored) = stored.filter(|stored| stored.file.size <= INLINE_MAX) else {
        return Ok(body);
    };
    match objects.whole(org, stored.object, stored.file).await {
        Ok(bytes) => {
            event["data"]["media"]["base64"] = json!(BASE64_STANDARD.encode(bytes));
            Ok(serde_json::to_vec(&event)?)
        }
        Err(error) => {
            // The event still has the link, which works once the file can be read again.
            tracing::warn!(media.id = %id, %error, "a file could not be put into its event");
            Ok(body)
        }
    }
}

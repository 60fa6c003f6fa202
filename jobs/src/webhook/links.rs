//! Signs the link to a file in an event when the event is posted. A link is valid for a day, and a delivery is
//! repeated for three.

use passerelle_engine::{clock::Millis, ids::OrgId, vault::DataKey};
use serde_json::Value;

use crate::{error::Fault, media::view};

/// Returns the event with a link that is valid from `now`, if it has a file with a link.
pub(super) fn signed(
    key: &DataKey,
    public_url: &str,
    org: OrgId,
    body: Vec<u8>,
    now: Millis,
) -> Result<Vec<u8>, Fault> {
    // Most events have no file and need not be read.
    const LINK: &[u8] = b"\"url_expires_at\"";
    if !body.windows(LINK.len()).any(|part| part == LINK) {
        return Ok(body);
    }
    let mut event: Value = serde_json::from_slice(&body)?;
    let Some(media) = event.pointer_mut("/data/media") else {
        return Ok(body);
    };
    view::sign_again(key, public_url, org, media, now);
    Ok(serde_json::to_vec(&event)?)
}

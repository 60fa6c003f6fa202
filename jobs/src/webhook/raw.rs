//! The message as it came, in its event. An event is stored once for all endpoints, so it is taken out for those
//! that did not ask for it.

use serde_json::Value;

use crate::{error::Fault, events::RAW};

/// Returns the event without the message as it came.
pub(super) fn without(body: Vec<u8>) -> Result<Vec<u8>, Fault> {
    // Most events have none and need not be read.
    let name = format!("\"{RAW}\":");
    if !body.windows(name.len()).any(|part| part == name.as_bytes()) {
        return Ok(body);
    }
    let mut event: Value = serde_json::from_slice(&body)?;
    let data = event.get_mut("data").and_then(Value::as_object_mut);
    let Some(_) = data.and_then(|data| data.remove(RAW)) else {
        return Ok(body);
    };
    Ok(serde_json::to_vec(&event)?)
}

//! Takes what a message said out of the events that show it, after it was deleted for everybody.

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};
use serde_json::{Map, Value, json};

use crate::{
    error::{Fault, if_readable},
    model::rfc3339,
    store::{self, events::BODY},
};

/// The fields of a message that stay: who, when, and what became of it.
const OF_MESSAGE: [&str; 23] = [
    "id",
    "object",
    "session_id",
    "direction",
    "source",
    "to",
    "from",
    "group_id",
    "phone",
    "lid",
    "contact_id",
    "status",
    "error",
    "client_ref",
    "metadata",
    "wa_message_id",
    "created_at",
    "expires_at",
    "expires_in",
    "sent_at",
    "delivered_at",
    "read_at",
    "played_at",
];
/// The fields of a file that stay.
const OF_FILE: [&str; 9] = [
    "id",
    "object",
    "session_id",
    "message_id",
    "kind",
    "status",
    "error",
    "created_at",
    "expires_at",
];

/// Blanks every event that shows the text or the file of this message. A delivery that is still due posts
/// the blanked event.
pub(crate) async fn of_message(
    tx: &mut Tx,
    key: &DataKey,
    (org, session): (OrgId, SessionId),
    message: MessageId,
    at: Millis,
) -> Result<(), Fault> {
    for (id, sealed) in store::events::showing(tx.conn(), org, session, message).await? {
        let record = id.to_string();
        let place = Place::of(org, BODY, &record);
        let body = key.open_json(&place, &sealed).map_err(Fault::from);
        // A body that nobody can decrypt shows nothing.
        let Some(mut body) = if_readable::<Value>("event", &id, body)? else {
            continue;
        };
        blank(&mut body, at);
        let sealed = key.seal(&place, &serde_json::to_vec(&body)?);
        store::events::replace_body(tx, org, id, &sealed).await?;
    }
    Ok(())
}

fn blank(body: &mut Value, at: Millis) {
    let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) else {
        return;
    };
    data.retain(|name, _| name == "message" || name == "media");
    if let Some(message) = data.get_mut("message").and_then(Value::as_object_mut) {
        keep(message, &OF_MESSAGE);
        message.insert("type".to_owned(), json!("deleted"));
        message.insert("deleted_at".to_owned(), json!(rfc3339(at)));
    }
    if let Some(file) = data.get_mut("media").and_then(Value::as_object_mut) {
        keep(file, &OF_FILE);
    }
}

fn keep(fields: &mut Map<String, Value>, kept: &[&str]) {
    fields.retain(|name, _| kept.contains(&name.as_str()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_gone_and_who_and_when_stays() {
        let mut body = json!({ "type": "message.received", "id": "evt_1", "data": {
            "message": {
                "id": "msg_1", "from": "+49", "type": "image", "image": { "caption": "secret" },
                "client_ref": "1042", "reply_to": { "summary": "secret" }, "mentions": ["secret"], "edited_at": "x",
            },
            "media": { "id": "med_1", "kind": "image", "file_name": "secret", "url": "secret" },
        } });
        blank(&mut body, 0);
        let expected = json!({ "type": "message.received", "id": "evt_1", "data": {
            "message": {
                "id": "msg_1", "from": "+49", "client_ref": "1042", "type": "deleted", "deleted_at": rfc3339(0),
            },
            "media": { "id": "med_1", "kind": "image" },
        } });
        assert_eq!(body, expected);
    }
}

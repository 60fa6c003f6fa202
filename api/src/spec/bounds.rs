//! The limits of fields in the document, and which fields may be null. `routes/messages/kinds.rs` enforces the limits of a
//! message, and reports each error with its place.

use passerelle_jobs::limits::{CLIENT_REF_MAX, METADATA_MAX, SESSIONS_MAX};
use serde_json::{Value, json};

/// The fields of a change that may be null, with their type.
const NULLABLE: [(&str, &str, &str); 5] = [
    ("SessionChange", "client_ref", "string"),
    ("SessionChange", "metadata", "object"),
    ("WebhookEndpointChange", "events", "array"),
    ("WebhookEndpointChange", "sessions", "array"),
    ("WebhookEndpointChange", "headers", "object"),
];
const LISTS_OF_SESSIONS: [(&str, &str); 2] = [
    ("NewWebhookEndpoint", "sessions"),
    ("WebhookEndpointChange", "sessions"),
];

/// Schema, field, and the limits of the field.
fn bounds() -> Vec<(&'static str, &'static str, Value)> {
    let mut bounds = vec![
        (
            "NewLocation",
            "latitude",
            json!({ "minimum": -90, "maximum": 90 }),
        ),
        (
            "NewLocation",
            "longitude",
            json!({ "minimum": -180, "maximum": 180 }),
        ),
        (
            "Poll",
            "options",
            json!({ "minItems": 2, "maxItems": 12, "uniqueItems": true }),
        ),
        (
            "Poll",
            "selectable_count",
            json!({ "minimum": 1, "maximum": 12 }),
        ),
        (
            "NewContactsMessage",
            "contacts",
            json!({ "minItems": 1, "maxItems": 10 }),
        ),
        (
            "ContactsMessage",
            "contacts",
            json!({ "minItems": 1, "maxItems": 10 }),
        ),
    ];
    for (schema, field, kind) in NULLABLE {
        bounds.push((schema, field, json!({ "type": [kind, "null"] })));
    }
    let most = json!({ "maxProperties": METADATA_MAX });
    bounds.push(("SessionChange", "metadata", most));
    for (schema, field) in LISTS_OF_SESSIONS {
        bounds.push((schema, field, json!({ "maxItems": SESSIONS_MAX })));
    }
    let messages = super::kinds::KINDS.iter();
    let messages = messages.flat_map(|(_, _, whole, bare)| [*whole, *bare]);
    for schema in messages.chain(["NewSession", "SessionChange"]) {
        let reference = json!({ "minLength": 1, "maxLength": CLIENT_REF_MAX });
        bounds.push((schema, "client_ref", reference));
    }
    for (_, _, whole, bare) in super::kinds::KINDS {
        let most = || json!({ "maxItems": 100 });
        bounds.extend([(whole, "mentions", most()), (bare, "mentions", most())]);
    }
    bounds
}

/// Adds the limits to the document.
pub(super) fn add(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    for (schema, field, bound) in bounds() {
        // Looked up by pointer, because indexing would add a field that is missing.
        let place = format!("/{schema}/properties/{field}");
        let property = schemas.pointer_mut(&place).and_then(Value::as_object_mut);
        if let (Some(property), Some(bound)) = (property, bound.as_object()) {
            property.extend(bound.clone());
        }
    }
}

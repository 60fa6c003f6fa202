//! The limits of a message's fields in the document. `routes/messages/kinds.rs` enforces them, and reports
//! each error with its place.

use serde_json::{Value, json};

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

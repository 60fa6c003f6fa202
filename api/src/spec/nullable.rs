//! Objects that a change may set to null.

use serde_json::{Value, json};

use super::references;

/// The fields of changes with an object that null removes.
const FIELDS: [(&str, &str); 1] = [("SessionChange", "auto_reject")];

/// Writes the schema of each such field into its place: 3.0 has no reference that may be null.
pub(super) fn add(document: &mut Value) {
    for (change, field) in FIELDS {
        let place = format!("/components/schemas/{change}/properties/{field}");
        let Some(link) = document.pointer(&place) else {
            continue;
        };
        let (target, about) = (references::target(link), link["description"].clone());
        let target = target.and_then(|name| document["components"]["schemas"].get(name));
        let Some(mut schema) = target.cloned() else {
            continue;
        };
        schema["type"] = json!(["object", "null"]);
        schema["description"] = about;
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("title");
        }
        if let Some(place) = document.pointer_mut(&place) {
            *place = schema;
        }
    }
}

//! Metadata has one schema, so that a generated client has one type for it.

use passerelle_jobs::limits::METADATA_MAX;
use serde_json::{Value, json};

use super::references;

const NAME: &str = "Metadata";

/// Makes each field `metadata` a reference to the one schema. In a change it may be null, and stays as it is: 3.0 has no
/// reference that may be null.
pub(super) fn add(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    for schema in schemas.values_mut() {
        let field = schema.pointer_mut("/properties/metadata");
        let Some(field) = field.filter(|field| field["type"] == "object") else {
            continue;
        };
        let mut link = references::to(NAME);
        link["description"] = field["description"].take();
        *field = link;
    }
    let schema = json!({
        "type": "object",
        "title": NAME,
        "description": "Your own texts by name: at most 4,096 bytes of names and texts. A name has 1 to 40 characters.",
        "additionalProperties": { "type": "string" },
        "maxProperties": METADATA_MAX,
        "examples": [{ "shop": "berlin" }],
    });
    schemas.insert(NAME.to_owned(), schema);
}

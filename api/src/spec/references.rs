//! References between the schemas of the document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const SCHEMAS: &str = "#/components/schemas/";

/// Returns a reference to a schema.
pub(super) fn to(name: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{name}") })
}

/// Returns the name of the schema that the object refers to.
pub(super) fn target(object: &Value) -> Option<&str> {
    object.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)
}

/// Replaces a reference that poem-openapi put into `allOf` to comment it by the form of 3.1: the reference
/// and its description side by side. openapi-python-client drops a schema with the other form.
pub(super) fn unwrap_commented(object: &mut Map<String, Value>) {
    let Some([link, comment]) = object
        .get("allOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    else {
        return;
    };
    let only = |value: &Value, key: &str| {
        let fields = value.as_object();
        fields.is_some_and(|fields| fields.len() == 1 && fields.contains_key(key))
    };
    if only(link, "$ref") && only(comment, "description") {
        let (link, comment) = (link["$ref"].clone(), comment["description"].clone());
        object.remove("allOf");
        object.insert("$ref".to_owned(), link);
        object.entry("description").or_insert(comment);
    }
}

/// Returns the names of the schemas that a part of the document refers to directly.
fn named(part: &Value) -> Vec<String> {
    match part {
        Value::Array(items) => items.iter().flat_map(named).collect(),
        Value::Object(fields) => {
            let own = target(part).map(str::to_owned);
            own.into_iter()
                .chain(fields.values().flat_map(named))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the names of all schemas that can be reached from these parts of the document.
pub(super) fn reached<'a>(
    document: &Value,
    parts: impl IntoIterator<Item = &'a Value>,
) -> BTreeSet<String> {
    let mut wanted: Vec<_> = parts.into_iter().flat_map(named).collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let Some(schema) = document["components"]["schemas"].get(&name)
            && reached.insert(name)
        {
            wanted.extend(named(schema));
        }
    }
    reached
}

/// Removes the schemas that no operation and no webhook reaches.
pub(super) fn remove_unused(document: &mut Value) {
    let used = reached(document, [&document["paths"], &document["webhooks"]]);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commented_reference_has_its_comment_beside_it() {
        let mut field = json!({ "description": "The text.",
            "allOf": [to("Text"), { "description": "The text." }] });
        unwrap_commented(field.as_object_mut().unwrap());
        assert_eq!(
            field,
            json!({ "$ref": "#/components/schemas/Text", "description": "The text." })
        );
        let both = json!({ "allOf": [to("Text"), { "type": "object" }] });
        let mut kept = both.clone();
        unwrap_commented(kept.as_object_mut().unwrap());
        assert_eq!(kept, both);
    }

    #[test]
    fn a_schema_is_reached_through_others_and_in_circles() {
        let mut document = json!({
            "paths": { "/a": { "get": { "schema": to("A") } } }, "webhooks": {},
            "components": { "schemas": {
                "A": { "items": to("B") }, "B": { "items": to("A") }, "C": { "items": to("A") } } }
        });
        remove_unused(&mut document);
        let left = document["components"]["schemas"].as_object().unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), ["A", "B"]);
    }
}

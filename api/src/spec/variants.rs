//! Other forms of the document, for generators that cannot read the whole one.

use serde_json::{Map, Value, json};

use super::references;

/// Returns the document without webhooks, and without the schemas that only they use: a generator would make
/// types that nothing returns. openapi-generator makes each webhook a call of the client.
pub(super) fn without_webhooks(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("webhooks");
    }
    references::remove_unused(&mut document);
    document
}

/// Returns the document as OpenAPI 3.0.3, which knows no webhooks.
pub(super) fn three_zero(document: &Value) -> Value {
    let mut document = without_webhooks(document);
    document["openapi"] = json!("3.0.3");
    for part in ["components", "paths"] {
        lower(&mut document[part]);
    }
    document
}

/// Writes the schemas of a part as 3.0 has them.
fn lower(part: &mut Value) {
    match part {
        Value::Array(items) => items.iter_mut().for_each(lower),
        Value::Object(fields) => {
            nullable(fields);
            one_example(fields);
            wrap_commented(fields);
            fields.values_mut().for_each(lower);
        }
        _ => {}
    }
}

fn nullable(fields: &mut Map<String, Value>) {
    let Some(kinds) = fields.get("type").and_then(Value::as_array) else {
        return;
    };
    if let Some(kind) = kinds.iter().find(|kind| **kind != "null").cloned() {
        fields.insert("type".to_owned(), kind);
        fields.insert("nullable".to_owned(), json!(true));
    }
}

/// Keeps the first of a schema's examples. Those of media types have names and stay.
fn one_example(fields: &mut Map<String, Value>) {
    let examples = fields.get("examples").and_then(Value::as_array);
    if let Some(first) = examples.and_then(|examples| examples.first()).cloned() {
        fields.remove("examples");
        fields.insert("example".to_owned(), first);
    }
}

/// Moves a reference with a description into `allOf`: 3.0 ignores what is beside a reference.
fn wrap_commented(fields: &mut Map<String, Value>) {
    if fields.len() > 1
        && let Some(link) = fields.remove("$ref")
    {
        fields.insert("allOf".to_owned(), json!([{ "$ref": link }]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_written_as_3_0_has_it() {
        let mut schema = json!({ "properties": {
            "text": { "type": ["string", "null"], "examples": ["a", "b"] },
            "other": { "$ref": "#/components/schemas/Other", "description": "Another." },
            "bare": { "$ref": "#/components/schemas/Other" } } });
        lower(&mut schema);
        let expected = json!({ "properties": {
            "text": { "type": "string", "nullable": true, "example": "a" },
            "other": { "allOf": [{ "$ref": "#/components/schemas/Other" }], "description": "Another." },
            "bare": { "$ref": "#/components/schemas/Other" } } });
        assert_eq!(schema, expected);
    }
}

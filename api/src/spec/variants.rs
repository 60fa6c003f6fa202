//! Other forms of the document, for generators that cannot read the whole one.

use serde_json::{Map, Value, json};

use super::{enumerations, references};

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
    extensible(&mut document);
    for part in ["components", "paths"] {
        lower(&mut document[part]);
    }
    document
}

/// Makes open enumerations texts with `x-extensible-enum`: openapi-generator would make an empty type of an
/// `anyOf`. The closed ones stay, and name the known values.
fn extensible(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let words = |(name, schema): (&String, &Value)| {
        Some((enumerations::open_name(name), schema.get("enum")?.clone()))
    };
    let known: Vec<_> = schemas.iter().filter_map(words).collect();
    for (name, words) in known {
        if let Some(schema) = schemas.get_mut(&name).and_then(Value::as_object_mut) {
            schema.remove("anyOf");
            schema.insert("type".to_owned(), json!("string"));
            schema.insert("x-extensible-enum".to_owned(), words);
        }
    }
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
    fn an_open_enumeration_of_3_0_is_a_text_that_names_its_values() {
        let mut document = json!({ "components": { "schemas": {
            "Word": { "type": "string", "enum": ["a"] },
            "AnyWord": { "anyOf": [references::to("Word"), { "type": "string" }] } } } });
        extensible(&mut document);
        assert_eq!(
            document["components"]["schemas"]["AnyWord"],
            json!({ "type": "string", "x-extensible-enum": ["a"] })
        );
    }

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

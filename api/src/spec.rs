//! The OpenAPI document: poem-openapi derives it from the code, and this module turns it into valid 3.1.0.
//!
//! poem-openapi writes 3.0.0 with keys of 3.1, media types with a charset, no nulls, no examples, no problem
//! bodies, and forms that generators of clients misread. Every step here corrects one of these, and nothing
//! else edits the document. `openapi/openapi.json` is the committed copy.

pub(crate) use self::enumerations::message_types;
use std::collections::BTreeSet;

use passerelle_jobs::model::event::EventType;
use poem_openapi::{registry::Registry, types::Type as _};
use serde_json::{Map, Value, json};

use crate::problem::{Code, ProblemBody};

mod answers;
mod bounds;
mod codes;
mod enumerations;
mod examples;
mod kinds;
mod metadata;
mod nullable;
mod references;
mod variants;

/// The forms of the document.
#[derive(Debug)]
pub struct Documents {
    /// All of it, as OpenAPI 3.1.0.
    pub whole: Value,
    /// Without webhooks.
    pub without_webhooks: Value,
    /// As OpenAPI 3.0.3, which knows no webhooks.
    pub three_zero: Value,
}

impl Documents {
    /// Makes them from the document of poem-openapi.
    pub fn of(raw: &str) -> Self {
        let whole = finish(raw);
        Self {
            without_webhooks: variants::without_webhooks(&whole),
            three_zero: variants::three_zero(&whole),
            whole,
        }
    }
}

/// The methods of each path.
#[derive(Debug, Default)]
pub struct Paths(Vec<(Vec<String>, Vec<String>)>);

impl Paths {
    /// Creates it from path templates (`/v1/sessions/{id}`) and their methods in capitals.
    pub fn new(paths: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let split = |path: String| path.split('/').map(str::to_owned).collect();
        Self(
            paths
                .into_iter()
                .map(|(path, methods)| (split(path), methods))
                .collect(),
        )
    }

    /// Creates it from a finished document and further paths with `GET`.
    pub fn of(document: &Value, further: &[&str]) -> Self {
        let listed = document["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, item)| {
                let methods = item.as_object().into_iter().flatten();
                (
                    path.clone(),
                    methods.map(|(method, _)| method.to_uppercase()).collect(),
                )
            });
        let further = further
            .iter()
            .map(|path| ((*path).to_owned(), vec!["GET".to_owned()]));
        Self::new(listed.chain(further))
    }

    /// Returns the methods of the templates that match `path`. GET includes HEAD.
    pub fn methods(&self, path: &str) -> Vec<String> {
        let parts: Vec<_> = path.split('/').collect();
        let fits = |template: &[String]| {
            template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(want, part)| want.starts_with('{') || want == part)
        };
        let mut methods: BTreeSet<String> = self
            .0
            .iter()
            .filter(|(template, _)| fits(template))
            .flat_map(|(_, methods)| methods.iter().cloned())
            .collect();
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        methods.into_iter().collect()
    }
}

/// Finishes the document of poem-openapi.
fn finish(raw: &str) -> Value {
    let mut document: Value = serde_json::from_str(raw).expect("poem-openapi writes JSON");
    document["openapi"] = json!("3.1.0");
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    document["security"] = json!([{ "ApiKey": [] }]);
    if let Some(schemes) = document["components"]["securitySchemes"].as_object_mut() {
        for scheme in schemes.values_mut() {
            scheme["bearerFormat"] = json!("API key");
        }
    }
    tidy(&mut document);
    add_problem(&mut document);
    answers::separate(&mut document);
    strict_bodies(&mut document);
    schemas(&mut document);
    bounds::add(&mut document);
    metadata::add(&mut document);
    nullable::add(&mut document);
    operations(&mut document);
    webhooks(&mut document);
    enumerations::add(&mut document);
    references::remove_unused(&mut document);
    document
}

/// Corrects every object of the document.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            let noise = [
                ("explode", json!(true)),
                ("deprecated", json!(false)),
                ("description", json!("")),
            ];
            object.retain(|key, value| {
                !noise
                    .iter()
                    .any(|(name, plain)| key == name && value == plain)
            });
            if let Some(content) = object.remove("application/json; charset=utf-8") {
                object.insert("application/json".to_owned(), content);
            }
            for bound in ["minimum", "maximum"] {
                whole(object, bound);
            }
            if object.get("format") == Some(&json!("bytes")) {
                object.insert("format".to_owned(), json!("byte"));
            }
            nullable(object);
            references::unwrap_commented(object);
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn whole(object: &mut Map<String, Value>, key: &str) {
    let number = object
        .get(key)
        .and_then(Value::as_f64)
        .filter(|number| number.fract() == 0.0);
    if let Some(whole) = number.and_then(|number| format!("{number:.0}").parse::<i64>().ok()) {
        object.insert(key.to_owned(), json!(whole));
    }
}

/// Replaces `nullable` of 3.0 by a type of 3.1.
fn nullable(object: &mut Map<String, Value>) {
    if object.remove("nullable") != Some(json!(true)) {
        return;
    }
    if let Some(kind) = object
        .get("type")
        .and_then(Value::as_str)
        .map(str::to_owned)
    {
        object.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(words) = object.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
}

/// Adds the schema of problems. poem-openapi leaves out schemas that no operation names, and only
/// [`operations`] adds the problems to the operations.
fn add_problem(document: &mut Value) {
    let mut registry = Registry::new();
    ProblemBody::register(&mut registry);
    for (name, schema) in registry.schemas {
        let mut schema = serde_json::to_value(schema).expect("poem-openapi writes JSON");
        tidy(&mut schema);
        document["components"]["schemas"][name] = schema;
    }
}

/// Declares that request bodies refuse unknown fields, at every level.
fn strict_bodies(document: &mut Value) {
    let bodies =
        operations_of(document, "paths").filter_map(|operation| operation.get("requestBody"));
    for name in references::reached(document, bodies) {
        let schema = &mut document["components"]["schemas"][&name];
        if schema["type"] == json!("object") {
            schema["additionalProperties"] = json!(false);
        }
    }
}

/// Adds the example of each object, and the same values to its fields.
fn schemas(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    for (name, schema) in schemas {
        let Some(example) = examples::of_schema(name) else {
            continue;
        };
        let properties = schema.get_mut("properties");
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            for (field, property) in properties {
                let bare = property.get("$ref").is_none() && property.get("allOf").is_none();
                if let (true, Some(value)) = (bare, example.get(field)) {
                    property["examples"] = json!([value]);
                    property
                        .as_object_mut()
                        .map(|property| property.remove("example"));
                }
            }
        }
        schema["examples"] = json!([example]);
    }
}

/// Returns the operations under `paths` or `webhooks`.
fn operations_of<'a>(document: &'a Value, under: &str) -> impl Iterator<Item = &'a Value> {
    let items = document
        .get(under)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    items.flat_map(|(_, item)| item.as_object().into_iter().flat_map(Map::values))
}

fn for_each_operation(document: &mut Value, mut visit: impl FnMut(&str, &mut Value)) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            visit(&id, operation);
        }
    }
}

/// Adds examples and problem responses to every operation.
fn operations(document: &mut Value) {
    for_each_operation(document, |id, operation| {
        if operation.get("description").is_none() {
            let summary = operation["summary"].clone();
            operation["description"] = summary;
        }
        if operation.get("security").is_none() {
            operation["security"] = json!([]);
        }
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == json!("header") {
                let name = train_case(parameter["name"].as_str().unwrap_or_default());
                parameter["name"] = json!(name);
            }
        }
        if let Some(example) = examples::of_request(id) {
            operation["requestBody"]["content"]["application/json"]["examples"] = example;
        }
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            if response.get("description").is_none() {
                response["description"] = json!(meaning(status));
            }
            response["headers"] =
                json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
            if id.starts_with("send_") && status.starts_with('2') {
                response["headers"]["Idempotency-Replayed"] =
                    json!({ "$ref": "#/components/headers/IdempotencyReplayed" });
            }
        }
        for code in codes::of(id, operation) {
            refuse(operation, code);
        }
        operation["responses"].sort_all_objects();
    });
    document["components"]["headers"] = json!({
        "RequestId": {
            "description": "The id of the request, as in problem bodies and in the logs.",
            "schema": { "type": "string", "examples": ["req_01kaq6h3zve9qbw4r2t8n5c7xd"] }
        },
        "IdempotencyReplayed": {
            "description": "`true` if this is the answer of an earlier request with the same key.",
            "schema": { "type": "string", "enum": ["true"] }
        }
    });
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Success.",
        "201" => "Created.",
        "202" => "Accepted and committed to disk. The work follows.",
        "204" => "Success, without a body.",
        _ => "See the body.",
    }
}

fn refuse(operation: &mut Value, code: Code) {
    let status = code.status().to_string();
    let response = &mut operation["responses"][&status];
    if response.is_null() {
        *response = json!({
            "description": format!("Refused. The examples show every possible `code`. {}.", code.title()),
            "headers": { "X-Request-Id": { "$ref": "#/components/headers/RequestId" } },
            "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Problem" }, "examples": {}
            } }
        });
    }
    let detail = format!("{}.", code.title());
    response["content"]["application/problem+json"]["examples"][code.as_str()] = json!({
        "summary": code.title(),
        "value": {
            "type": format!("/docs/problems#{}", code.as_str()), "title": code.title(),
            "status": code.status(), "detail": detail, "instance": "/v1/messages",
            "code": code.as_str(), "request_id": "req_01kaq6h3zve9qbw4r2t8n5c7xd"
        }
    });
}

fn train_case(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + &rest.to_lowercase()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Adds the headers of Standard Webhooks 1.0 and the possible answers to the webhooks.
fn webhooks(document: &mut Value) {
    for (name, item) in document["webhooks"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            operation["operationId"] = json!(format!("on_{}", name.replace('.', "_")));
            operation["security"] = json!([]);
            let kind = EventType::parse(name);
            let example = kind.and_then(examples::of_event);
            let body = operation.pointer_mut("/requestBody/content/application~1json");
            if let Some((body, example)) = body.zip(example) {
                if kind == Some(EventType::MessageReceived) {
                    body["examples"] = kinds::received(&example);
                } else {
                    body["example"] = example;
                }
            }
            operation["parameters"] = json!([
                header(
                    "Webhook-Id",
                    "The id of the event, the same for every attempt. Ignore events that you have already processed.",
                    "evt_01kaq6h3zve9qbw4r2t8n5c7xd"
                ),
                header(
                    "Webhook-Timestamp",
                    "When this attempt was made, in Unix seconds. Refuse it if it differs from your clock by more than five minutes.",
                    "1795334400"
                ),
                header(
                    "Webhook-Signature",
                    "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`. Two of them, separated by a space, for a day after the secret was rotated.",
                    "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="
                ),
            ]);
            operation["responses"] = json!({
                "2XX": { "description": "Accepted. Answer within 15 seconds; after any other answer the delivery is retried." },
                "410": { "description": "The endpoint no longer exists. It is disabled and gets no more deliveries." }
            });
        }
    }
}

fn header(name: &str, description: &str, example: &str) -> Value {
    json!({ "name": name, "in": "header", "required": true, "description": description,
            "schema": { "type": "string" }, "example": example })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_its_methods_and_get_brings_head() {
        let paths = Paths::new([
            (
                "/v1/sessions/{id}".to_owned(),
                vec!["GET".to_owned(), "DELETE".to_owned()],
            ),
            ("/v1/sessions".to_owned(), vec!["POST".to_owned()]),
        ]);
        assert_eq!(
            paths.methods("/v1/sessions/ses_1"),
            ["DELETE", "GET", "HEAD"]
        );
        assert_eq!(paths.methods("/v1/sessions"), ["POST"]);
        assert!(paths.methods("/v1/other").is_empty());
    }

    #[test]
    fn the_framework_s_habits_are_undone() {
        let raw = json!({
            "openapi": "3.0.0",
            "components": { "schemas": { "A": { "type": "object", "properties": {
                "n": { "type": "integer", "minimum": 1.0, "nullable": true } } } } },
            "paths": { "/a": { "post": {
                "operationId": "a", "summary": "A.", "description": "",
                "parameters": [{ "name": "IDEMPOTENCY-KEY", "in": "header", "explode": true, "deprecated": false }],
                "requestBody": { "content": { "application/json; charset=utf-8": { "schema": { "$ref": "#/components/schemas/A" } } } },
                "responses": { "200": { "description": "" } } } } }
        });
        let done = finish(&raw.to_string());
        assert_eq!(done["openapi"], "3.1.0");
        let n = &done["components"]["schemas"]["A"]["properties"]["n"];
        assert_eq!(
            (&n["minimum"], &n["type"]),
            (&json!(1), &json!(["integer", "null"]))
        );
        assert_eq!(
            done["components"]["schemas"]["A"]["additionalProperties"],
            false
        );
        let operation = &done["paths"]["/a"]["post"];
        assert_eq!(
            operation["parameters"][0],
            json!({ "name": "Idempotency-Key", "in": "header" })
        );
        assert!(operation["requestBody"]["content"]["application/json"].is_object());
        assert!(operation["responses"]["413"]["content"]["application/problem+json"]["examples"]["body_too_large"].is_object());
    }
}

//! One type of content for the success of an operation. Generators give an operation one return type: with
//! JSON beside bytes they make everything bytes, the errors too.

use serde_json::{Value, json};

use super::for_each_operation;

/// Names of headers that OpenAPI does not allow as parameters: HTTP itself decides them.
const NEGOTIATED: [&str; 3] = ["accept", "content-type", "authorization"];

/// Removes other types beside JSON, and describes server-sent events.
pub(super) fn separate(document: &mut Value) {
    for_each_operation(document, |_, operation| {
        for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else {
                continue;
            };
            if content.contains_key("application/json") {
                content.retain(|kind, _| kind == "application/json");
            }
            if let Some(events) = content.get_mut("text/event-stream") {
                events["schema"] = event_or_text(&events["schema"]["items"]);
            }
        }
        if let Some(parameters) = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut)
        {
            parameters.retain(|parameter| {
                let name = parameter["name"].as_str().unwrap_or_default();
                let header = parameter["in"] == json!("header");
                !(header && NEGOTIATED.contains(&name.to_lowercase().as_str()))
            });
        }
    });
}

/// Describes a stream by the data of one event, for generators that know event streams, or the text of all
/// of it for the others. poem-openapi says that it is an array.
fn event_or_text(event: &Value) -> Value {
    json!({ "description": "The data of each event. A client that does not know event streams gets their text.",
            "anyOf": [event, { "type": "string" }] })
}

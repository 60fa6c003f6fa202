//! Enumerations. Those of requests are closed. Those of answers and webhooks are open: a later version may
//! send a value that a client does not know, and the client must still parse the answer.
//!
//! An open enumeration is `AnyX: anyOf [X, string]`, where `X` is the closed one: the generated types name
//! the known values, and any other text is parsed too. It has a name of its own, because openapi-generator
//! names a nameless one after its field and overwrites another type.

use std::collections::BTreeSet;

use passerelle_jobs::{
    model::{
        Class, Desired, EndReason, MediaStatus, Source, State,
        auto_reply::{Outcome, Why},
        endpoint::Disabled,
        event::EventType,
        group::GroupAction,
        pattern,
    },
    safety::{health::Reason, hold::Hold, level::Level},
};
use serde_json::{Map, Value, json};

use super::{kinds::KINDS, references};
use crate::problem::Code;

/// An enumeration whose fields are plain text in the code.
struct Enumeration {
    name: &'static str,
    description: &'static str,
    /// Empty if the document has the enumeration already.
    words: Vec<&'static str>,
    /// The schemas and fields that have it. In a list, its items have it.
    fields: &'static [(&'static str, &'static str)],
}

/// Returns the words of an enum.
macro_rules! words {
    ($($enum:ty),*) => { [$(<$enum>::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),*].concat() };
}

/// What a message can be besides the kinds that can be sent.
const FURTHER_TYPES: [&str; 11] = [
    "poll_vote",
    "button_reply",
    "list_reply",
    "order",
    "product",
    "album",
    "deleted",
    "undecryptable",
    "view_once_unavailable",
    "unsupported",
    "unreadable",
];

/// Returns every type of a message.
pub(crate) fn message_types() -> impl Iterator<Item = &'static str> {
    let sent = KINDS.iter().map(|(kind, ..)| *kind);
    sent.chain(FURTHER_TYPES)
}

/// Why a message or a file failed, as `docs/guide/errors.md` lists it; WhatsApp's own codes come on top.
const FAILURES: [&str; 28] = [
    "not_in_group",
    "recipient_opted_out",
    "recipient_not_on_whatsapp",
    "recipient_requires_prior_contact",
    "reachout_timelocked",
    "invalid_recipient",
    "unsupported_content",
    "media_url_not_found",
    "media_url_refused",
    "media_url_redirects",
    "media_unreachable",
    "url_not_allowed",
    "media_empty",
    "media_too_large",
    "media_too_long",
    "media_damaged",
    "media_dimensions",
    "media_type_not_supported",
    "media_mixed",
    "transcoding_unavailable",
    "transcoding_limit",
    "media_deleted",
    "media_incomplete",
    "storage_full",
    "media_quota_reached",
    "decoding_unavailable",
    "unreadable_row",
    "internal",
];

/// The steps of a timeline.
const STEPS: [&str; 14] = [
    "accepted",
    "received",
    "waiting",
    "claimed",
    "sent",
    "delivered",
    "read",
    "played",
    "unknown",
    "failed",
    "expired",
    "canceled",
    "edited",
    "deleted",
];

/// Builds a row of the table.
fn of(
    name: &'static str,
    description: &'static str,
    words: Vec<&'static str>,
    fields: &'static [(&'static str, &'static str)],
) -> Enumeration {
    Enumeration {
        name,
        description,
        words,
        fields,
    }
}

fn of_messages() -> Vec<Enumeration> {
    vec![
        of("MessageStatus", "", vec![], &[("Message", "status")]),
        of("MessageDirection", "", vec![], &[("Message", "direction")]),
        of(
            "MessageSource",
            "What an outbound message was written on.",
            words!(Source),
            &[("Message", "source")],
        ),
        of(
            "MessageClass",
            "How well the number knew the recipient.",
            words!(Class),
            &[
                ("Message", "class"),
                ("QueueClass", "class"),
                ("TimelineStep", "class"),
            ],
        ),
        of(
            "HoldReason",
            "What holds a message.",
            words!(Hold),
            &[
                ("QueueNext", "hold"),
                ("QueueHold", "hold"),
                ("TimelineStep", "hold"),
            ],
        ),
        of(
            "TimelineStepKind",
            "What happened to a message.",
            STEPS.to_vec(),
            &[("TimelineStep", "step")],
        ),
        of("MediaKind", "", vec![], &[("Media", "kind")]),
        of(
            "MessageType",
            "The kind of a message.",
            message_types().collect(),
            &[("Message", "type"), ("QuoteSummary", "type")],
        ),
        of(
            "FailureCode",
            "Why a message or a file failed. `whatsapp_` and a number is a code of WhatsApp's server.",
            FAILURES.to_vec(),
            &[("MessageError", "code"), ("MediaError", "code")],
        ),
        of(
            "MediaStatus",
            "The status of a file.",
            words!(MediaStatus),
            &[("Media", "status")],
        ),
    ]
}

fn of_sessions() -> Vec<Enumeration> {
    vec![
        of(
            "DesiredState",
            "The state of a session that you requested.",
            words!(Desired),
            &[("Session", "desired")],
        ),
        of(
            "SessionState",
            "The state of a session, or why it ended.",
            words!(State, EndReason),
            &[
                ("Session", "state"),
                ("SessionShown", "state"),
                ("QrStreamEvent", "state"),
                ("Problem", "state"),
            ],
        ),
        of(
            "EndReason",
            "Why a session ended.",
            words!(EndReason),
            &[("StatusReason", "code")],
        ),
        of(
            "HealthLevel",
            "How much a number may send, by what WhatsApp signals about it.",
            words!(Level),
            &[
                ("SessionHealth", "level"),
                ("Queue", "level"),
                ("HealthRestriction", "level"),
                ("HealthShown", "level"),
            ],
        ),
        of(
            "HealthReason",
            "Why a number is restricted.",
            words!(Reason),
            &[
                ("SessionHealth", "reasons"),
                ("HealthRestriction", "reason"),
                ("HealthShown", "reasons"),
            ],
        ),
    ]
}

fn of_webhooks() -> Vec<Enumeration> {
    vec![
        of(
            "CallMedia",
            "What a call carries.",
            vec!["voice", "video"],
            &[("CallShown", "media")],
        ),
        of(
            "CallOutcome",
            "How a call ended for a number.",
            vec!["missed", "rejected", "accepted_elsewhere"],
            &[("CallShown", "outcome"), ("RejectedCall", "outcome")],
        ),
        of(
            "DeliveryStatus",
            "",
            vec![],
            &[("WebhookDelivery", "status")],
        ),
        of(
            "EventType",
            "The type of an event.",
            words!(EventType),
            &[
                ("WebhookDelivery", "event_type"),
                ("NewWebhookTest", "event_type"),
                ("EventTypeDescription", "name"),
                ("MessageEvent", "type"),
                ("MediaEvent", "type"),
                ("SessionEvent", "type"),
                ("SessionHealthEvent", "type"),
                ("ContactEvent", "type"),
                ("OptOutEvent", "type"),
                ("ConsentEvent", "type"),
                ("GroupUpdateEvent", "type"),
                ("GroupParticipantsEvent", "type"),
                ("CallEvent", "type"),
                ("RuleEvent", "type"),
                ("EndpointEvent", "type"),
            ],
        ),
        of(
            "EventFilter",
            "A type of event, or a group of types. A group and `*` include types of later versions.",
            [pattern::groups(), words!(EventType)].concat(),
            &[
                ("NewWebhookEndpoint", "events"),
                ("WebhookEndpointChange", "events"),
                ("WebhookEndpoint", "events"),
            ],
        ),
        of(
            "GroupAction",
            "What happened to members of a group.",
            words!(GroupAction),
            &[("GroupParticipantsEventBody", "action")],
        ),
        of("GroupRole", "", vec![], &[("GroupParticipant", "role")]),
        of(
            "OptOutSource",
            "",
            vec![],
            &[("OptOut", "source"), ("OptOutEventBody", "source")],
        ),
        of(
            "EndpointStatus",
            "Whether an endpoint gets deliveries.",
            vec!["enabled", "disabled"],
            &[("WebhookEndpoint", "status")],
        ),
        of(
            "DisabledReason",
            "Why an endpoint was disabled.",
            words!(Disabled),
            &[
                ("WebhookEndpoint", "disabled_reason"),
                ("EndpointShown", "disabled_reason"),
            ],
        ),
        of(
            "AttemptError",
            "Why an attempt to post an event failed.",
            vec![
                "http_status",
                "timeout",
                "connection_failed",
                "url_not_allowed",
                "unreadable_row",
                "internal",
            ],
            &[("WebhookAttempt", "error")],
        ),
    ]
}

fn of_replies() -> Vec<Enumeration> {
    vec![
        of(
            "RuleOutcome",
            "What came of a rule that fired.",
            words!(Outcome),
            &[("RuleEventBody", "outcome")],
        ),
        of(
            "AutoReplyReason",
            "Whether a rule fires, or the first thing that keeps it from that.",
            words!(Why),
            &[("TriedAutoReply", "why")],
        ),
    ]
}

fn of_problems() -> Vec<Enumeration> {
    vec![of(
        "ProblemCode",
        "The stable code of a problem.",
        words!(Code),
        &[("Problem", "code"), ("Flaw", "code")],
    )]
}

/// Gives the fields their enumerations, and opens every enumeration of an answer or a webhook.
pub(super) fn add(document: &mut Value) {
    let all = [
        of_messages(),
        of_sessions(),
        of_webhooks(),
        of_replies(),
        of_problems(),
    ];
    for one in all.into_iter().flatten() {
        let schemas = &mut document["components"]["schemas"];
        if !one.words.is_empty() {
            schemas[one.name] = json!({ "type": "string", "title": one.name,
                "description": one.description, "enum": one.words });
        }
        for (schema, field) in one.fields {
            // Looked up by pointer, because indexing would add a field that is missing.
            let place = format!("/{schema}/properties/{field}");
            let property = schemas.pointer_mut(&place).and_then(Value::as_object_mut);
            if let Some(property) = property {
                refer(property, one.name);
            }
        }
    }
    open(document);
}

/// Makes a text, or the items of a list of texts, a reference to an enumeration.
fn refer(property: &mut Map<String, Value>, name: &str) {
    let link = references::to(name);
    if property.contains_key("items") {
        property.insert("items".to_owned(), link);
    } else {
        property.remove("type");
        property.insert("$ref".to_owned(), link["$ref"].clone());
    }
}

/// Opens the enumerations in every schema of an answer or a webhook.
fn open(document: &mut Value) {
    let (asked, answered) = (in_requests(document), in_answers(document));
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let closed: BTreeSet<String> = schemas
        .iter()
        .filter(|(_, schema)| schema.get("enum").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    let mut opened = BTreeSet::new();
    for (name, schema) in schemas.iter_mut() {
        if answered.contains(name) && !asked.contains(name) {
            redirect(schema, &closed, &mut opened);
        }
    }
    for name in opened {
        let open = open_name(&name);
        let schema = json!({
            "title": open,
            "description": format!("A `{name}`, or a value of a later version. Treat one that you do not know as \"something else\"."),
            "anyOf": [references::to(&name), { "type": "string" }]
        });
        schemas.insert(open, schema);
    }
}

/// Replaces the references to closed enumerations by those to the open ones.
fn redirect(part: &mut Value, closed: &BTreeSet<String>, opened: &mut BTreeSet<String>) {
    let name = references::target(part).filter(|name| closed.contains(*name));
    if let Some(name) = name.map(str::to_owned) {
        part["$ref"] = references::to(&open_name(&name))["$ref"].clone();
        opened.insert(name);
    }
    match part {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| redirect(item, closed, opened)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| redirect(field, closed, opened)),
        _ => {}
    }
}

/// Returns the name of the open enumeration that belongs to a closed one.
pub(super) fn open_name(closed: &str) -> String {
    format!("Any{closed}")
}

/// Returns the names of the schemas of requests.
fn in_requests(document: &Value) -> BTreeSet<String> {
    let operations = super::operations_of(document, "paths");
    let parts: Vec<_> = operations
        .flat_map(|operation| [operation.get("requestBody"), operation.get("parameters")])
        .flatten()
        .collect();
    references::reached(document, parts)
}

/// Returns the names of the schemas of answers and webhooks.
fn in_answers(document: &Value) -> BTreeSet<String> {
    let operations = super::operations_of(document, "paths");
    let answers = operations.filter_map(|operation| operation.get("responses"));
    let hooks = document.get("webhooks");
    let parts: Vec<_> = answers.chain(hooks).collect();
    references::reached(document, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failures_are_those_of_the_guide() {
        let guide = include_str!("../../../docs/guide/errors.md");
        let (_, after) = guide
            .split_once("## A message or a file that failed")
            .unwrap();
        let cells = after
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let listed: BTreeSet<_> = cells
            .flat_map(|cell| {
                cell.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()))
            })
            .filter(|word| !word.is_empty() && !word.starts_with("whatsapp_"))
            .collect();
        let known: BTreeSet<_> = FAILURES.into_iter().collect();
        assert_eq!(known, listed);
    }

    #[test]
    fn an_enumeration_of_an_answer_is_open_and_one_of_a_request_is_closed() {
        let word = json!({ "type": "string", "enum": ["a", "b"] });
        let with_word =
            json!({ "type": "object", "properties": { "word": references::to("Word") } });
        let mut document = json!({
            "components": { "schemas": { "Word": word, "Asked": with_word, "Answered": with_word } },
            "paths": { "/a": { "post": {
                "requestBody": { "schema": references::to("Asked") },
                "responses": { "200": { "schema": references::to("Answered") } } } } }
        });
        add(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["Asked"]["properties"]["word"],
            references::to("Word")
        );
        assert_eq!(
            schemas["Answered"]["properties"]["word"],
            references::to("AnyWord")
        );
        assert_eq!(
            schemas["AnyWord"]["anyOf"],
            json!([references::to("Word"), { "type": "string" }])
        );
    }
}

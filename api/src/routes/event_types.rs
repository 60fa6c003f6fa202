//! The types of events, each with an example.

use std::collections::BTreeMap;

use passerelle_jobs::{events::examples, model::event::EventType};
use poem_openapi::{Object, OpenApi, types::Any};
use serde::Serialize;
use serde_json::Value;

use super::Group;
use crate::{auth::Caller, body::Success, events::summary, problem::Problem};

/// A type of event.
#[derive(Debug, Serialize, Object)]
pub struct EventTypeDescription {
    /// Its name, as `type` of an event and in `events` of an endpoint.
    pub name: String,
    /// Always `event_type`.
    pub object: String,
    /// When there is such an event.
    pub description: String,
    /// What is posted.
    pub example: BTreeMap<String, Any<Value>>,
}

/// The types of events.
#[derive(Debug, Serialize, Object)]
pub struct EventTypeList {
    /// Every type that this version knows.
    pub data: Vec<EventTypeDescription>,
}

impl EventTypeDescription {
    fn of(kind: EventType) -> Result<Self, Problem> {
        let example = match examples::example(kind)? {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        let fields = example.into_iter();
        Ok(Self {
            name: kind.as_str().to_owned(),
            object: "event_type".to_owned(),
            description: summary(kind).to_owned(),
            example: fields.map(|(name, value)| (name, Any(value))).collect(),
        })
    }
}

/// Types of events.
pub struct EventTypes;

#[OpenApi(prefix_path = "/v1/event-types", tag = "Group::WebhookEndpoints")]
impl EventTypes {
    /// List the types of events.
    ///
    /// Each has an example of what is posted. `POST /v1/webhook-endpoints/{id}/test` posts the same one.
    #[oai(path = "/", method = "get", operation_id = "list_event_types")]
    #[expect(clippy::unused_async, reason = "an operation is async")]
    async fn list_event_types(&self, _caller: Caller) -> Result<Success<EventTypeList>, Problem> {
        let all = EventType::ALL.iter().copied();
        let data = all
            .map(EventTypeDescription::of)
            .collect::<Result<_, _>>()?;
        Ok(Success::of(EventTypeList { data }))
    }
}

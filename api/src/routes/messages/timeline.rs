//! What happened to a message, step by step.

use passerelle_jobs::{
    ids::{ConsentId, MessageId},
    messages::timeline::{Step, What},
};
use poem_openapi::Object;
use serde::Serialize;

use super::response::MessageError;
use crate::{
    routes::consents::Purpose,
    types::{Id, Timestamp},
};

/// What happened to a message, and why it waited.
#[derive(Debug, Serialize, Object)]
pub struct MessageTimeline {
    /// Always `message_timeline`.
    pub object: String,
    /// The message.
    pub message_id: Id<MessageId>,
    /// The steps, the earliest first.
    pub steps: Vec<TimelineStep>,
}

/// A step of a message.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TimelineStep {
    /// What happened: `accepted`, `waiting` (something began to hold it), `claimed` (its typing begins), or a status that it
    /// reached. An inbound message was `received`. Also `edited` and `deleted`.
    pub step: String,
    /// When. A status after `sent` has WhatsApp's time.
    pub at: Timestamp,
    /// With `accepted` and `claimed`: how well the number knew the recipient then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// With `accepted`: what it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// With `accepted`: the consent that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_id: Option<Id<ConsentId>>,
    /// With `accepted`: true if it was allowed as one to the first people whom the number writes to. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<bool>,
    /// With `waiting`: what held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// With `waiting`: until when it was to wait. Absent if that could not be foreseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// With `claimed`: when it was to be written to WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// With `failed`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
}

impl MessageTimeline {
    pub(super) fn of(id: MessageId, steps: Vec<Step>) -> Self {
        Self {
            object: "message_timeline".to_owned(),
            message_id: Id(id),
            steps: steps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Step> for TimelineStep {
    fn from(Step { at, what }: Step) -> Self {
        let step = |step: &str| Self {
            step: step.to_owned(),
            at: Timestamp(at),
            class: None,
            purpose: None,
            consent_id: None,
            trial: None,
            hold: None,
            until: None,
            send_at: None,
            error: None,
        };
        match what {
            What::Received => step("received"),
            What::Edited => step("edited"),
            What::Deleted => step("deleted"),
            What::Accepted {
                class,
                purpose,
                consent,
                is_trial,
            } => Self {
                class: class.map(|class| class.as_str().to_owned()),
                purpose: purpose.map(Into::into),
                consent_id: consent.map(Id),
                trial: is_trial.then_some(true),
                ..step("accepted")
            },
            What::Waiting { hold, until } => Self {
                hold: Some(hold),
                until: until.map(Timestamp),
                ..step("waiting")
            },
            What::Claimed { class, send_at } => Self {
                class: class.map(|class| class.as_str().to_owned()),
                send_at: send_at.map(Timestamp),
                ..step("claimed")
            },
            What::Reached { status, error } => Self {
                error: error.map(|code| MessageError { code }),
                ..step(status.as_str())
            },
        }
    }
}

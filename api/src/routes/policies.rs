//! The policy of an organisation: what limits its numbers.

use std::collections::BTreeMap;

use passerelle_jobs::{
    Services,
    policies::{self, PolicyError, PolicyView},
    safety::tighten::Tightening,
};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, types::Any};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Group;
use crate::{
    auth::Caller,
    body::{Body, Success},
    problem::{Code, Problem},
};

/// What everybody should know who links a number.
const RISK: &str = "Passerelle is an unofficial client. WhatsApp's terms of service do not allow that, nor automated \
    messages that people did not ask for, and WhatsApp may ban a number that is used with one at any time. These limits lower \
    that risk. They do not remove it.";

/// The policy of your organisation: what limits its numbers.
#[derive(Debug, Serialize, Object)]
pub struct Policy {
    /// Always `policy`.
    pub object: String,
    /// The preset of the gateway: `default`, `strict` or `sandbox`.
    pub preset: String,
    /// SHA-256 of `limits` as JSON with sorted names and without spaces, in hexadecimal. It changes when a limit does.
    pub hash: String,
    /// Every limit that counts: those of the preset, or your own where they are stricter. `null` means that there is no such
    /// limit. The guide explains them.
    pub limits: BTreeMap<String, Any<Value>>,
    /// The limits that you set yourself.
    pub own: OwnLimits,
    /// The risk that remains.
    pub risk: String,
}

/// Your own limits. Each must be at least as strict as that of the preset. What is absent is as in the preset.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct OwnLimits {
    /// The smallest gap before a reply, in milliseconds, at most an hour. All gaps grow by the same factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_gap_ms: Option<u64>,
    /// The smallest gap before a warm message, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_gap_ms: Option<u64>,
    /// The smallest gap before a cold message, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_gap_ms: Option<u64>,
    /// The most new conversations of a number in any 24 hours. 0 allows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_conversations_a_day: Option<u32>,
    /// The most messages of a number in any 24 hours that are no replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_a_day: Option<u32>,
    /// The most replies of a number in any hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies_an_hour: Option<u32>,
    /// The most messages to one contact who does not answer, within the time that the preset names (7 days in a sandbox).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_by_one_contact: Option<u32>,
    /// The least minutes between two of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_apart_minutes: Option<u32>,
    /// The most cold messages of a number without an answer in any 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_in_30_days: Option<u32>,
    /// The most new recipients of nearly equal texts in any 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<u32>,
    /// When quiet hours begin where the recipient is, in minutes since midnight: from 780 (13:00) on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_from_minute: Option<u16>,
    /// When quiet hours end, in minutes since midnight: until 660 (11:00).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_to_minute: Option<u16>,
    /// Whether warm messages keep quiet hours too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_holds_warm: Option<bool>,
    /// The most messages of a number with the purpose `code` or `security` in quiet hours, in any hour. 0 has them wait for the
    /// morning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes_at_night_an_hour: Option<u32>,
    /// The least seconds between two messages of a number to one group, at most 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_apart_seconds: Option<u32>,
    /// How many hours a number must be in a group before it writes there, at most 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_joined_hours: Option<u32>,
}

/// Converts between the limits of the document and those of `jobs`, which have the same fields.
macro_rules! same_fields {
    ($($field:ident)*) => {
        impl From<OwnLimits> for Tightening {
            fn from(limits: OwnLimits) -> Self {
                Self { $($field: limits.$field,)* }
            }
        }

        impl From<Tightening> for OwnLimits {
            fn from(limits: Tightening) -> Self {
                Self { $($field: limits.$field,)* }
            }
        }
    };
}
same_fields!(
    reply_gap_ms warm_gap_ms cold_gap_ms new_conversations_a_day messages_a_day replies_an_hour unanswered_by_one_contact
    unanswered_apart_minutes unanswered_in_30_days near_duplicates quiet_from_minute quiet_to_minute quiet_holds_warm
    codes_at_night_an_hour group_apart_seconds group_joined_hours
);

impl From<PolicyView> for Policy {
    fn from(view: PolicyView) -> Self {
        let shown = serde_json::to_value(&*view.policy).unwrap_or_default();
        let limits = match shown {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        Self {
            object: "policy".to_owned(),
            preset: view.policy.preset.to_string(),
            hash: view.policy.hash(),
            limits: limits
                .into_iter()
                .map(|(name, limit)| (name, Any(limit)))
                .collect(),
            own: view.own.into(),
            risk: RISK.to_owned(),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::BelowFloor(below) => {
                let rule =
                    "a limit at least as strict as that of the preset, and one that a day can have";
                Self::expected(Code::BelowPlatformFloor, rule).at(
                    below.pointer,
                    Code::BelowPlatformFloor.as_str(),
                    rule,
                )
            }
            PolicyError::Fault(fault) => fault.into(),
        }
    }
}

/// Policies.
pub struct Policies;

#[OpenApi(prefix_path = "/v1/policy", tag = "Group::Sessions")]
impl Policies {
    /// Read the policy of your organisation.
    ///
    /// It has every limit of its numbers. The operator chose the preset; you can only be stricter.
    #[oai(path = "/", method = "get", operation_id = "read_policy")]
    async fn read_policy(
        &self,
        caller: Caller,
        services: Data<&Services>,
    ) -> Result<Success<Policy>, Problem> {
        let view = policies::read(&services, caller.0.org).await?;
        Ok(Success::of(view.into()))
    }

    /// Set your own limits.
    ///
    /// They replace those that you set before, and hold from now on, also for messages that are queued. A limit that is looser
    /// than the preset's is refused.
    #[oai(path = "/", method = "put", operation_id = "set_policy")]
    async fn set_policy(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<OwnLimits>,
    ) -> Result<Success<Policy>, Problem> {
        let view = policies::set(&services, caller.0.org, body.0.into()).await?;
        Ok(Success::of(view.into()))
    }

    /// Remove your own limits.
    ///
    /// Those of the preset count again.
    #[oai(path = "/", method = "delete", operation_id = "reset_policy")]
    async fn reset_policy(
        &self,
        caller: Caller,
        services: Data<&Services>,
    ) -> Result<Success<Policy>, Problem> {
        let view = policies::set(&services, caller.0.org, Tightening::default()).await?;
        Ok(Success::of(view.into()))
    }
}

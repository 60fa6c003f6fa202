//! What a session does by itself: whether it shows as online, what it does with uncertain sends and with calls.

use passerelle_jobs::{model, sessions::client::Calls};
use poem_openapi::{Enum, Object, types::MaybeUndefined};
use serde::{Deserialize, Serialize};

use crate::{flaws::Flaws, routes::messages::kinds, types::same_variants};

/// Whether a connected session shows as online. While it does, WhatsApp sends its phone no notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It shows as online only from a typing notice until the message is sent, for at most 15 seconds.
    PhoneFirst,
    /// It shows as online all the time.
    GatewayFirst,
}

impl From<model::Presence> for Presence {
    fn from(presence: model::Presence) -> Self {
        match presence {
            model::Presence::PhoneFirst => Self::PhoneFirst,
            model::Presence::GatewayFirst => Self::GatewayFirst,
        }
    }
}

same_variants!(Presence => model::Presence: PhoneFirst GatewayFirst);

/// What the gateway does with a message that may have been sent: its process died in the middle of the
/// send, or WhatsApp did not acknowledge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum UncertainSends {
    /// Sends it again with the same WhatsApp id. Phones deduplicate by id.
    Resend,
    /// Sets its status to `unknown` immediately, and you decide.
    Hold,
}

impl From<model::Uncertain> for UncertainSends {
    fn from(uncertain: model::Uncertain) -> Self {
        match uncertain {
            model::Uncertain::Resend => Self::Resend,
            model::Uncertain::Hold => Self::Hold,
        }
    }
}

same_variants!(UncertainSends => model::Uncertain: Resend Hold);

/// What to do with messages that may have been sent.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewUncertainSends {
    /// What the gateway does with them.
    pub policy: UncertainSends,
}

/// What happens to calls, instead of ringing: each is rejected at once.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct AutoReject {
    /// A text for the caller, as in a text message. It waits in the queue like any message, once for each call. It is
    /// not sent to callers who opted out, and not for group calls.
    #[serde(default)]
    pub text: Option<String>,
}

/// What happens to calls of a session, instead of ringing: each is rejected at once.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CallsRejected {
    /// The text that callers get, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl From<model::AutoReject> for CallsRejected {
    fn from(setting: model::AutoReject) -> Self {
        Self { text: setting.text }
    }
}

impl AutoReject {
    /// Parses it.
    pub(super) fn parse(self, flaws: &mut Flaws) -> model::AutoReject {
        if let Some(text) = &self.text {
            kinds::text(text, "/auto_reject/text", flaws);
        }
        model::AutoReject { text: self.text }
    }

    /// Parses a change of it.
    pub(super) fn change(change: MaybeUndefined<Self>, flaws: &mut Flaws) -> Calls {
        match change {
            MaybeUndefined::Undefined => Calls::Keep,
            MaybeUndefined::Null => Calls::Ring,
            MaybeUndefined::Value(setting) => Calls::Reject(setting.parse(flaws)),
        }
    }
}

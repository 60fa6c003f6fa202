//! What the rules would do with a message.

use passerelle_jobs::{
    ids::{AutoReplyId, SessionId},
    model::auto_reply::Why,
    replies::{
        check::TYPES,
        trial::{Trial, Tried},
    },
};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use super::answer::AutoReplyAnswer;
use crate::{
    flaws::Flaws,
    problem::{Code, Problem},
    routes::{client_data, phone_at},
    texts::Texts,
    types::{Id, Timestamp},
};

/// A message that you think up.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct TestedMessage {
    /// Its type, such as `image`. The default is `text`.
    #[oai(rename = "type")]
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Its text or caption.
    #[serde(default)]
    pub text: Option<String>,
    /// Whether it is written in a group. The default is false.
    #[serde(default)]
    pub in_group: Option<bool>,
    /// When it was sent, if that is not when it comes in.
    #[serde(default)]
    pub sent_at: Option<Timestamp>,
}

/// The contact who writes the message, and what happened before. Nothing did when absent.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct TestedContact {
    /// The contact's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The contact's phone number.
    #[serde(default)]
    pub phone: Option<String>,
    /// Your own texts for the contact.
    #[serde(default)]
    pub metadata: Option<Texts>,
    /// When the contact wrote before. Never when absent.
    #[serde(default)]
    pub last_inbound_at: Option<Timestamp>,
    /// When the rules last answered the contact.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    /// When somebody last wrote to the contact from the phone or a linked device.
    #[serde(default)]
    pub person_at: Option<Timestamp>,
    /// Automatic replies to the contact rest until then.
    #[serde(default)]
    pub rests_until: Option<Timestamp>,
    /// Whether the contact opted out. The default is false.
    #[serde(default)]
    pub opted_out: Option<bool>,
}

/// A message to try the rules with.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewAutoReplyTest {
    /// The message.
    pub message: TestedMessage,
    /// Who writes it.
    #[serde(default)]
    pub contact: Option<TestedContact>,
    /// The session that it comes to. The one of the rule when absent.
    #[serde(default)]
    pub session_id: Option<Id<SessionId>>,
    /// When it comes in. Now when absent.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

impl NewAutoReplyTest {
    pub(super) fn parse(self) -> Result<Trial, Problem> {
        let contact = self.contact.unwrap_or_default();
        let kind = self.message.kind.unwrap_or_else(|| "text".to_owned());
        let mut flaws = Flaws::default();
        let wanted = "the type of a message that comes in, such as text or image";
        let holds = TYPES.contains(&kind.as_str());
        flaws.unless(holds, Code::InvalidRule, "/message/type", wanted);
        let metadata = contact.metadata.unwrap_or_default();
        let metadata = client_data::metadata(metadata, &mut flaws).texts().clone();
        let phone = contact.phone.map(|text| phone_at(&text, "/contact/phone"));
        let phone = phone.transpose()?;
        flaws.judge(Trial {
            session: self.session_id.map(|id| id.0),
            kind,
            text: self.message.text,
            is_group: self.message.in_group.unwrap_or(false),
            at: self.at.map(|at| at.0),
            sent_at: self.message.sent_at.map(|at| at.0),
            previous: contact.last_inbound_at.map(|at| at.0),
            answered_at: contact.answered_at.map(|at| at.0),
            person_at: contact.person_at.map(|at| at.0),
            rests_until: contact.rests_until.map(|at| at.0),
            opted_out: contact.opted_out.unwrap_or(false),
            name: contact.name,
            phone: phone.map(|phone| phone.as_str().to_owned()),
            metadata,
        })
    }
}

/// What one rule would do.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TriedAutoReply {
    /// The rule.
    pub id: Id<AutoReplyId>,
    /// Its name.
    pub name: String,
    /// Whether it would fire.
    pub fires: bool,
    /// `fires`, or the first thing that keeps it from that: `disabled`, `other_session`, `not_yet`, `over`, `never_answered`,
    /// `group`, `too_old`, `type`, `not_first_contact`, `not_returning`, `hours`, `text`, `opted_out`, `resting`, `loop`,
    /// `person`, `once`, or `stopped` (a rule before it fires and stops).
    pub why: String,
    /// The answer that would be queued. Absent if the rule does not fire, or its template makes no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AutoReplyAnswer>,
}

/// What the rules would do with a message.
#[derive(Debug, Serialize, Object)]
pub struct AutoReplyTest {
    /// Always `auto_reply_test`.
    pub object: String,
    /// Whether the rule of the path would fire.
    pub fires: bool,
    /// Every rule of your organisation, in the order in which they are tried.
    pub rules: Vec<TriedAutoReply>,
}

impl AutoReplyTest {
    pub(super) fn of(id: Id<AutoReplyId>, tried: Vec<Tried>) -> Self {
        let rules: Vec<_> = tried
            .into_iter()
            .map(|tried| TriedAutoReply {
                id: Id(tried.id),
                name: tried.name,
                fires: tried.why == Why::Fires,
                why: tried.why.as_str().to_owned(),
                answer: tried.answer.as_ref().map(Into::into),
            })
            .collect();
        Self {
            object: "auto_reply_test".to_owned(),
            fires: rules.iter().any(|rule| rule.id == id && rule.fires),
            rules,
        }
    }
}

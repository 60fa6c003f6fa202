//! Rules for automatic replies.
//!
//! | page | what it holds |
//! |---|---|
//! | here | the operations |
//! | `rule` | a rule in a request and in an answer |
//! | `answer` | the answer of a rule |
//! | `trial` | what the rules would do with a message |

pub mod answer;
mod refusals;
pub mod rule;
pub mod trial;

use passerelle_jobs::{
    Services,
    ids::{AutoReplyId, ContactId},
    people,
    replies::{self, rules},
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use self::{
    rule::{AutoReply, AutoReplyList, NewAutoReply},
    trial::{AutoReplyTest, NewAutoReplyTest},
};
use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Body, Created, Gone, Success},
    list,
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// The longest time that automatic replies to a contact may rest, in days.
pub(crate) const REST_DAYS_MAX: i64 = 365;

/// For how long automatic replies to a contact rest.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewContactAutomation {
    /// They rest until then, at most 365 days from now. When null or absent, they go on at once.
    #[serde(default)]
    pub rests_until: Option<Timestamp>,
}

/// Whether automatic replies to a contact rest.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ContactAutomation {
    /// Always `contact_automation`.
    pub object: String,
    /// The contact.
    pub contact_id: Id<ContactId>,
    /// They rest until then. Absent if they do not rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
}

/// Automatic replies.
pub struct AutoReplies;

#[OpenApi(prefix_path = "/v1", tag = "Group::AutoReplies")]
impl AutoReplies {
    /// Create a rule.
    ///
    /// It answers messages that come in from now on.
    #[oai(
        path = "/auto-replies",
        method = "post",
        operation_id = "create_auto_reply"
    )]
    async fn create_auto_reply(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewAutoReply>,
    ) -> Result<Created<AutoReply>, Problem> {
        let new = body.0.parse()?;
        let kind = new.rule.answer.kind();
        let made = rules::create(&services, caller.0.org, new).await;
        let made = made.map_err(|error| refusals::of(error, kind))?;
        Ok(Created::of(made.into()))
    }

    /// List the rules, newest first.
    ///
    /// They are tried in the order of their `position`.
    #[oai(
        path = "/auto-replies",
        method = "get",
        operation_id = "list_auto_replies"
    )]
    async fn list_auto_replies(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Maximum number of rules to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<AutoReplyList>, Problem> {
        let load = |page| async move { rules::list(services.0, caller.0.org, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a rule.
    #[oai(
        path = "/auto-replies/:id",
        method = "get",
        operation_id = "read_auto_reply"
    )]
    async fn read_auto_reply(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The rule.
        id: Path<Id<AutoReplyId>>,
    ) -> Result<Success<AutoReply>, Problem> {
        let rule = rules::read(&services, caller.0.org, id.0.0).await?;
        rule.map(|rule| Success::of(rule.into()))
            .ok_or_else(not_found)
    }

    /// Replace a rule.
    ///
    /// The body is the whole rule, as to create one. Its counter goes on.
    #[oai(
        path = "/auto-replies/:id",
        method = "put",
        operation_id = "replace_auto_reply"
    )]
    async fn replace_auto_reply(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The rule.
        id: Path<Id<AutoReplyId>>,
        body: Body<NewAutoReply>,
    ) -> Result<Success<AutoReply>, Problem> {
        let new = body.0.parse()?;
        let kind = new.rule.answer.kind();
        let made = rules::replace(&services, caller.0.org, id.0.0, new).await;
        let made = made.map_err(|error| refusals::of(error, kind))?;
        Ok(Success::of(made.into()))
    }

    /// Delete a rule.
    ///
    /// Answers of it that are queued are sent. Its file is deleted when its own time is over.
    #[oai(
        path = "/auto-replies/:id",
        method = "delete",
        operation_id = "delete_auto_reply"
    )]
    async fn delete_auto_reply(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The rule.
        id: Path<Id<AutoReplyId>>,
    ) -> Result<Gone, Problem> {
        let found = rules::delete(&services, caller.0.org, id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }

    /// Try the rules with a message that you think up.
    ///
    /// Says for every rule of your organisation, in their order, whether it would fire, and why not. Nothing is sent or
    /// counted.
    #[oai(
        path = "/auto-replies/:id/test",
        method = "post",
        operation_id = "test_auto_reply"
    )]
    async fn test_auto_reply(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The rule of which `fires` tells.
        id: Path<Id<AutoReplyId>>,
        body: Body<NewAutoReplyTest>,
    ) -> Result<Success<AutoReplyTest>, Problem> {
        let trial = body.0.parse()?;
        let tried = replies::trial::run(&services, caller.0.org, id.0.0, &trial).await?;
        let tried = tried.ok_or_else(not_found)?;
        Ok(Success::of(AutoReplyTest::of(id.0, tried)))
    }

    /// Let automatic replies to a contact rest for a time.
    ///
    /// A person takes over. Messages that you send are not affected.
    #[oai(
        path = "/contacts/:id/automation",
        method = "put",
        operation_id = "set_contact_automation"
    )]
    async fn set_contact_automation(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        body: Body<NewContactAutomation>,
    ) -> Result<Success<ContactAutomation>, Problem> {
        if people::read(&services, caller.0.org, id.0.0)
            .await?
            .is_none()
        {
            return Err(not_found());
        }
        let until = body.0.rests_until.map(|at| at.0);
        let now = services.clock().now();
        let latest = now + REST_DAYS_MAX * 24 * 60 * 60 * 1000;
        if until.is_some_and(|at| at <= now || at > latest) {
            let wanted = "a time from now on, at most 365 days ahead";
            let code = Code::InvalidRest;
            return Err(Problem::expected(code, wanted).at("/rests_until", code.as_str(), wanted));
        }
        let contact = people::rest_automation(&services, caller.0.org, id.0.0, until).await?;
        let contact = contact.ok_or_else(not_found)?;
        Ok(Success::of(ContactAutomation {
            object: "contact_automation".to_owned(),
            contact_id: Id(contact.id),
            rests_until: contact.automation_rests_until.map(Timestamp),
        }))
    }
}

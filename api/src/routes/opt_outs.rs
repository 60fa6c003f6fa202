//! Opt-outs: who wants no more messages, opting out and in by the API, and the settings.

use passerelle_jobs::{
    Services,
    ids::ContactId,
    model,
    opt_outs::{self, Who},
};
use poem::web::Data;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{Group, messages::kinds, not_found, numbers::phone_of, phone};
use crate::{
    auth::Caller,
    body::{Body, Gone, Success},
    flaws::Flaws,
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// How a contact opted out or in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum OptOutSource {
    /// The contact wrote a word.
    Word,
    /// The contact tapped a button or a list entry with a word on it.
    Button,
    /// A request to this API.
    Api,
}

impl From<model::OptOutSource> for OptOutSource {
    fn from(source: model::OptOutSource) -> Self {
        match source {
            model::OptOutSource::Word => Self::Word,
            model::OptOutSource::Button => Self::Button,
            model::OptOutSource::Api => Self::Api,
        }
    }
}

/// A contact that opted out: messages to it are refused.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OptOut {
    /// Always `opt_out`.
    pub object: String,
    /// The contact.
    pub contact_id: Id<ContactId>,
    /// The phone number in E.164, as WhatsApp writes it once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// How it opted out. Absent for opt-outs of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<OptOutSource>,
    /// When it opted out.
    pub opted_out_at: Timestamp,
}

impl From<model::OptOut> for OptOut {
    fn from(out: model::OptOut) -> Self {
        Self {
            object: "opt_out".to_owned(),
            contact_id: Id(out.contact),
            phone: out.phone.map(|phone| phone.as_str().to_owned()),
            lid: out.lid,
            source: out.by.map(Into::into),
            opted_out_at: Timestamp(out.at),
        }
    }
}

list_of!(
    /// A page of opt-outs.
    OptOutList, OptOut);

/// Who opts out. Give exactly one of `phone` and `contact_id`.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewOptOut {
    /// A phone number with its country code, in any spelling. It need not be a contact yet.
    #[serde(default)]
    pub phone: Option<String>,
    /// A contact.
    #[serde(default)]
    pub contact_id: Option<Id<ContactId>>,
}

impl NewOptOut {
    fn who(self) -> Result<Who, Problem> {
        match (self.phone, self.contact_id) {
            (Some(text), None) => phone_of(&text).map(Who::Phone),
            (None, Some(id)) => Ok(Who::Contact(id.0)),
            _ => {
                let rule = "exactly one of `phone` and `contact_id`";
                let code = Code::ValidationFailed;
                Err(Problem::expected(code, rule).at("/phone", "one_of", rule))
            }
        }
    }
}

/// What your organisation does about opt-outs. `PUT` replaces all of it.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct OptOutSettings {
    /// Whether words count that also answer everyday questions, such as `cancel` and `end`. `stop`, `unsubscribe` and the
    /// first word of each language always count. The default is true.
    #[oai(default = "yes")]
    #[serde(default = "yes")]
    pub ambiguous_words: bool,
    /// A text, as in a text message, that a contact gets once after opting out with a word or a button. It waits in the
    /// queue like any message. None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<model::OptOutSettings> for OptOutSettings {
    fn from(settings: model::OptOutSettings) -> Self {
        Self {
            ambiguous_words: settings.ambiguous_words,
            confirmation: settings.confirmation,
        }
    }
}

impl OptOutSettings {
    fn parse(self) -> Result<model::OptOutSettings, Problem> {
        let mut flaws = Flaws::default();
        if let Some(text) = &self.confirmation {
            kinds::text(text, "/confirmation", &mut flaws);
        }
        flaws.judge(model::OptOutSettings {
            ambiguous_words: self.ambiguous_words,
            confirmation: self.confirmation,
        })
    }
}

fn filter(written: Option<String>, id: Option<Id<ContactId>>) -> Result<Option<Who>, Problem> {
    match (written, id) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(Who::Phone(phone(&text)?))),
        (None, Some(id)) => Ok(Some(Who::Contact(id.0))),
        (Some(_), Some(_)) => {
            let rule = "one of `phone` and `contact_id`";
            let code = Code::ValidationFailed;
            Err(Problem::new(code).parameter("phone", "too_many_filters", rule))
        }
    }
}

/// Opt-outs.
pub struct OptOuts;

#[OpenApi(prefix_path = "/v1", tag = "Group::Contacts")]
impl OptOuts {
    /// List the contacts that opted out, the newest contact first.
    ///
    /// Give at most one of `phone` and `contact_id`.
    #[oai(path = "/opt-outs", method = "get", operation_id = "list_opt_outs")]
    async fn list_opt_outs(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only that of this phone number. Any spelling of it that is known finds it.
        phone: Query<Option<String>>,
        /// Only that of this contact.
        contact_id: Query<Option<Id<ContactId>>>,
        /// Maximum number of opt-outs to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<OptOutList>, Problem> {
        let of = filter(phone.0, contact_id.0)?;
        let load = |page| async move {
            opt_outs::list(services.0, caller.0.org, of.as_ref(), &page).await
        };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Opt a contact out.
    ///
    /// Messages to it are refused from now on, and those that are queued for it end as `failed` with
    /// `recipient_opted_out`. It gets no confirmation. A contact that opted out before keeps that opt-out.
    #[oai(path = "/opt-outs", method = "post", operation_id = "create_opt_out")]
    async fn create_opt_out(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewOptOut>,
    ) -> Result<Success<OptOut>, Problem> {
        let who = body.0.who()?;
        let out = opt_outs::opt_out(&services, caller.0.org, who).await?;
        out.map(|out| Success::of(out.into())).ok_or_else(|| {
            let code = Code::ContactNotFound;
            Problem::new(code).at("/contact_id", code.as_str(), "there is no such contact")
        })
    }

    /// Opt a contact in again.
    ///
    /// Only do this when the contact asked for it.
    #[oai(
        path = "/opt-outs/:id",
        method = "delete",
        operation_id = "delete_opt_out"
    )]
    async fn delete_opt_out(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
    ) -> Result<Gone, Problem> {
        let changed = opt_outs::opt_in(&services, caller.0.org, id.0.0).await?;
        changed.then_some(Gone).ok_or_else(not_found)
    }

    /// Read what your organisation does about opt-outs.
    #[oai(
        path = "/opt-out-settings",
        method = "get",
        operation_id = "read_opt_out_settings"
    )]
    async fn read_opt_out_settings(
        &self,
        caller: Caller,
        services: Data<&Services>,
    ) -> Result<Success<OptOutSettings>, Problem> {
        let settings = opt_outs::read_settings(&services, caller.0.org).await?;
        Ok(Success::of(settings.into()))
    }

    /// Set what your organisation does about opt-outs.
    ///
    /// It holds for messages that come in from now on.
    #[oai(
        path = "/opt-out-settings",
        method = "put",
        operation_id = "set_opt_out_settings"
    )]
    async fn set_opt_out_settings(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<OptOutSettings>,
    ) -> Result<Success<OptOutSettings>, Problem> {
        let settings = body.0.parse()?;
        opt_outs::set_settings(&services, caller.0.org, &settings).await?;
        Ok(Success::of(settings.into()))
    }
}

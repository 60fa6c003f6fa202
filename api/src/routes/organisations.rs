//! Organisations and their first keys, for the operator.

use passerelle_jobs::{
    Services,
    ids::{KeyId, OrgId},
    keys, model, organisations,
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{
    Group,
    api_keys::{ApiKeyList, MadeApiKey, NewApiKey},
    not_found,
};
use crate::{
    auth::Operator,
    body::{Body, Created, Gone, Success},
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// An organisation to create.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewOrganisation {
    /// A name for the operator, 1 to 100 characters.
    pub name: String,
}

/// How long files are kept.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewMediaRetention {
    /// Hours after the file arrived: 1 to 720, or up to the retention of the gateway if that is longer.
    pub hours: u32,
}

/// An organisation: a tenant of the gateway.
#[derive(Debug, Serialize, Object)]
pub struct Organisation {
    /// Its id.
    pub id: Id<OrgId>,
    /// Always `organisation`.
    pub object: String,
    /// The name that was given.
    pub name: String,
    /// How long its files are kept, in hours. When absent, the retention of the gateway applies.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_retention_hours: Option<u32>,
    /// Since when it is suspended. When absent, it is not.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl From<model::Organisation> for Organisation {
    fn from(organisation: model::Organisation) -> Self {
        Self {
            id: Id(organisation.id),
            object: "organisation".to_owned(),
            name: organisation.name,
            media_retention_hours: organisation.media_retention_hours,
            suspended_at: organisation.suspended_at.map(Timestamp),
            created_at: Timestamp(organisation.created_at),
        }
    }
}

list_of!(
    /// A page of organisations.
    OrganisationList, Organisation);

fn found(organisation: Option<model::Organisation>) -> Result<Success<Organisation>, Problem> {
    let organisation = organisation.ok_or_else(not_found)?;
    Ok(Success::of(organisation.into()))
}

/// Checks a retention in hours.
pub(crate) fn retention(services: &Services, hours: u32) -> Result<u32, Problem> {
    let most = organisations::media_retention_max(services);
    if (1..=most).contains(&hours) {
        return Ok(hours);
    }
    let wanted = format!(
        "1 to {most} hours: at most 30 days, or the gateway's own retention (--media-retention-hours) if that is longer"
    );
    Err(Problem::new(Code::InvalidRetention).at("/hours", "invalid_retention", wanted))
}

/// Organisations, for the operator.
pub struct Organisations;

#[OpenApi(prefix_path = "/v1/organisations", tag = "Group::Organisations")]
impl Organisations {
    /// Create an organisation.
    #[oai(path = "/", method = "post", operation_id = "create_organisation")]
    async fn create_organisation(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        body: Body<NewOrganisation>,
    ) -> Result<Created<Organisation>, Problem> {
        let name = super::name(&body.0.name)?;
        Ok(Created::of(
            organisations::create(&services, &name).await?.into(),
        ))
    }

    /// List the organisations.
    #[oai(path = "/", method = "get", operation_id = "list_organisations")]
    async fn list_organisations(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// Maximum number of organisations to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<OrganisationList>, Problem> {
        let load = |page| async move { organisations::list(services.0, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read an organisation.
    #[oai(path = "/:id", method = "get", operation_id = "read_organisation")]
    async fn read_organisation(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
    ) -> Result<Success<Organisation>, Problem> {
        let organisation = organisations::read(&services, id.0.0).await?;
        found(organisation)
    }

    /// Set how long the files of an organisation are kept.
    ///
    /// It also applies to existing files. Files that are older are deleted within seconds, except those
    /// that a queued message needs.
    #[oai(
        path = "/:id/media-retention",
        method = "put",
        operation_id = "set_media_retention"
    )]
    async fn set_media_retention(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
        body: Body<NewMediaRetention>,
    ) -> Result<Success<Organisation>, Problem> {
        let hours = retention(&services, body.0.hours)?;
        found(organisations::keep_media(&services, id.0.0, Some(hours)).await?)
    }

    /// Keep the files of an organisation for the retention of the gateway.
    ///
    /// It also applies to existing files.
    #[oai(
        path = "/:id/media-retention",
        method = "delete",
        operation_id = "unset_media_retention"
    )]
    async fn unset_media_retention(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
    ) -> Result<Success<Organisation>, Problem> {
        found(organisations::keep_media(&services, id.0.0, None).await?)
    }

    /// Suspend an organisation.
    ///
    /// Its keys get `organisation_suspended` (403) and its links to files open nothing. Its sessions
    /// disconnect and send nothing, and stay linked. Webhooks to it wait. Nothing is deleted, but a
    /// message that waits in a queue still expires at its `expires_at`.
    #[oai(
        path = "/:id/suspend",
        method = "post",
        operation_id = "suspend_organisation"
    )]
    async fn suspend_organisation(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
    ) -> Result<Success<Organisation>, Problem> {
        found(organisations::suspend(&services, id.0.0).await?)
    }

    /// Resume a suspended organisation.
    ///
    /// Its keys work again, its sessions connect, and what has waited is sent.
    #[oai(
        path = "/:id/resume",
        method = "post",
        operation_id = "resume_organisation"
    )]
    async fn resume_organisation(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
    ) -> Result<Success<Organisation>, Problem> {
        found(organisations::resume(&services, id.0.0).await?)
    }

    /// List the API keys of an organisation, including revoked ones.
    #[oai(
        path = "/:id/api-keys",
        method = "get",
        operation_id = "list_organisation_api_keys"
    )]
    async fn list_organisation_api_keys(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
        /// Maximum number of keys to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ApiKeyList>, Problem> {
        let org = id.0.0;
        organisations::read(&services, org)
            .await?
            .ok_or_else(not_found)?;
        let load = |page| async move { keys::list(services.0, org, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Revoke an API key of an organisation.
    ///
    /// It stops working immediately.
    #[oai(
        path = "/:id/api-keys/:key_id",
        method = "delete",
        operation_id = "revoke_organisation_api_key"
    )]
    async fn revoke_organisation_api_key(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
        /// The key's id.
        key_id: Path<Id<KeyId>>,
    ) -> Result<Gone, Problem> {
        let found = keys::revoke(&services, id.0.0, key_id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }

    /// Create an API key of an organisation.
    ///
    /// Only this answer contains the key.
    #[oai(
        path = "/:id/api-keys",
        method = "post",
        operation_id = "create_organisation_api_key"
    )]
    async fn create_organisation_api_key(
        &self,
        _operator: Operator,
        services: Data<&Services>,
        /// The organisation.
        id: Path<Id<OrgId>>,
        body: Body<NewApiKey>,
    ) -> Result<Created<MadeApiKey>, Problem> {
        let made = super::api_keys::make(&services, id.0.0, &body.0).await?;
        made.map(Created::of).ok_or_else(not_found)
    }
}

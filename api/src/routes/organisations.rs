//! Organisations and their first keys, for the operator.

use passerelle_jobs::{Services, ids::OrgId, model, organisations};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{
    Group,
    api_keys::{MadeApiKey, NewApiKey},
    not_found,
};
use crate::{
    auth::Operator,
    body::{Body, Created, Found},
    list::{self, list_of},
    problem::Problem,
    types::{Id, Timestamp},
};

/// An organisation to make.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewOrganisation {
    /// For the operator's eyes: 1 to 100 characters.
    pub name: String,
}

/// A tenant.
#[derive(Debug, Serialize, Object)]
pub struct Organisation {
    /// Its id.
    pub id: Id<OrgId>,
    /// Always `organisation`.
    pub object: String,
    /// As given.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<model::Organisation> for Organisation {
    fn from(organisation: model::Organisation) -> Self {
        Self {
            id: Id(organisation.id),
            object: "organisation".to_owned(),
            name: organisation.name,
            created_at: Timestamp(organisation.created_at),
        }
    }
}

list_of!(
    /// A page of organisations.
    OrganisationList, Organisation);

/// Organisations, for the operator.
pub struct Organisations;

#[OpenApi(prefix_path = "/v1/organisations", tag = "Group::Organisations")]
impl Organisations {
    /// Make an organisation.
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
        /// Organisations wanted.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// Where the page before ended: its `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Found<OrganisationList>, Problem> {
        let page = list::page(&services, limit.0, cursor.as_deref())?;
        let listed = organisations::list(&services, &page).await?;
        let next_cursor = list::next(&services, &listed, |one| one.id.to_string());
        let (data, has_more) = (
            listed.items.into_iter().map(Into::into).collect(),
            listed.more,
        );
        Ok(Found::of(OrganisationList {
            data,
            has_more,
            next_cursor,
        }))
    }

    /// Make an API key of an organisation.
    ///
    /// The key is shown in this answer and never again.
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

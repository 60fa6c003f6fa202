//! An organisation's API keys.

use passerelle_jobs::{
    Services,
    ids::{KeyId, OrgId},
    keys, model,
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{Group, not_found};
use crate::{
    auth::{self, Caller},
    body::{Body, Created, Gone, Success},
    list::{self, list_of},
    problem::Problem,
    types::{Id, Timestamp},
};

/// An API key to create.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What the key is for, 1 to 100 characters.
    pub name: String,
}

/// A new API key. Only this answer contains `key`.
#[derive(Debug, Serialize, Object)]
pub struct MadeApiKey {
    /// Its id.
    pub id: Id<KeyId>,
    /// Always `api_key`.
    pub object: String,
    /// The name that was given.
    pub name: String,
    /// The key itself, for the header `Authorization: Bearer`.
    pub key: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An API key, without the key.
#[derive(Debug, Serialize, Object)]
pub struct ApiKey {
    /// Its id.
    pub id: Id<KeyId>,
    /// Always `api_key`.
    pub object: String,
    /// The name that was given.
    pub name: String,
    /// The first twelve characters after `psl_`, to recognise a key.
    pub public_id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl From<model::ApiKey> for ApiKey {
    fn from(key: model::ApiKey) -> Self {
        Self {
            id: Id(key.id),
            object: "api_key".to_owned(),
            name: key.name,
            public_id: key.public_id,
            created_at: Timestamp(key.created_at),
            revoked_at: key.revoked_at.map(Timestamp),
        }
    }
}

list_of!(
    /// A page of API keys.
    ApiKeyList, ApiKey);

/// Creates a key. Returns `None` if there is no such organisation.
pub(crate) async fn make(
    services: &Services,
    org: OrgId,
    new: &NewApiKey,
) -> Result<Option<MadeApiKey>, Problem> {
    let name = super::name(&new.name)?;
    let key = auth::ApiKey::generate(&mut services.chance());
    let kept = keys::create(services, org, &name, key.public(), key.secret().as_bytes()).await?;
    Ok(kept.map(|kept| MadeApiKey {
        id: Id(kept.id),
        object: "api_key".to_owned(),
        name: kept.name,
        key: key.reveal(),
        created_at: Timestamp(kept.created_at),
    }))
}

/// An organisation's API keys.
pub struct ApiKeys;

#[OpenApi(prefix_path = "/v1/api-keys", tag = "Group::ApiKeys")]
impl ApiKeys {
    /// Create an API key.
    ///
    /// Only this answer contains the key.
    #[oai(path = "/", method = "post", operation_id = "create_api_key")]
    async fn create_api_key(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewApiKey>,
    ) -> Result<Created<MadeApiKey>, Problem> {
        let made = make(&services, caller.0.org, &body.0).await?;
        made.map(Created::of).ok_or_else(not_found)
    }

    /// List the API keys, including revoked ones.
    #[oai(path = "/", method = "get", operation_id = "list_api_keys")]
    async fn list_api_keys(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Maximum number of keys to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ApiKeyList>, Problem> {
        let load = |page| async move { keys::list(services.0, caller.0.org, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Revoke an API key.
    ///
    /// It stops working immediately, even if it is the key of this request.
    #[oai(path = "/:id", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke_api_key(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The key's id.
        id: Path<Id<KeyId>>,
    ) -> Result<Gone, Problem> {
        let found = keys::revoke(&services, caller.0.org, id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }
}

//! Changes of an endpoint by its owner.

use passerelle_engine::{
    ids::{EndpointId, OrgId},
    store::Tx,
    vault::DataKey,
};

use super::{Settings, row::Run as _};
use crate::model::endpoint::{Disabled, Endpoint};

/// Locks an endpoint until the transaction ends and counts the change. Returns whether there is such an endpoint.
pub(crate) async fn begin(tx: &mut Tx, org: OrgId, id: EndpointId) -> Result<bool, sqlx::Error> {
    sqlx::query("UPDATE endpoint SET revision = revision + 1 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .changes(tx)
        .await
}

/// Stores the settings of an endpoint. Its failures are counted anew.
pub(crate) async fn store(
    tx: &mut Tx,
    key: &DataKey,
    endpoint: &Endpoint,
) -> Result<(), sqlx::Error> {
    let settings = Settings::of(key, endpoint)?;
    let (at, why) = endpoint.disabled.unzip();
    sqlx::query(
        "UPDATE endpoint SET url_sealed = $3, events = $4, wanted = $5, sessions = $6, headers_sealed = $7, \
         inline_media = $8, disabled_at = $9, disabled_why = $10, raw = $11, failing_since = NULL, failures = 0 \
         WHERE org_id = $1 AND id = $2",
    )
    .bind(endpoint.org.to_string())
    .bind(endpoint.id.to_string())
    .bind(settings.url_sealed)
    .bind(settings.events)
    .bind(settings.wanted)
    .bind(settings.sessions)
    .bind(settings.headers_sealed)
    .bind(i64::from(endpoint.inline_media))
    .bind(at)
    .bind(why.map(Disabled::as_str))
    .bind(i64::from(endpoint.raw))
    .run(tx)
    .await
}

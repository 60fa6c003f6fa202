//! The encrypted parts of a session.

use passerelle_engine::{
    ids::{OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{error::Fault, model::client_data::ClientData, store};

/// The label under which what the tenant attached is encrypted.
const CLIENT: &str = "session.client";

/// Returns what the tenant attached to a session.
pub(crate) async fn client(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    id: SessionId,
) -> Result<ClientData, Fault> {
    let sealed = store::sessions::client(tx, org, id).await?;
    open_client(key, org, id, sealed.as_deref())
}

/// Encrypts it. Returns `None` if that is nothing.
pub(crate) fn seal_client(
    key: &DataKey,
    org: OrgId,
    id: SessionId,
    client: &ClientData,
) -> Result<Option<Vec<u8>>, Fault> {
    if client.is_empty() {
        return Ok(None);
    }
    let record = id.to_string();
    Ok(Some(
        key.seal_json(&Place::of(org, CLIENT, &record), client)?,
    ))
}

/// Decrypts it.
pub(crate) fn open_client(
    key: &DataKey,
    org: OrgId,
    id: SessionId,
    sealed: Option<&[u8]>,
) -> Result<ClientData, Fault> {
    let Some(sealed) = sealed else {
        return Ok(ClientData::default());
    };
    let record = id.to_string();
    Ok(key.open_json(&Place::of(org, CLIENT, &record), sealed)?)
}

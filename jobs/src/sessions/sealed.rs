//! The encrypted parts of a session.

use passerelle_engine::{
    ids::{OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{
    error::Fault,
    model::{AutoReject, client_data::ClientData},
    services::Services,
    store,
};

/// Returns the HMAC that a number's row is found by. It is the same for every organisation. `name` is its phone in E.164, or its
/// LID.
pub(crate) fn number_mac(services: &Services, name: &str) -> [u8; 32] {
    services.vault().secret_mac("number.mac", name.as_bytes())
}

/// The label under which what the tenant attached is encrypted.
const CLIENT: &str = "session.client";
/// The label under which what the session does with calls is encrypted.
const AUTO_REJECT: &str = "session.auto_reject";

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

/// Encrypts what a session does with calls. Returns `None` if they ring.
pub(crate) fn seal_auto_reject(
    key: &DataKey,
    org: OrgId,
    id: SessionId,
    auto_reject: Option<&AutoReject>,
) -> Result<Option<Vec<u8>>, Fault> {
    let record = id.to_string();
    let place = Place::of(org, AUTO_REJECT, &record);
    let sealed = auto_reject.map(|auto_reject| key.seal_json(&place, auto_reject));
    Ok(sealed.transpose()?)
}

/// Decrypts it.
pub(crate) fn open_auto_reject(
    key: &DataKey,
    org: OrgId,
    id: SessionId,
    sealed: Option<&[u8]>,
) -> Result<Option<AutoReject>, Fault> {
    let record = id.to_string();
    let place = Place::of(org, AUTO_REJECT, &record);
    let opened = sealed.map(|sealed| key.open_json(&place, sealed));
    Ok(opened.transpose()?)
}

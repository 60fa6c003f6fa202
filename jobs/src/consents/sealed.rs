//! The encrypted parts of consents and opt-in links.

use passerelle_engine::{
    ids::{ConsentId, OptInLinkId, OrgId},
    vault::{DataKey, Place},
};

use crate::{
    error::Fault,
    model::consent::{Agreement, LinkTarget},
};

/// The label under which it is encrypted how a contact agreed.
const AGREEMENT: &str = "consent.agreement";
/// The label under which it is encrypted what a link leads to.
const LINK: &str = "opt_in_link.target";

/// Encrypts how a contact agreed.
pub(crate) fn seal(
    key: &DataKey,
    org: OrgId,
    id: ConsentId,
    how: &Agreement,
) -> Result<Vec<u8>, Fault> {
    let record = id.to_string();
    Ok(key.seal_json(&Place::of(org, AGREEMENT, &record), how)?)
}

/// Decrypts it.
pub(crate) fn open(
    key: &DataKey,
    org: OrgId,
    id: ConsentId,
    sealed: &[u8],
) -> Result<Agreement, Fault> {
    let record = id.to_string();
    Ok(key.open_json(&Place::of(org, AGREEMENT, &record), sealed)?)
}

/// Encrypts what a link leads to.
pub(super) fn seal_link(
    key: &DataKey,
    org: OrgId,
    id: OptInLinkId,
    target: &LinkTarget,
) -> Result<Vec<u8>, Fault> {
    let record = id.to_string();
    Ok(key.seal_json(&Place::of(org, LINK, &record), target)?)
}

/// Decrypts it.
pub(super) fn open_link(
    key: &DataKey,
    org: OrgId,
    id: OptInLinkId,
    sealed: &[u8],
) -> Result<LinkTarget, Fault> {
    let record = id.to_string();
    Ok(key.open_json(&Place::of(org, LINK, &record), sealed)?)
}

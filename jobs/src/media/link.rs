//! Signed links. Anyone who has a link may read one file until the link expires. Receivers of webhooks
//! and browsers need no API key then.
//!
//! A link contains the organisation, the file and the end, and a MAC over them with a key of the
//! organisation. A link of a suspended organisation opens nothing.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use passerelle_engine::{
    clock::Millis,
    ids::{MediaId, OrgId},
    vault::{DataKey, VaultError},
};
use subtle::ConstantTimeEq as _;

use crate::{error::Fault, services::Services, store};

/// What a link opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedUrl {
    /// The organisation.
    pub org: OrgId,
    /// The file.
    pub media: MediaId,
    /// The end, in milliseconds UTC.
    pub until: Millis,
}

impl SignedUrl {
    fn payload(self) -> String {
        format!("{}.{}.{}", self.org, self.media, self.until)
    }

    fn read(payload: &str) -> Option<Self> {
        let mut parts = payload.split('.');
        let link = Self {
            org: OrgId::parse(parts.next()?).ok()?,
            media: MediaId::parse(parts.next()?).ok()?,
            until: parts.next()?.parse().ok()?,
        };
        // Only one text per link is valid: no sign before the number, no leading zeros.
        (link.payload() == payload).then_some(link)
    }
}

/// Returns the whole address, `PUBLIC_URL/media/…`.
pub(super) fn sign(key: &DataKey, public_url: &str, link: SignedUrl) -> String {
    let payload = link.payload();
    let mac = BASE64_URL_SAFE_NO_PAD.encode(key.mac("media.link", payload.as_bytes()));
    format!("{public_url}/media/{payload}.{mac}")
}

/// Checks the last part of a link. Returns `None` if it is not valid or has expired.
pub async fn open(services: &Services, text: &str) -> Result<Option<SignedUrl>, Fault> {
    let Some((payload, mac)) = text.rsplit_once('.') else {
        return Ok(None);
    };
    let (Some(link), Ok(mac)) = (SignedUrl::read(payload), BASE64_URL_SAFE_NO_PAD.decode(mac))
    else {
        return Ok(None);
    };
    if is_suspended(services, link.org).await? {
        return Ok(None);
    }
    let key = match services.vault().org_key(link.org).await {
        Err(VaultError::NoKey(_)) => return Ok(None),
        key => key?,
    };
    let ours = key.mac("media.link", payload.as_bytes());
    let stands = bool::from(ours[..].ct_eq(&mac)) && link.until > services.clock().now();
    Ok(stands.then_some(link))
}

async fn is_suspended(services: &Services, org: OrgId) -> Result<bool, Fault> {
    let mut conn = services.store().read(org).await?;
    let organisation = store::organisations::read(&mut conn, org).await?;
    Ok(organisation.is_some_and(|organisation| organisation.suspended_at.is_some()))
}

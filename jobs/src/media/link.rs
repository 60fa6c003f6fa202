//! Signed links: whoever has one may read one file until a moment. For receivers of webhooks, which
//! need no API key then, and for browsers.
//!
//! A link holds organisation, file and end, and a MAC over them under the organisation's key: a link
//! of an organisation that was deleted opens nothing.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use passerelle_engine::{
    clock::Millis,
    ids::{MediaId, OrgId},
    vault::{DataKey, VaultError},
};
use subtle::ConstantTimeEq as _;

use crate::{error::Fault, services::Services};

/// What a link opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedUrl {
    /// Whose.
    pub org: OrgId,
    /// Which file.
    pub media: MediaId,
    /// Until when, milliseconds UTC.
    pub until: Millis,
}

impl SignedUrl {
    fn said(self) -> String {
        format!("{}.{}.{}", self.org, self.media, self.until)
    }

    fn read(said: &str) -> Option<Self> {
        let mut parts = said.split('.');
        let link = Self {
            org: OrgId::parse(parts.next()?).ok()?,
            media: MediaId::parse(parts.next()?).ok()?,
            until: parts.next()?.parse().ok()?,
        };
        // One text a link: no sign before the number, no zeros.
        (link.said() == said).then_some(link)
    }
}

/// The whole address, `PUBLIC_URL/media/…`.
pub(super) fn sign(key: &DataKey, public_url: &str, link: SignedUrl) -> String {
    let said = link.said();
    let mac = BASE64_URL_SAFE_NO_PAD.encode(key.mac("media.link", said.as_bytes()));
    format!("{public_url}/media/{said}.{mac}")
}

/// What a link's last part opens; none when it is not one of ours, or its time is over.
pub async fn open(services: &Services, text: &str) -> Result<Option<SignedUrl>, Fault> {
    let Some((said, mac)) = text.rsplit_once('.') else {
        return Ok(None);
    };
    let (Some(link), Ok(mac)) = (SignedUrl::read(said), BASE64_URL_SAFE_NO_PAD.decode(mac)) else {
        return Ok(None);
    };
    let key = match services.vault().org_key(link.org).await {
        Err(VaultError::NoKey(_)) => return Ok(None),
        key => key?,
    };
    let ours = key.mac("media.link", said.as_bytes());
    let stands = bool::from(ours[..].ct_eq(&mac)) && link.until > services.clock().now();
    Ok(stands.then_some(link))
}

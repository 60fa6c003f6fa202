//! API keys, and the organisation that a request comes from.
//!
//! An API key has these parts: `psl_`; 12 base62 characters, the public id, by which the key is found; 43
//! base62 characters, the secret of 256 bits; 6 base62 characters, the CRC-32 (as in zip) of everything before,
//! by which a secret scanner recognises a key offline. An operator's key that the gateway creates is `padm_` and
//! 43 base62 characters.

use std::{
    future::{Ready, ready},
    sync::{Arc, OnceLock},
};

use passerelle_jobs::{
    Services,
    ids::{KeyId, OrgId},
    keys::{self, KeyHolder},
};
use poem::Request;
use poem_openapi::{
    SecurityScheme,
    auth::{Bearer, BearerAuthorization},
};
use rand::{CryptoRng, RngExt as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    problem::{Code, Problem},
    quota::{Quotas, Standing},
};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "psl_";
/// The prefix of an operator's key that the gateway creates.
pub const ADMIN_PREFIX: &str = "padm_";
const PUBLIC_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const CHECK_LEN: usize = 6;

/// A whole API key. It is shown only once, when it is created.
pub struct ApiKey {
    public: String,
    secret: Zeroizing<String>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey[sealed]")
    }
}

impl ApiKey {
    /// Creates a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self {
            public: base62(rng, PUBLIC_LEN),
            secret: Zeroizing::new(base62(rng, SECRET_LEN)),
        }
    }

    /// Parses a key. Returns `None` if the format or the check digits are wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let sized = rest.len() == PUBLIC_LEN + SECRET_LEN + CHECK_LEN;
        if !sized || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let (body, check) = text.split_at(text.len() - CHECK_LEN);
        let (public, secret) = body[PREFIX.len()..].split_at(PUBLIC_LEN);
        (checksum(body) == check).then(|| Self {
            public: public.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
        })
    }

    /// Returns the part by which the key is found. It is not secret.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the secret part.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Returns the whole key, to show it once.
    pub fn reveal(&self) -> String {
        let body = format!("{PREFIX}{}{}", self.public, self.secret.as_str());
        format!("{body}{}", checksum(&body))
    }
}

/// Creates an operator's key.
pub fn new_admin_key(rng: &mut impl CryptoRng) -> String {
    format!("{ADMIN_PREFIX}{}", base62(rng, SECRET_LEN))
}

fn base62(rng: &mut impl CryptoRng, len: usize) -> String {
    (0..len)
        .map(|_| char::from(BASE62[rng.random_range(0..BASE62.len())]))
        .collect()
}

fn checksum(body: &str) -> String {
    let mut left = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECK_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(left % 62) as usize];
        left /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// The operator's key from the configuration. Without one, the key from the first start is valid.
#[derive(Clone, Default)]
pub struct AdminKey(Option<Zeroizing<String>>);

impl AdminKey {
    /// Wraps the configured key.
    pub fn new(key: Option<String>) -> Self {
        Self(key.map(Zeroizing::new))
    }

    async fn fits(&self, services: &Services, presented: &str) -> Result<bool, Problem> {
        match &self.0 {
            Some(key) => Ok(bool::from(key.as_bytes().ct_eq(presented.as_bytes()))),
            None => Ok(keys::is_admin(services, presented.as_bytes()).await?),
        }
    }
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminKey[sealed]")
    }
}

/// The tenant that a request comes from. A handler has no other way to get an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// The organisation.
    pub org: OrgId,
    /// The key of the request.
    pub key: KeyId,
}

/// An organisation's API key: `Authorization: Bearer psl_…`.
#[derive(SecurityScheme)]
#[oai(
    ty = "bearer",
    rename = "ApiKey",
    bearer_format = "psl_…",
    checker = "tenant"
)]
pub struct Caller(pub Tenant);

/// The operator's key, as configured or as printed at the first start: `Authorization: Bearer padm_…`.
#[derive(SecurityScheme)]
#[oai(
    ty = "bearer",
    rename = "AdminKey",
    bearer_format = "padm_…",
    checker = "operator"
)]
pub struct Operator(());

/// Who asks, by the key of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// No key, or one that is not valid.
    Stranger,
    /// An organisation.
    Tenant(Tenant),
    /// An organisation that the operator has suspended.
    Suspended(OrgId),
    /// The operator.
    Operator,
}

/// Looks the key of a request up. The door does it once for each request; the operations use its result.
pub(crate) async fn recognise(
    services: &Services,
    admin: &AdminKey,
    request: &Request,
) -> Result<Visitor, Problem> {
    let Ok(bearer) = <Bearer as BearerAuthorization>::from_request(request) else {
        return Ok(Visitor::Stranger);
    };
    if let Some(found) = holder(services, &bearer.token).await? {
        let KeyHolder { org, key, .. } = found;
        return Ok(if found.is_suspended {
            Visitor::Suspended(org)
        } else {
            Visitor::Tenant(Tenant { org, key })
        });
    }
    if admin.fits(services, &bearer.token).await? {
        return Ok(Visitor::Operator);
    }
    Ok(Visitor::Stranger)
}

fn tenant(request: &Request, _: Bearer) -> Ready<poem::Result<Tenant>> {
    ready(match visitor(request) {
        Visitor::Tenant(tenant) => {
            let metered = meter(request, tenant.org);
            metered.map(|()| tenant).map_err(poem::Error::from)
        }
        Visitor::Operator => {
            let needed = "This operation needs the API key of an organisation.";
            Err(Problem::new(Code::InsufficientScope).detail(needed).into())
        }
        Visitor::Suspended(org) => {
            let metered = meter(request, org);
            let suspended = metered.and(Err(Problem::new(Code::OrganisationSuspended)));
            suspended.map_err(poem::Error::from)
        }
        Visitor::Stranger => Err(Problem::new(Code::InvalidApiKey).into()),
    })
}

fn operator(request: &Request, _: Bearer) -> Ready<poem::Result<()>> {
    ready(match visitor(request) {
        Visitor::Operator => Ok(()),
        Visitor::Tenant(_) | Visitor::Suspended(_) => {
            let needed = "This operation needs the operator's key.";
            Err(Problem::new(Code::InsufficientScope).detail(needed).into())
        }
        Visitor::Stranger => Err(Problem::new(Code::InvalidApiKey).into()),
    })
}

fn visitor(request: &Request) -> Visitor {
    request.data().copied().unwrap_or(Visitor::Stranger)
}

/// The request budget of the calling organisation, for the headers of the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metered(Arc<OnceLock<Standing>>);

impl Metered {
    /// Returns `None` if the request has no organisation.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.0.get().copied()
    }
}

fn meter(request: &Request, org: OrgId) -> Result<(), Problem> {
    let quotas: &Quotas = request.data().expect("the surface carries the quotas");
    let (standing, passed) = quotas.request(org);
    if let Some(metered) = request.data::<Metered>() {
        // An operation extracts its caller only once.
        let _ = metered.0.set(standing);
    }
    passed
}

async fn holder(services: &Services, presented: &str) -> Result<Option<KeyHolder>, Problem> {
    let Some(key) = ApiKey::parse(presented) else {
        return Ok(None);
    };
    Ok(keys::find(services, key.public(), key.secret().as_bytes()).await?)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn the_check_digits_are_the_crc32_of_zip_and_png() {
        // The check value that every catalogue of CRCs gives: 0xCBF43926.
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn a_key_reads_back_what_was_shown() {
        let key = ApiKey::generate(&mut StdRng::seed_from_u64(1));
        let shown = key.reveal();
        assert_eq!(shown.len(), 4 + 12 + 43 + 6);
        let read = ApiKey::parse(&shown).unwrap();
        assert_eq!((read.public(), read.secret()), (key.public(), key.secret()));
    }

    #[test]
    fn a_key_with_any_character_changed_is_refused_before_the_store_is_asked() {
        let shown = ApiKey::generate(&mut StdRng::seed_from_u64(2)).reveal();
        for at in 0..shown.len() {
            let mut other = shown.clone().into_bytes();
            other[at] = if other[at] == b'7' { b'8' } else { b'7' };
            assert!(
                ApiKey::parse(&String::from_utf8(other).unwrap()).is_none(),
                "{at}"
            );
        }
        assert!(ApiKey::parse("").is_none());
        assert!(ApiKey::parse(&format!("{shown}x")).is_none());
        assert!(ApiKey::parse("psl_ä").is_none());
    }

    #[test]
    fn a_key_never_shows_in_a_log() {
        let key = ApiKey::generate(&mut StdRng::seed_from_u64(3));
        assert_eq!(format!("{key:?}"), "ApiKey[sealed]");
    }
}

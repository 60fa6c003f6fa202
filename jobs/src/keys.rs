//! API keys and the admin key. The API decides what a key looks like. Here it is a public part to find
//! it by, and a secret part of which only an HMAC is stored. The secret has 256 random bits, so a slow
//! hash would add nothing.

use passerelle_engine::ids::{KeyId, OrgId};
use subtle::ConstantTimeEq as _;

use crate::{
    error::Fault,
    model::{ApiKey, Listed, Page},
    queries::{ListRead, bounded},
    services::Services,
    store,
};

const API_KEY: &str = "api key";
const ADMIN_KEY: &str = "admin key";

/// Stores a new key. Returns `None` if there is no such organisation.
pub async fn create(
    services: &Services,
    org: OrgId,
    name: &str,
    public_id: &str,
    secret: &[u8],
) -> Result<Option<ApiKey>, Fault> {
    let key = ApiKey {
        id: KeyId::new(services.clock()),
        name: name.to_owned(),
        public_id: public_id.to_owned(),
        created_at: services.clock().now(),
        revoked_at: None,
    };
    let mac = services.vault().secret_mac(API_KEY, secret);
    let made = key.clone();
    let kept = services
        .store()
        .write_in_time(org, move |tx| {
            Box::pin(async move {
                if store::organisations::read(tx.conn(), org).await?.is_none() {
                    return Ok::<_, Fault>(false);
                }
                store::keys::insert(tx, org, &made, &mac).await?;
                Ok(true)
            })
        })
        .await?;
    Ok(kept.then_some(key))
}

/// Lists the organisation's keys, newest first, including revoked ones.
pub async fn list(
    services: &Services,
    org: OrgId,
    page: &Page<KeyId>,
) -> Result<Listed<ApiKey>, Fault> {
    let mut read = ListRead::begin(services, org).await?;
    let listed = bounded(store::keys::list(read.conn(), org, page)).await;
    read.end(listed)
}

/// Revokes a key at once. Returns whether there is such a key.
pub async fn revoke(services: &Services, org: OrgId, key: KeyId) -> Result<bool, Fault> {
    let now = services.clock().now();
    services
        .store()
        .write_in_time(org, move |tx| {
            Box::pin(async move { Ok(store::keys::revoke(tx, org, key, now).await?) })
        })
        .await
}

/// Returns whether a key of the organisation is still valid.
pub async fn is_valid(services: &Services, org: OrgId, key: KeyId) -> Result<bool, Fault> {
    let mut conn = services.store().read(org).await?;
    Ok(store::keys::is_valid(&mut conn, org, key).await?)
}

/// Who presents a valid key.
#[derive(Debug, Clone, Copy)]
pub struct KeyHolder {
    /// The organisation of the key.
    pub org: OrgId,
    /// The key.
    pub key: KeyId,
    /// Whether the organisation is suspended.
    pub is_suspended: bool,
}

/// Returns the organisation of a key, if the key is valid.
pub async fn find(
    services: &Services,
    public_id: &str,
    secret: &[u8],
) -> Result<Option<KeyHolder>, Fault> {
    let mut conn = services.store().read_system().await?;
    let found = store::system::find_key(&mut conn, public_id).await?;
    let presented = services.vault().secret_mac(API_KEY, secret);
    // An unknown key is compared too, so that its answer takes as long.
    let kept = found.as_ref().map_or(&[0; 32][..], |key| &key.secret_mac);
    let same = bool::from(presented[..].ct_eq(kept));
    Ok(found.filter(|_| same).map(|found| KeyHolder {
        org: found.org,
        key: found.id,
        is_suspended: found.is_suspended,
    }))
}

/// Stores the admin key at the first start. Returns whether it was the first.
pub async fn keep_admin(services: &Services, secret: &[u8]) -> Result<bool, Fault> {
    let mac = services.vault().secret_mac(ADMIN_KEY, secret);
    let now = services.clock().now();
    services
        .store()
        .write_system(move |tx| {
            Box::pin(async move { Ok(store::system::keep_admin_key(tx, &mac, now).await?) })
        })
        .await
}

/// Returns whether this is the admin key from the first start.
pub async fn is_admin(services: &Services, secret: &[u8]) -> Result<bool, Fault> {
    let mut conn = services.store().read_system().await?;
    let kept = store::system::admin_key(&mut conn).await?;
    let presented = services.vault().secret_mac(ADMIN_KEY, secret);
    Ok(kept.is_some_and(|kept| bool::from(presented[..].ct_eq(&kept))))
}

//! Organisations, for the operator.

use passerelle_engine::ids::OrgId;

use crate::{
    error::Fault,
    model::{Listed, Organisation, Page},
    services::Services,
    store,
};

/// Makes an organisation and its data key.
pub async fn create(services: &Services, name: &str) -> Result<Organisation, Fault> {
    let shared = services.0.clone();
    let organisation = Organisation {
        id: OrgId::new(&shared.clock),
        name: name.to_owned(),
        created_at: shared.clock.now(),
    };
    let made = organisation.clone();
    let vault = shared.vault.clone();
    shared
        .store
        .write(organisation.id, move |tx| {
            Box::pin(async move {
                store::organisations::insert(tx, &made).await?;
                vault.create_org_key(tx, made.id).await?;
                Ok::<_, Fault>(())
            })
        })
        .await?;
    Ok(organisation)
}

/// One organisation.
pub async fn read(services: &Services, org: OrgId) -> Result<Option<Organisation>, Fault> {
    let mut conn = services.0.store.read(org).await?;
    Ok(store::organisations::read(&mut conn, org).await?)
}

/// Every organisation, newest first.
pub async fn list(services: &Services, page: &Page<OrgId>) -> Result<Listed<Organisation>, Fault> {
    let mut conn = services.0.store.read_system().await?;
    Ok(store::system::organisations(&mut conn, page).await?)
}

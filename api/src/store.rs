//! Opening the store that the command line names.

use anyhow::Context as _;
use passerelle_jobs::{KekRing, Store, Vault};

use crate::cli::StoreFlag;

/// Opens and migrates the store. If the keys are wrong, nothing is changed.
pub async fn open(flag: &StoreFlag, kek: &KekRing) -> anyhow::Result<Store> {
    let store = connect(flag).await?;
    Vault::migrate(&store, kek)
        .await
        .context("migrating the store")?;
    Ok(store)
}

/// Opens, migrates and closes the store.
pub async fn migrate(flag: &StoreFlag) -> anyhow::Result<()> {
    let store = connect(flag).await?;
    store.migrate().await.context("migrating the store")?;
    store.close().await;
    Ok(())
}

async fn connect(flag: &StoreFlag) -> anyhow::Result<Store> {
    Store::open_with(&flag.database_url, flag.database_connections)
        .await
        .context("opening the store (--database-url)")
}

//! Opening the store that the command line names.

use anyhow::Context as _;
use passerelle_jobs::{KekRing, Store, Vault};

use crate::cli::StoreFlag;

/// Opens the store and brings its tables up to date. Where the keys are wrong nothing is changed.
pub async fn open(flag: &StoreFlag, kek: &KekRing) -> anyhow::Result<Store> {
    let store = open_as_it_is(flag).await?;
    Vault::migrate(&store, kek)
        .await
        .context("bringing the store's tables up to date")?;
    Ok(store)
}

/// Opens the store, brings its tables up to date and closes it.
pub async fn migrate(flag: &StoreFlag) -> anyhow::Result<()> {
    let store = open_as_it_is(flag).await?;
    store
        .migrate()
        .await
        .context("bringing the store's tables up to date")?;
    store.close().await;
    Ok(())
}

async fn open_as_it_is(flag: &StoreFlag) -> anyhow::Result<Store> {
    Store::open_with(&flag.database_url, flag.database_connections)
        .await
        .context("opening the store (--database-url)")
}

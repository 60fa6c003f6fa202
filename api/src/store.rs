//! Opening the store that the command line names.

use anyhow::Context as _;
use passerelle_jobs::{KekRing, PoolerError, Store, Vault};

use crate::{
    cli::StoreFlag,
    config::{self, StoreSettings},
};

/// Opens and migrates the store. If the keys are wrong, nothing is changed.
pub async fn open(settings: &StoreSettings, kek: &KekRing) -> anyhow::Result<Store> {
    let opened = async {
        let store = connect(settings).await?;
        Vault::migrate(&store, kek)
            .await
            .context("migrating the store")?;
        Ok(store)
    };
    opened.await.map_err(explained)
}

/// Opens, migrates and closes the store.
pub async fn migrate(flag: &StoreFlag) -> anyhow::Result<()> {
    let settings = config::store(flag)?;
    settings.address.warn();
    let migrated = async {
        let store = connect(&settings).await?;
        store.migrate().await.context("migrating the store")?;
        store.close().await;
        Ok(())
    };
    migrated.await.map_err(explained)
}

async fn connect(settings: &StoreSettings) -> anyhow::Result<Store> {
    let store = Store::open_at(&settings.address, settings.connections).await;
    let store = store.context("opening the store (--database-url)")?;
    store.check_pooler().await.map_err(|error| {
        if error.is::<PoolerError>() {
            return error;
        }
        error.context("opening the store (--database-url), with at least two connections")
    })?;
    Ok(store)
}

/// Says which setting is wrong if the server's certificate is not accepted.
fn explained(error: anyhow::Error) -> anyhow::Error {
    match Store::tls_refusal(&error) {
        Some(reason) => anyhow::anyhow!(
            "--database-url (PASSERELLE_DATABASE_URL): {reason}. A certificate authority of your own is named with ?sslrootcert=FILE in the address"
        ),
        None => error,
    }
}

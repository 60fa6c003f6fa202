//! The key store on every available engine.

mod conformance;
mod counting;
mod keeping;
mod sealing;

use std::sync::Arc;

use crate::{
    keystore::SealedKeyStore,
    testing::{Fresh, Owner},
    vault::{KekRing, Vault},
};

/// A session's key store on a new store.
struct Linked {
    vault: Vault,
    owner: Owner,
    keys: Arc<SealedKeyStore>,
}

impl Linked {
    async fn on(fresh: &Fresh) -> Self {
        let vault = fresh.vault(KekRing::generate().0).await.unwrap();
        Self::with(fresh, vault).await
    }

    async fn with(fresh: &Fresh, vault: Vault) -> Self {
        let owner = fresh.owner(&vault).await;
        let keys = Arc::new(fresh.keys(&vault, &owner).await);
        Self { vault, owner, keys }
    }
}

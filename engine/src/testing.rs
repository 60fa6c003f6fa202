//! New stores for this crate's tests: always SQLite, and also PostgreSQL if
//! `PASSERELLE_TEST_POSTGRES` is the address of a server on which databases may be created.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ids::{OrgId, SessionId},
    keystore::SealedKeyStore,
    lease::Lease,
    store::Store,
    vault::{KekRing, Vault, VaultError},
};

/// A migrated store that lasts as long as the test.
pub(crate) struct Fresh {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) url: String,
    /// The folder of the SQLite file.
    pub(crate) folder: Option<tempfile::TempDir>,
}

/// An organisation with one session that this process runs.
pub(crate) struct Owner {
    pub(crate) lease: Lease,
    pub(crate) lost: CancellationToken,
    pub(crate) stop: CancellationToken,
}

/// Returns one store of each available engine.
pub(crate) async fn stores() -> Vec<Fresh> {
    let mut stores = vec![Fresh::sqlite().await];
    if let Ok(server) = std::env::var("PASSERELLE_TEST_POSTGRES") {
        stores.push(Fresh::postgres(&server).await);
    }
    stores
}

impl Fresh {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self::open(url, Some(folder)).await
    }

    async fn postgres(server: &str) -> Self {
        let clock = Clock::system();
        let name = SessionId::new(&clock).to_string();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        run_as_user(server, create).await;
        let (base, _) = server.rsplit_once('/').unwrap();
        Self::open(format!("{base}/{name}"), None).await
    }

    async fn open(url: String, folder: Option<tempfile::TempDir>) -> Self {
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            clock: Clock::system(),
            url,
            folder,
        }
    }

    pub(crate) async fn vault(&self, ring: KekRing) -> Result<Vault, VaultError> {
        Vault::open(&self.store, ring, self.clock.clone()).await
    }

    /// Creates an organisation and a session with their data keys, and a lease of this process.
    pub(crate) async fn owner(&self, vault: &Vault) -> Owner {
        let (org, session) = (OrgId::new(&self.clock), SessionId::new(&self.clock));
        let vault = vault.clone();
        let done: Result<(), VaultError> = self
            .store
            .write(org, move |tx| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO organisation (id, name, created_at) VALUES ($1, 'Café', 0)")
                        .bind(org.to_string())
                        .execute(tx.conn())
                        .await?;
                    sqlx::query("INSERT INTO session (id, org_id, name, desired, created_at) VALUES ($1, $2, 'till', 'running', 0)")
                        .bind(session.to_string())
                        .bind(org.to_string())
                        .execute(tx.conn())
                        .await?;
                    sqlx::query("INSERT INTO lease (session_id, org_id, host_id, epoch) VALUES ($1, $2, 'host', 1)")
                        .bind(session.to_string())
                        .bind(org.to_string())
                        .execute(tx.conn())
                        .await?;
                    vault.create_org_key(tx, org).await?;
                    vault.create_session_key(tx, org, session).await?;
                    Ok(())
                })
            })
            .await;
        done.unwrap();
        let lease = Lease {
            org,
            session,
            host: Arc::from("host"),
            epoch: 1,
        };
        Owner {
            lease,
            lost: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) async fn keys(&self, vault: &Vault, owner: &Owner) -> SealedKeyStore {
        let key = vault
            .session_key(owner.lease.org, owner.lease.session)
            .await
            .unwrap();
        SealedKeyStore::new(
            self.store.clone(),
            owner.lease.clone(),
            key,
            self.clock.clone(),
            owner.lost.clone(),
            owner.stop.clone(),
        )
    }

    /// Runs one fixed statement to prepare a test.
    pub(crate) async fn run(&self, text: &'static str, id: String) -> u64 {
        let changed: Result<u64, sqlx::Error> = self
            .store
            .write_system(move |tx| {
                Box::pin(async move {
                    let done = sqlx::query(text).bind(id).execute(tx.conn()).await?;
                    Ok(done.rows_affected())
                })
            })
            .await;
        changed.unwrap()
    }

    /// Returns every byte of the database and its journal. The shared-memory index is left out,
    /// because readers change it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let folder = self
            .folder
            .as_ref()
            .expect("only SQLite's files are read")
            .path();
        let kept = ["store.db", "store.db-wal"].map(|name| folder.join(name));
        let present = kept.iter().filter(|file| file.exists());
        present
            .flat_map(|file| std::fs::read(file).unwrap())
            .collect()
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
        let Some((server, name)) = self.url.rsplit_once('/').filter(|_| self.folder.is_none())
        else {
            return;
        };
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        run_as_user(&format!("{server}/postgres"), drop).await;
    }
}

/// Runs a statement as the user of the server's address, which no store does.
pub(crate) async fn run_as_user(url: &str, statement: AssertSqlSafe<String>) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    conn.execute(statement).await.unwrap();
    conn.close().await.unwrap();
}

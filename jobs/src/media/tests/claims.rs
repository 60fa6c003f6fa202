//! Claims of files with a token and without one. On PostgreSQL alone, because no other store has tokens.

use passerelle_engine::{
    clock::Millis,
    ids::MediaId,
    store::{SystemTx, Tx},
};

use sqlx::Row as _;

use super::*;
use crate::{
    error::Fault,
    model::{Origin, token::RowToken},
    store::system::{
        dispatches::{Dispatched, FILES, Room},
        media_claims,
    },
};

const LAPSE: Millis = 30_000;

/// Returns `None` if there is no PostgreSQL to test with.
async fn world() -> Option<World> {
    let url = testing::database().await?;
    Some(World::open(&url, tempfile::tempdir().unwrap(), u64::MAX).await)
}

impl World {
    fn now(&self) -> Millis {
        self.services.clock().now()
    }

    /// Stores a file that has to be fetched.
    async fn pending(&self, org: OrgId) -> MediaId {
        let (services, now) = (&self.services, self.now());
        let file = MediaFile {
            id: MediaId::new(services.clock()),
            org,
            session: None,
            message: None,
            kind: MediaKind::Document,
            status: MediaStatus::Pending,
            error: None,
            stored: None,
            created_at: now,
            delete_at: now + 1_000_000,
        };
        let origin = Origin::Url {
            url: "http://127.0.0.1:1/".to_owned(),
            file_name: None,
            mime_type: None,
        };
        let key = services.vault().org_key(org).await.unwrap();
        let row = super::super::sealed::row(&key, &file, Some(&origin)).unwrap();
        let insert = services.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move { store::media::insert(tx, &row).await })
        });
        insert.await.unwrap();
        file.id
    }

    /// Marks the rows that the relay would push at `now`.
    async fn dispatch(&self, now: Millis) -> Vec<Dispatched> {
        let room = Room {
            now,
            lost_before: now - 30_000,
            most: 100,
            pushed: 100,
        };
        let dispatch = self
            .services
            .store()
            .write_system(move |tx: &mut SystemTx| {
                Box::pin(async move { Ok::<_, Fault>(FILES.dispatch(tx, room).await?) })
            });
        dispatch.await.unwrap()
    }

    /// Returns whether the token claims its file at `now`.
    async fn claims(&self, token: &Dispatched, now: Millis) -> bool {
        let token = RowToken {
            id: token.id.clone(),
            attempts: token.attempts,
            generation: token.generation,
        };
        let claim = self
            .services
            .store()
            .write_system(move |tx: &mut SystemTx| {
                Box::pin(async move {
                    Ok::<_, Fault>(FILES.claim(tx, token, (now, now + LAPSE)).await?)
                })
            });
        claim.await.unwrap().is_some()
    }

    async fn status(&self, id: MediaId) -> (MediaStatus, i64, Millis) {
        let mut conn = self.services.store().read_system().await.unwrap();
        let row = sqlx::query("SELECT status, attempts, due_at FROM media WHERE id = $1");
        let row = row.bind(id.to_string()).fetch_one(&mut *conn).await;
        let row = row.unwrap();
        let status: String = row.get("status");
        let status = MediaStatus::parse(&status).unwrap();
        (status, row.get("attempts"), row.get("due_at"))
    }
}

#[tokio::test]
async fn an_organisation_has_no_more_tokens_than_files_that_are_fetched_at_once() {
    let Some(world) = world().await else { return };
    let other = organisations::create(&world.services, "Other")
        .await
        .unwrap()
        .id;
    for _ in 0..6 {
        world.pending(world.org).await;
    }
    for _ in 0..2 {
        world.pending(other).await;
    }
    let now = world.now();
    let tokens = world.dispatch(now).await;
    assert_eq!(tokens.len(), 6, "four of the one, two of the other");
    assert_eq!(world.dispatch(now).await, Vec::new());
    // A claim makes no room, because the fetch is running.
    assert!(world.claims(&tokens[0], now).await);
    assert_eq!(world.dispatch(now).await, Vec::new());
}

#[tokio::test]
async fn a_token_claims_its_file_once_and_counts_the_try() {
    let Some(world) = world().await else { return };
    let (file, now) = (world.pending(world.org).await, world.now());
    let token = world.dispatch(now).await.remove(0);
    assert_eq!(token.id, file.to_string());
    assert!(world.claims(&token, now).await);
    assert_eq!(
        world.status(file).await,
        (MediaStatus::Fetching, 1, now + LAPSE)
    );
    assert!(!world.claims(&token, now).await, "it comes twice");
    // Its worker died.
    let later = now + LAPSE;
    let again = world.dispatch(later).await.remove(0);
    assert_eq!((again.attempts, again.generation), (1, 2));
    assert!(!world.claims(&token, later).await, "it comes late");
    // The second token counts as lost as well, and arrives after the third was dispatched.
    let later = later + 30_000;
    let third = world.dispatch(later).await.remove(0);
    assert_eq!((third.attempts, third.generation), (1, 3));
    assert!(!world.claims(&again, later).await, "it is not the last one");
    assert!(world.claims(&third, later).await);
    assert_eq!(
        world.status(file).await,
        (MediaStatus::Fetching, 2, later + LAPSE)
    );
}

#[tokio::test]
async fn a_file_that_was_claimed_without_its_token_or_put_off_leaves_the_token_nothing() {
    let Some(world) = world().await else { return };
    let (claimed, put_off) = (
        world.pending(world.org).await,
        world.pending(world.org).await,
    );
    let now = world.now();
    let tokens = world.dispatch(now).await;
    let token_of = |file: MediaId| {
        tokens
            .iter()
            .find(|token| token.id == file.to_string())
            .unwrap()
    };
    let generation = token_of(put_off).generation;
    let work = world
        .services
        .store()
        .write_system(move |tx: &mut SystemTx| {
            Box::pin(async move {
                media_claims::put_off(tx, put_off, generation, now + 60_000).await?;
                Ok::<_, Fault>(media_claims::claim(tx, now, now + LAPSE, 10).await?.len())
            })
        });
    assert_eq!(work.await.unwrap(), 1);
    for file in [claimed, put_off] {
        assert!(!world.claims(token_of(file), now).await);
    }
    assert_eq!(
        world.status(claimed).await,
        (MediaStatus::Fetching, 1, now + LAPSE)
    );
    assert_eq!(
        world.status(put_off).await,
        (MediaStatus::Deferred, 0, now + 60_000)
    );
    // Everything else that is due is put off when the disk is full.
    let file = world.pending(world.org).await;
    let token = world.dispatch(world.now()).await.remove(0);
    let until = world.now() + 60_000;
    let defer = world
        .services
        .store()
        .write_system(move |tx: &mut SystemTx| {
            Box::pin(async move { media_claims::defer(tx, until - 60_000, until).await })
        });
    let deferred: Result<(), sqlx::Error> = defer.await;
    deferred.unwrap();
    assert!(!world.claims(&token, world.now()).await);
    assert_eq!(world.status(file).await, (MediaStatus::Deferred, 0, until));
}

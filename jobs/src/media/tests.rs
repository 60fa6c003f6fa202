//! Files: what deletion leaves behind, and the reconciliation of rows and objects. On SQLite, and on
//! PostgreSQL if `PASSERELLE_TEST_POSTGRES` names a database beside which others may be created.

mod claims;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, ids::OrgId, store::Tx};
use tempfile::TempDir;

use super::{
    IngestError, ingest, link,
    retention::{self, Reconciled},
};
use crate::{
    media::{ingest::Upload, objects::Objects, stored::Sealed},
    model::{MediaFile, MediaStatus},
    organisations,
    services::Services,
    settings::MediaSettings,
    store, testing,
};

struct World {
    services: Services,
    org: OrgId,
    folder: TempDir,
}

async fn worlds() -> Vec<World> {
    worlds_with(u64::MAX).await
}

/// Returns a world on each database. An organisation may have `quota` bytes of files.
async fn worlds_with(quota: u64) -> Vec<World> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("test.db").display());
    let mut worlds = vec![World::open(&sqlite, folder, quota).await];
    if let Some(url) = testing::database().await {
        let folder = tempfile::tempdir().unwrap();
        worlds.push(World::open(&url, folder, quota).await);
    }
    worlds
}

impl World {
    async fn open(url: &str, folder: TempDir, quota: u64) -> Self {
        let files = folder.path().join("media");
        let media = MediaSettings {
            objects: Objects::open(&files.display().to_string(), 100).unwrap(),
            quota,
            ..MediaSettings::nowhere()
        };
        let services = testing::services(url, media).await;
        let org = organisations::create(&services, "Acme").await.unwrap().id;
        Self {
            services,
            org,
            folder,
        }
    }

    async fn document(&self, bytes: &'static [u8]) -> MediaFile {
        self.upload(bytes).await.unwrap()
    }

    async fn upload(&self, bytes: &'static [u8]) -> Result<MediaFile, IngestError> {
        let upload = Upload {
            size: None,
            kind: MediaKind::Document,
            file_name: None,
            mime_type: None,
        };
        let chunks = bytes
            .chunks(7)
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let chunks = futures_util::stream::iter(chunks.collect::<Vec<_>>());
        ingest(&self.services, self.org, upload, chunks).await
    }

    async fn read(&self, file: &MediaFile) -> Option<MediaFile> {
        super::read(&self.services, self.org, file.id)
            .await
            .unwrap()
    }

    fn objects(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("media").join(self.org.to_string());
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.path()).collect()
    }
}

#[tokio::test]
async fn a_file_past_its_time_is_deleted_with_its_bytes_and_no_other_is() {
    for world in worlds().await {
        let file = world.document(b"an invoice").await;
        retention::sweep(&world.services, file.delete_at - 1)
            .await
            .unwrap();
        assert!(world.read(&file).await.is_some());
        retention::sweep(&world.services, file.delete_at)
            .await
            .unwrap();
        assert!(world.read(&file).await.is_none());
        assert_eq!(world.objects(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn uploads_at_once_do_not_pass_the_quota_together() {
    for world in worlds_with(15).await {
        let uploads = (0..4).map(|_| world.upload(b"an invoice"));
        let (stored, refused): (Vec<_>, Vec<_>) = futures_util::future::join_all(uploads)
            .await
            .into_iter()
            .partition(Result::is_ok);
        assert_eq!(stored.len(), 1);
        for refused in refused {
            assert!(
                matches!(refused, Err(IngestError::Quota(15))),
                "{refused:?}"
            );
        }
        assert_eq!(world.objects().len(), 1);
    }
}

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn an_organisation_s_own_time_counts_for_what_is_here_and_what_comes() {
    for world in worlds().await {
        let keep = async |hours| {
            let kept = organisations::keep_media(&world.services, world.org, hours);
            kept.await.unwrap().unwrap().media_retention_hours
        };
        let other = organisations::create(&world.services, "Other")
            .await
            .unwrap()
            .id;
        let before = world.document(b"before").await;
        assert_eq!(before.delete_at - before.created_at, 72 * HOUR);
        // Shorter: existing files are deleted earlier, and a waiting message keeps the file it needs.
        let needed = world.document(b"needed").await;
        let until = needed.created_at + 20 * HOUR;
        let (org, id) = (world.org, needed.id);
        let need = world.services.store().write(org, move |tx: &mut Tx| {
            Box::pin(async move { store::media::keep_until(tx, org, id, until).await })
        });
        let _: () = need.await.unwrap();
        assert_eq!(keep(Some(2)).await, Some(2));
        let at = async |file: &MediaFile| world.read(file).await.unwrap().delete_at;
        assert_eq!(at(&before).await, before.created_at + 2 * HOUR);
        assert_eq!(at(&needed).await, until);
        let after = world.document(b"after").await;
        assert_eq!(after.delete_at, after.created_at + 2 * HOUR);
        assert_eq!(at(&after).await, after.delete_at);
        retention::sweep(&world.services, after.created_at + 2 * HOUR)
            .await
            .unwrap();
        assert!(world.read(&before).await.is_none() && world.read(&after).await.is_none());
        assert!(world.read(&needed).await.is_some());
        // Longer, and then the gateway's own retention.
        assert_eq!(keep(Some(700)).await, Some(700));
        assert_eq!(at(&needed).await, needed.created_at + 700 * HOUR);
        assert_eq!(keep(None).await, None);
        assert_eq!(at(&needed).await, needed.created_at + 72 * HOUR);
        // Another organisation's file is not touched.
        let theirs = organisations::read(&world.services, other)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(theirs.media_retention_hours, None);
        let nobody = OrgId::new(world.services.clock());
        assert!(
            organisations::keep_media(&world.services, nobody, Some(1))
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test]
async fn bytes_that_no_row_knows_go_and_a_row_without_bytes_says_so() {
    for world in worlds().await {
        let (whole, lost) = (world.document(b"kept").await, world.document(b"lost").await);
        let object = lost.stored.as_ref().unwrap().object.to_string();
        let folder = world
            .folder
            .path()
            .join("media")
            .join(world.org.to_string());
        std::fs::rename(folder.join(&object), folder.join("not one of ours")).unwrap();
        let stray = passerelle_engine::ids::ObjectId::new(world.services.clock());
        std::fs::write(folder.join(stray.to_string()), b"left by a kill").unwrap();
        // An object that may still be uploading is left alone.
        let young = retention::reconcile(&world.services, Duration::from_hours(2))
            .await
            .unwrap();
        assert_eq!(
            young,
            Reconciled {
                orphans: 0,
                lost: 1
            }
        );
        let found = retention::reconcile(&world.services, Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(
            found,
            Reconciled {
                orphans: 1,
                lost: 0
            }
        );
        assert_eq!(
            world.objects().len(),
            2,
            "what is none of ours is left alone"
        );
        assert_eq!(
            world.read(&whole).await.unwrap().status,
            MediaStatus::Available
        );
        let lost = world.read(&lost).await.unwrap();
        assert_eq!(lost.status, MediaStatus::Failed);
        assert_eq!(lost.error.as_deref(), Some("media_lost"));
    }
}

#[tokio::test]
async fn a_link_ends_at_its_moment_and_opens_nothing_where_no_organisation_is() {
    for world in worlds().await {
        let file = world.document(b"an invoice").await;
        let key = world.services.vault().org_key(world.org).await.unwrap();
        let opens = async |until| {
            let link = link::SignedUrl {
                org: world.org,
                media: file.id,
                until,
            };
            let url = link::sign(&key, "", link);
            let text = url.rsplit_once('/').unwrap().1;
            link::open(&world.services, text).await.unwrap()
        };
        let now = world.services.clock().now();
        assert_eq!(opens(now + 60_000).await.unwrap().media, file.id);
        assert_eq!(opens(now - 1).await, None);
        // No key, no digest: a link of an organisation that does not exist opens nothing.
        let elsewhere = link::SignedUrl {
            org: OrgId::new(world.services.clock()),
            media: file.id,
            until: now + 60_000,
        };
        let url = link::sign(&key, "", elsewhere);
        let text = url.rsplit_once('/').unwrap().1;
        assert_eq!(link::open(&world.services, text).await.unwrap(), None);
        assert_eq!(link::open(&world.services, "a.b.1.c").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_link_opens_its_file_until_its_time_is_over() {
    for world in worlds().await {
        let file = world.document(b"an invoice").await;
        let services = &world.services;
        let key = services.vault().org_key(world.org).await.unwrap();
        let link = link::SignedUrl {
            org: world.org,
            media: file.id,
            until: services.clock().now() + 60_000,
        };
        let address = link::sign(&key, "", link);
        let text = address.strip_prefix("/media/").unwrap();
        let opened = link::open(&world.services, text).await.unwrap();
        assert_eq!(opened.map(|link| link.media), Some(file.id));
        services.clock().advance(Duration::from_mins(1));
        assert!(link::open(&world.services, text).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_type_is_not_guessed_where_the_bytes_cannot_be_read() {
    for world in worlds().await {
        let head = Bytes::from_static(b"\0\0\0\x14ftypmp42\0\0\0\0isom");
        let stored = world.document(b"\0\0\0\x14ftypmp42\0\0\0\0isom").await;
        let stored = stored.stored.unwrap();
        let came = Sealed {
            org: world.org,
            object: stored.object,
            file: stored.file,
        };
        let found = async || ingest::found(&world.services, &came, head.clone()).await;
        assert_eq!(found().await.unwrap(), "video/mp4");
        came.forget(&world.services.settings().media.objects).await;
        assert!(found().await.is_err());
    }
}

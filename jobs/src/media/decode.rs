//! Has a confined worker decode a file.

use passerelle_engine::ids::OrgId;

use super::{
    confined::NotDone,
    error::{BadMedia, IngestError},
    work::{Made, Work},
};
use crate::services::Services;

/// Does `work` on a file of an organisation, in a worker. The caller holds the memory for it.
pub(super) async fn done(
    services: &Services,
    org: OrgId,
    work: &Work,
    file: &[u8],
) -> Result<Made, IngestError> {
    let confinement = services.settings().media.confinement()?;
    match confinement.work(org, work, file).await {
        Ok(reply) => Ok(reply?),
        Err(NotDone::Stopping) => Err(IngestError::Stopping),
        Err(NotDone::NotStarted(why)) => {
            tracing::error!(why, "no file is decoded: a worker could not be confined");
            Err(IngestError::Unconfined)
        }
        Err(error) => {
            tracing::info!(%error, "a file could not be decoded");
            Err(BadMedia::Damaged.into())
        }
    }
}

/// Returns a small JPEG of a picture; `None` if it is no picture or cannot be made small.
pub(super) async fn thumbnail(
    services: &Services,
    org: OrgId,
    mime_type: &str,
    picture: &[u8],
) -> Option<Vec<u8>> {
    let work = Work::Thumbnail {
        mime_type: mime_type.to_owned(),
    };
    let made = done(services, org, &work, picture).await;
    made.ok().map(|made| made.looks.thumbnail)
}

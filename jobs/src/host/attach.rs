//! The file of a message that is about to go out: is it here, and does WhatsApp have it?

use std::time::Duration;

use passerelle_engine::{
    ids::MediaId,
    whatsapp::{Attached, Connection, SendError},
};

use super::outcome::Outcome;
use crate::{
    media::{self, objects::ObjectsError},
    model::{MediaFile, MediaStatus, Message, StoredFile},
    services::Services,
};

/// Between two looks for a file that is still being fetched, at least.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to give WhatsApp a file.
const AGAIN: Duration = Duration::from_secs(5);
/// How long WhatsApp may take to take a file.
const UPLOAD: Duration = Duration::from_mins(10);
/// The disk had no room for the file.
const FULL: &str = "storage_full";
/// The file of a message was deleted before the message went out.
const DELETED: &str = "media_deleted";

/// The file that the message carries, as WhatsApp has it; none of a message without one. An error is
/// what becomes of the message instead.
pub(super) async fn attach(
    services: &Services,
    link: &Connection,
    message: &Message,
) -> Result<Option<Attached>, Outcome> {
    let Some((_, shown)) = message.content.media() else {
        return Ok(None);
    };
    let file = look(services, message, shown.media_id).await?;
    let stored = here(&file)?;
    let objects = &services.settings().media.objects;
    let on_disk = objects.on_disk(message.org, stored.object).await;
    let on_disk = on_disk.map_err(|error| match error {
        ObjectsError::NotFound => Outcome::Failed(DELETED.to_owned()),
        ObjectsError::Failed(error) => {
            tracing::warn!(media.id = %file.id, %error, "a message waits for the object store");
            Outcome::Later(AGAIN)
        }
    })?;
    let upload = link.upload(&stored.file, on_disk.path());
    let uploaded = tokio::time::timeout(UPLOAD, upload).await;
    match uploaded.unwrap_or(Err(SendError::NotOnWire("media_upload_timeout"))) {
        Ok(uploaded) => Ok(Some(Attached {
            file: stored.file.clone(),
            looks: stored.looks.clone(),
            uploaded,
        })),
        Err(SendError::Permanent(code)) => Err(Outcome::Failed(code.to_owned())),
        Err(SendError::NotOnWire(code) | SendError::Unsure(code)) => {
            tracing::info!(message.id = %message.id, code, "a file is not with WhatsApp yet");
            Err(Outcome::Later(AGAIN))
        }
    }
}

async fn look(services: &Services, message: &Message, id: MediaId) -> Result<MediaFile, Outcome> {
    match media::read(services, message.org, id).await {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Outcome::Failed(DELETED.to_owned())),
        Err(fault) => {
            tracing::warn!(message.id = %message.id, error = %fault, "a message waits for the store");
            Err(Outcome::Later(LOOK))
        }
    }
}

fn here(file: &MediaFile) -> Result<&StoredFile, Outcome> {
    match (file.status, &file.stored) {
        (MediaStatus::Available, Some(stored)) => Ok(stored),
        // What waits behind it in the lane is not to wait for room on a disk.
        (MediaStatus::Deferred, _) => Err(Outcome::Failed(FULL.to_owned())),
        (status, _) if status.is_awaited() => Err(Outcome::Later(LOOK)),
        _ => {
            let code = file.error.clone();
            Err(Outcome::Failed(code.unwrap_or_else(|| DELETED.to_owned())))
        }
    }
}

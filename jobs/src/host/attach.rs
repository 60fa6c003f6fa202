//! Prepares the file of a message that is about to be sent: checks that it is stored here, and uploads it
//! to WhatsApp.

use std::time::Duration;

use passerelle_engine::{
    ids::MediaId,
    media::Looks,
    whatsapp::{Attached, Connection, SendError},
};

use super::outcome::Outcome;
use crate::{
    media::{self, objects::ObjectsError, outgoing},
    model::{MediaFile, MediaStatus, Message, StoredFile, UNREADABLE, report_unreadable},
    services::Services,
};

/// Minimum delay before checking again for a file that is still being fetched.
const LOOK: Duration = Duration::from_secs(1);
/// Delay between attempts to upload a file to WhatsApp.
const AGAIN: Duration = Duration::from_secs(5);
/// Timeout for uploading a file to WhatsApp.
const UPLOAD: Duration = Duration::from_mins(10);
/// Error code: the disk had no room for the file.
const FULL: &str = "storage_full";
/// Error code: the file was deleted before its message was sent.
const DELETED: &str = "media_deleted";

/// Uploads the message's file and returns it with its place at WhatsApp. Returns `None` for a message
/// without a file. The error is the outcome of a message that cannot be sent now.
pub(super) async fn attach(
    services: &Services,
    connection: &Connection,
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
        error => {
            tracing::warn!(media.id = %file.id, %error, "the object store does not answer; a message waits");
            Outcome::Later(AGAIN)
        }
    })?;
    let upload = connection.upload(&stored.file, on_disk.path());
    let uploaded = tokio::time::timeout(UPLOAD, upload).await;
    match uploaded.unwrap_or(Err(SendError::NotOnWire("media_upload_timeout"))) {
        Ok(uploaded) => Ok(Some(Attached {
            file_name: outgoing::named_as(shown, &file),
            file: stored.file.clone(),
            looks: Looks {
                mime_type: outgoing::sent_as(shown, &stored.looks.mime_type),
                ..stored.looks.clone()
            },
            uploaded,
        })),
        Err(SendError::Permanent(code)) => Err(Outcome::Failed(code.to_owned())),
        Err(SendError::NotOnWire(code) | SendError::Unsure(code)) => {
            tracing::info!(message.id = %message.id, code, "a file was not uploaded to WhatsApp; it is tried again");
            Err(Outcome::Later(AGAIN))
        }
    }
}

async fn look(services: &Services, message: &Message, id: MediaId) -> Result<MediaFile, Outcome> {
    match media::read(services, message.org, id).await {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Outcome::Failed(DELETED.to_owned())),
        Err(fault) if fault.is_permanent() => {
            report_unreadable("media", &id, &fault);
            Err(Outcome::Failed(UNREADABLE.to_owned()))
        }
        Err(fault) => {
            tracing::warn!(message.id = %message.id, error = %fault, "the file of a message could not be read from the database; the message waits");
            Err(Outcome::Later(LOOK))
        }
    }
}

fn here(file: &MediaFile) -> Result<&StoredFile, Outcome> {
    match (file.status, &file.stored) {
        (MediaStatus::Available, Some(stored)) => Ok(stored),
        // The messages behind it must not wait until the disk has room again.
        (MediaStatus::Deferred, _) => Err(Outcome::Failed(FULL.to_owned())),
        (status, _) if status.is_awaited() => Err(Outcome::Later(LOOK)),
        _ => {
            let code = file.error.clone();
            Err(Outcome::Failed(code.unwrap_or_else(|| DELETED.to_owned())))
        }
    }
}

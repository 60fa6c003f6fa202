//! The file of an inbound message: announced with the message, fetched by a job of its own.

use passerelle_engine::{
    clock::Millis,
    media::{Looks, Remote},
    store::Tx,
    vault::DataKey,
};

use crate::{
    error::Fault,
    media::view::View,
    model::{MediaFile, MediaStatus, Message, Origin},
    settings::MediaSettings,
    store,
};

/// The code of a file that was announced without what is needed to fetch it; it is never fetched.
pub(super) const INCOMPLETE: &str = "media_incomplete";

/// How inbound files are kept. The disk's free space is read before the transaction, which must not wait
/// for a disk.
pub(crate) struct Announcing {
    settings: MediaSettings,
    is_full: bool,
}

impl Announcing {
    /// Reads the settings and the free space at this moment.
    pub(crate) fn now(settings: &MediaSettings) -> Self {
        Self {
            is_full: settings.is_full(),
            settings: settings.clone(),
        }
    }

    /// Stores the row of the file that the message announces, if there is one. Wake the fetches after
    /// the commit.
    pub(crate) async fn announce(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        message: &Message,
        remote: Option<Remote>,
        now: Millis,
    ) -> Result<Option<View>, Fault> {
        let Some((kind, media)) = message.content.media() else {
            return Ok(None);
        };
        let looks = Looks {
            mime_type: media.mime_type.clone().unwrap_or_default(),
            width: media.width,
            height: media.height,
            seconds: media.seconds,
            pages: media.pages,
            ..Looks::default()
        };
        let origin = remote.map(|remote| Origin::WhatsApp {
            remote: Box::new(remote),
            looks: Box::new(looks),
            file_name: media.file_name.clone(),
            asked_again: false,
        });
        let (status, error) = match origin {
            Some(_) if self.is_full => (MediaStatus::Deferred, None),
            Some(_) => (MediaStatus::Pending, None),
            None => (MediaStatus::Failed, Some(INCOMPLETE.to_owned())),
        };
        let of_gateway = self.settings.delete_at(now);
        let file = MediaFile {
            id: media.media_id,
            org: message.org,
            session: Some(message.session),
            message: Some(message.id),
            kind,
            status,
            error,
            stored: None,
            created_at: now,
            delete_at: super::sealed::delete_at(tx, message.org, now, of_gateway).await?,
        };
        store::media::insert(tx, &super::sealed::row(key, &file, origin.as_ref())?).await?;
        Ok(Some(View::of(key, &self.settings, file, now)))
    }
}

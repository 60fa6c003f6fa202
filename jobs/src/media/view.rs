//! A file as it is shown.

use passerelle_engine::{
    clock::Millis,
    content::{Media, MediaKind},
    ids::{MediaId, MessageId, SessionId},
    vault::DataKey,
};
use serde_json::{Value, json};

use super::link::{self, SignedUrl};
use crate::{
    model::{MediaFile, MediaStatus, StoredFile, millis, rfc3339},
    settings::MediaSettings,
};

/// How long a link opens its file.
const LINK: std::time::Duration = std::time::Duration::from_hours(24);

/// A file as the API and the webhooks show it. What is not known, or does not apply, is absent.
#[derive(Debug, Clone)]
pub struct View {
    /// `med_…`
    pub id: MediaId,
    /// Through which session it came in.
    pub session: Option<SessionId>,
    /// The inbound message that carries it.
    pub message: Option<MessageId>,
    /// As what it is sent, or came in.
    pub kind: MediaKind,
    /// Whether its bytes are here.
    pub status: MediaStatus,
    /// Stable code, when it failed.
    pub error: Option<String>,
    /// What is known of it, once it is here.
    pub facts: Option<Media>,
    /// Who has this may read it, until then.
    pub link: Option<(String, Millis)>,
    /// When it was brought in or announced.
    pub created_at: Millis,
    /// It is deleted after this.
    pub delete_at: Millis,
}

impl View {
    /// A file with a link that opens it for a day, or until it is deleted.
    pub(crate) fn of(
        key: &DataKey,
        settings: &MediaSettings,
        file: MediaFile,
        now: Millis,
    ) -> Self {
        let until = now.saturating_add(millis(LINK)).min(file.delete_at);
        let link = SignedUrl {
            org: file.org,
            media: file.id,
            until,
        };
        let may_come = file.status.is_awaited() || file.status == MediaStatus::Available;
        Self {
            link: may_come.then(|| (link::sign(key, &settings.public_url, link), until)),
            facts: file.stored.as_ref().map(|stored| facts(file.id, stored)),
            id: file.id,
            session: file.session,
            message: file.message,
            kind: file.kind,
            status: file.status,
            error: file.error,
            created_at: file.created_at,
            delete_at: file.delete_at,
        }
    }

    /// As a webhook carries it.
    pub(crate) fn json(&self) -> Value {
        let mut shown = self.facts.as_ref().map_or_else(
            || json!({}),
            |facts| serde_json::to_value(facts).unwrap_or_default(),
        );
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("media_id");
        }
        shown["id"] = json!(self.id);
        shown["object"] = json!("media");
        shown["kind"] = json!(self.kind);
        shown["status"] = json!(self.status.shown());
        shown["created_at"] = json!(rfc3339(self.created_at));
        shown["expires_at"] = json!(rfc3339(self.delete_at));
        if let Some(session) = self.session {
            shown["session_id"] = json!(session);
        }
        if let Some(message) = self.message {
            shown["message_id"] = json!(message);
        }
        if let Some(code) = &self.error {
            shown["error"] = json!({ "code": code });
        }
        if let Some((url, until)) = &self.link {
            shown["url"] = json!(url);
            shown["url_expires_at"] = json!(rfc3339(*until));
        }
        shown
    }
}

/// What is known of a file that is here.
pub(super) fn facts(id: MediaId, stored: &StoredFile) -> Media {
    let StoredFile {
        file,
        looks,
        file_name,
        ..
    } = stored;
    Media {
        file_name: file_name.clone(),
        mime_type: Some(looks.mime_type.clone()),
        size: Some(file.size),
        sha256: Some(sha256(stored)),
        width: looks.width,
        height: looks.height,
        seconds: looks.seconds,
        pages: looks.pages,
        ..Media::new(id)
    }
}

/// SHA-256 of a file, 64 hexadecimal digits.
pub fn sha256(stored: &StoredFile) -> String {
    hex::encode(&stored.file.sha256)
}

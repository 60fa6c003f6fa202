//! A file as it is shown.

use chrono::DateTime;
use passerelle_engine::{
    clock::Millis,
    content::{Media, MediaKind},
    ids::{MediaId, MessageId, OrgId, SessionId},
    vault::DataKey,
};
use serde_json::{Value, json};

use super::link::{self, SignedUrl};
use crate::{
    model::{MediaFile, MediaStatus, StoredFile, millis, rfc3339},
    settings::MediaSettings,
};

/// How long a link is valid.
pub const LINK: std::time::Duration = std::time::Duration::from_hours(24);

/// A file as the API and the webhooks show it. A field that is unknown or does not apply is absent.
#[derive(Debug, Clone)]
pub struct View {
    /// `med_…`
    pub id: MediaId,
    /// The session that received it.
    pub session: Option<SessionId>,
    /// The inbound message that carries it.
    pub message: Option<MessageId>,
    /// The kind of message that it is for, or came with.
    pub kind: MediaKind,
    /// Whether its bytes are stored.
    pub status: MediaStatus,
    /// Stable code, if it failed.
    pub error: Option<String>,
    /// Its facts, once it is stored.
    pub facts: Option<Media>,
    /// A link to the file, and when the link expires.
    pub link: Option<(String, Millis)>,
    /// When it was uploaded or announced.
    pub created_at: Millis,
    /// When it is deleted.
    pub delete_at: Millis,
}

impl View {
    /// Returns a file with a link that opens it for a day, or until it is deleted.
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

    /// Returns the JSON of a webhook.
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

/// Signs the link of a file anew, in the JSON that [`View::json`] made some time ago: it opens the file for a
/// day from now, or until the file is deleted. Leaves a file without a link alone.
pub(crate) fn sign_again(
    key: &DataKey,
    public_url: &str,
    org: OrgId,
    shown: &mut Value,
    now: Millis,
) {
    let text = |field: &str| shown[field].as_str();
    let id = text("id").and_then(|id| MediaId::parse(id).ok());
    let delete_at = text("expires_at").and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    let (Some(media), Some(delete_at), Some(_)) = (id, delete_at, text("url")) else {
        return;
    };
    let until = now
        .saturating_add(millis(LINK))
        .min(delete_at.timestamp_millis());
    let link = SignedUrl { org, media, until };
    shown["url"] = json!(link::sign(key, public_url, link));
    shown["url_expires_at"] = json!(rfc3339(until));
}

/// Returns the facts of a stored file.
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
        gif: looks.gif,
        ..Media::new(id)
    }
}

/// Returns the SHA-256 of a file, as 64 hexadecimal digits.
pub fn sha256(stored: &StoredFile) -> String {
    hex::encode(&stored.file.sha256)
}

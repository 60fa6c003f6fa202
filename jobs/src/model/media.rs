//! A file and its status.

use passerelle_engine::{
    clock::Millis,
    content::MediaKind,
    ids::{MediaId, MessageId, ObjectId, OrgId, SessionId},
    media::{Looks, Remote, SealedFile},
};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

words!(MediaStatus);

/// Whether a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum MediaStatus {
    /// It has to be fetched.
    Pending,
    /// It is being fetched.
    Fetching,
    /// It is fetched once the disk has room.
    Deferred,
    /// It is stored.
    Available,
    /// It could not be fetched, or is not valid for its kind; the error code says why.
    Failed,
    /// WhatsApp no longer keeps it.
    Expired,
}

impl MediaStatus {
    /// Returns the text that the API uses, which does not show whether a try is running.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Fetching => Self::Pending.as_str(),
            status => status.as_str(),
        }
    }

    /// Returns whether the file may still become available.
    pub fn is_awaited(self) -> bool {
        matches!(self, Self::Pending | Self::Fetching | Self::Deferred)
    }
}

/// A file of an organisation.
#[derive(Debug, Clone)]
pub struct MediaFile {
    /// `med_…`
    pub id: MediaId,
    /// The organisation.
    pub org: OrgId,
    /// The session that received it; `None` for an upload of the tenant.
    pub session: Option<SessionId>,
    /// The inbound message that carries it.
    pub message: Option<MessageId>,
    /// The kind that it was checked and prepared for.
    pub kind: MediaKind,
    /// Its status.
    pub status: MediaStatus,
    /// Stable code, if it failed.
    pub error: Option<String>,
    /// Its facts, once it is stored.
    pub stored: Option<StoredFile>,
    /// Milliseconds UTC.
    pub created_at: Millis,
    /// When it is deleted.
    pub delete_at: Millis,
}

/// A stored file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredFile {
    /// The name of its object.
    pub object: ObjectId,
    /// The key and digests that decrypt and check it.
    pub file: SealedFile,
    /// What a phone shows before it has downloaded the file.
    pub looks: Looks,
    /// Its name, if the tenant or the sender gave one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_name: Option<String>,
}

/// Where a file has to be fetched from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An address that the tenant gave.
    Url {
        /// The address; checked again at each try.
        url: String,
        /// The file's name, if the tenant gave one.
        file_name: Option<String>,
        /// The file's media type, if the tenant gave one.
        #[serde(default)]
        mime_type: Option<String>,
    },
    /// From WhatsApp.
    WhatsApp {
        /// Where WhatsApp keeps it.
        remote: Box<Remote>,
        /// The facts that its sender stated.
        looks: Box<Looks>,
        /// Its name, if the sender gave one.
        file_name: Option<String>,
        /// Whether its sender's phone was asked to upload it again.
        #[serde(default)]
        asked_again: bool,
        /// Whether the tenant asked for it, although it is large.
        #[serde(default)]
        requested: bool,
    },
}

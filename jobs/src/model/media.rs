//! A file, and whether its bytes are here.

use passerelle_engine::{
    clock::Millis,
    content::MediaKind,
    ids::{MediaId, MessageId, ObjectId, OrgId, SessionId},
    media::{Looks, Remote, SealedFile},
};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

words!(MediaStatus);

/// Whether a file's bytes are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum MediaStatus {
    /// They are to be fetched.
    Pending,
    /// They are being fetched.
    Fetching,
    /// They are fetched as soon as the disk has room.
    Deferred,
    /// They are here.
    Available,
    /// They could not be had, or are no file of the kind; the error code says why.
    Failed,
    /// WhatsApp keeps them no longer.
    Expired,
}

impl MediaStatus {
    /// As the API writes it: whether a try is under way is nobody's business.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Fetching => Self::Pending.as_str(),
            status => status.as_str(),
        }
    }

    /// Whether the bytes may still come.
    pub fn is_awaited(self) -> bool {
        matches!(self, Self::Pending | Self::Fetching | Self::Deferred)
    }
}

/// A file of an organisation.
#[derive(Debug, Clone)]
pub struct MediaFile {
    /// `med_…`
    pub id: MediaId,
    /// Whose it is.
    pub org: OrgId,
    /// Through which session it came in; none of the tenant's own.
    pub session: Option<SessionId>,
    /// The inbound message that carries it.
    pub message: Option<MessageId>,
    /// What it was checked and made ready for.
    pub kind: MediaKind,
    /// Whether its bytes are here.
    pub status: MediaStatus,
    /// Stable code, when it failed.
    pub error: Option<String>,
    /// What is known of it, once it is here.
    pub stored: Option<StoredFile>,
    /// Milliseconds UTC.
    pub created_at: Millis,
    /// It is deleted after this.
    pub delete_at: Millis,
}

/// A file whose bytes are here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredFile {
    /// Under which name its bytes lie.
    pub object: ObjectId,
    /// What opens it.
    pub file: SealedFile,
    /// How it looks.
    pub looks: Looks,
    /// Its name, when the tenant or the sender gave one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_name: Option<String>,
}

/// Where the bytes of a file are to be fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From an address that the tenant gave.
    Url {
        /// The address, judged again at each try.
        url: String,
        /// The file's name, when the tenant gave one.
        file_name: Option<String>,
    },
    /// From WhatsApp.
    WhatsApp {
        /// Where WhatsApp keeps it.
        remote: Box<Remote>,
        /// How its sender says that it looks.
        looks: Box<Looks>,
        /// Its name, when the sender gave one.
        file_name: Option<String>,
        /// Whether its sender's phone was asked to put it up again.
        #[serde(default)]
        asked_again: bool,
    },
}

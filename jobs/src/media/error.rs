//! Why bytes are no file, and why none was stored.

use super::objects::ObjectsError;
use crate::error::Fault;

/// Why the bytes are no file of their kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMedia {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// More bytes than a file of its kind may have.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// Its first bytes are those of another type.
    #[error("the file is {0}, which a message of this kind does not carry")]
    Type(&'static str),
    /// It would have to be converted.
    #[error("the file would have to be converted: needed is {0}")]
    Transcoding(&'static str),
    /// Converting it takes more than is given for it.
    #[error("converting the file takes too much time or memory: needed is {0}")]
    TooCostly(&'static str),
    /// It does not read as what its first bytes say.
    #[error("the file is damaged")]
    Damaged,
    /// A voice note of more seconds than one may have.
    #[error("a voice note has at most {0} seconds")]
    TooLong(usize),
    /// A picture of too many pixels, or a sticker of other than 512 by 512.
    #[error("the picture has the wrong size in pixels")]
    Dimensions,
}

impl BadMedia {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "media_empty",
            Self::TooLarge(_) => "media_too_large",
            Self::Type(_) => "media_type_not_supported",
            Self::Transcoding(_) => "transcoding_unavailable",
            Self::TooCostly(_) => "transcoding_limit",
            Self::Damaged => "media_damaged",
            Self::TooLong(_) => "media_too_long",
            Self::Dimensions => "media_dimensions",
        }
    }
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are no file of their kind.
    #[error(transparent)]
    Bad(#[from] BadMedia),
    /// The bytes stopped coming.
    #[error("the bytes stopped coming")]
    BrokenOff,
    /// Too many files come in at once.
    #[error("too many files come in at once")]
    Busy,
    /// The disk has no room for files.
    #[error("the disk has no room for files")]
    Full,
    /// The gateway is going down.
    #[error("the gateway is going down")]
    Stopping,
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

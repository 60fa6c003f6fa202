//! Why bytes are not a valid file, and why nothing was stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    bounds::{DECODED_MAX, FILM_WITHIN, STICKER_SIDE},
    objects::ObjectsError,
};
use crate::{error::Fault, state::decoding::FILM_MIB};

/// What a phone plays, for a person who converts a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed(pub(super) &'static str);

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why the bytes are not a valid file of their kind.
///
/// A confined process says so in JSON; what only the gateway itself can know is not read from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BadMedia {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// More bytes than the maximum for its kind.
    #[error("the file is larger than {0} bytes, a fixed limit of its kind")]
    TooLarge(u64),
    /// Its content is of another type.
    #[error("a message of this kind does not carry a file of this type")]
    Type,
    /// Its container is known, but not how its sound is coded.
    #[error("the sound of the file is coded in a way that this gateway does not decode")]
    Codec,
    /// It is made of parts that cannot be sent as one.
    #[error("the file is made of parts of different types, which cannot be sent as one")]
    Mixed,
    /// It would have to be converted, and nothing here converts it.
    #[error("the file would have to be converted: needed is {0}")]
    #[serde(skip)]
    Transcoding(Needed),
    /// It would have to be converted, and the program for it is not run because it cannot be confined.
    #[error(
        "the file would have to be converted, and ffmpeg is not run: this kernel has no Landlock, which would close the file system to it (--ffmpeg-unconfined); needed is {0}"
    )]
    #[serde(skip)]
    NotConfined(Needed),
    /// Converting it takes more time or memory than is allowed.
    #[error(
        "converting the file takes more than {within} s or {mib} MiB, which are fixed limits: needed is {0}",
        within = FILM_WITHIN.as_secs(),
        mib = FILM_MIB
    )]
    #[serde(skip)]
    TooCostly(Needed),
    /// It cannot be read as the type that its first bytes announce.
    #[error("the file is damaged")]
    Damaged,
    /// The voice note is longer than the maximum.
    #[error("a voice note has at most {0} seconds, a fixed limit")]
    TooLong(usize),
    /// A picture with too many pixels, or a sticker that is not 512 by 512.
    #[error(
        "the picture has the wrong size in pixels: decoded it may take {mib} MiB, and a sticker has {side} by {side} pixels; these limits are fixed",
        mib = DECODED_MAX >> 20,
        side = STICKER_SIDE
    )]
    Dimensions,
}

impl BadMedia {
    /// Returns that the file is damaged, whatever the library's error.
    pub(super) fn damaged<E>(_: E) -> Self {
        Self::Damaged
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "media_empty",
            Self::TooLarge(_) => "media_too_large",
            Self::Type | Self::Codec => "media_type_not_supported",
            Self::Mixed => "media_mixed",
            Self::Transcoding(_) | Self::NotConfined(_) => "transcoding_unavailable",
            Self::TooCostly(_) => "transcoding_limit",
            Self::Damaged => "media_damaged",
            Self::TooLong(_) => "media_too_long",
            Self::Dimensions => "media_dimensions",
        }
    }
}

/// A file that is not valid for its kind: why, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadFile {
    /// Why it is not valid.
    pub why: BadMedia,
    /// The type that was found in it.
    pub detected: Option<String>,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl From<BadMedia> for BadFile {
    fn from(why: BadMedia) -> Self {
        Self {
            why,
            detected: None,
        }
    }
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are not a valid file of their kind.
    #[error(transparent)]
    Bad(#[from] BadFile),
    /// The upload broke off.
    #[error("the bytes stopped coming")]
    BrokenOff,
    /// Too many files are being uploaded at once.
    #[error("too many files are being uploaded at once")]
    Busy,
    /// The disk has no room for files.
    #[error("the disk may be {0} % full")]
    Full(u8),
    /// The organisation has as many bytes of files as it may have.
    #[error("the organisation may have {0} bytes of files")]
    Quota(u64),
    /// Nothing here may decode files, because it could not be confined.
    #[error("a process that decodes files could not be started or confined")]
    Unconfined,
    /// The gateway is shutting down.
    #[error("the gateway is going down")]
    Stopping,
    /// The object store failed.
    #[error(transparent)]
    Objects(ObjectsError),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ObjectsError> for IngestError {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Full(most) => Self::Full(most),
            error => Self::Objects(error),
        }
    }
}

impl From<BadMedia> for IngestError {
    fn from(why: BadMedia) -> Self {
        Self::Bad(why.into())
    }
}

impl IngestError {
    /// Adds what the file is, unless that is known already.
    pub(super) fn of(self, found: &str) -> Self {
        match self {
            Self::Bad(BadFile {
                why,
                detected: None,
            }) => Self::Bad(BadFile {
                why,
                detected: Some(found.to_owned()),
            }),
            other => other,
        }
    }
}

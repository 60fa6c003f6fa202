//! What a confined worker does with a file: all decoding of bytes from outside, except films.

use std::time::Duration;

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, media::Looks};
use serde::{Deserialize, Serialize};

use super::{
    bounds::{PICTURE_WITHIN, RECORDING_WITHIN},
    error::BadMedia,
    pages, picture,
    ready::{Ready, plain},
    recording, voice,
};

/// What is done with a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    /// It is made ready to be sent.
    Ready { kind: MediaKind, mime_type: String },
    /// A small JPEG is made of a picture.
    Thumbnail { mime_type: String },
    /// The pages of a PDF are counted.
    CountPages,
}

/// What was made of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) looks: Looks,
    /// Whether other bytes take the place of the file's.
    pub(crate) is_changed: bool,
    /// Those bytes. They follow this in the answer.
    #[serde(skip)]
    pub(crate) bytes: Option<Bytes>,
}

/// The answer of a worker.
pub(crate) type Reply = Result<Made, BadMedia>;

impl Work {
    /// Returns how long it may take.
    pub(super) fn within(&self) -> Duration {
        match self {
            Self::Ready {
                kind: MediaKind::Voice | MediaKind::Audio,
                ..
            } => RECORDING_WITHIN,
            Self::Ready { .. } => PICTURE_WITHIN,
            Self::Thumbnail { .. } | Self::CountPages => Duration::from_secs(15),
        }
    }

    /// Does it. May take any time and memory, or crash: call it only in a confined process.
    pub(super) fn perform(&self, file: Vec<u8>) -> Reply {
        #[cfg(feature = "sandbox")]
        super::stand_in::misbehave(&file);
        match self {
            Self::Ready { kind, mime_type } => ready(*kind, mime_type, &file),
            Self::Thumbnail { mime_type } => {
                let thumbnail = picture::small(mime_type, &file).ok_or(BadMedia::Damaged)?;
                Ok(Made::unchanged(Looks {
                    thumbnail,
                    ..Looks::default()
                }))
            }
            Self::CountPages => {
                let pages = pages::count(file);
                Ok(Made::unchanged(Looks {
                    pages,
                    ..Looks::default()
                }))
            }
        }
    }
}

impl Made {
    fn unchanged(looks: Looks) -> Self {
        Self {
            looks,
            is_changed: false,
            bytes: None,
        }
    }
}

impl From<Ready> for Made {
    fn from(ready: Ready) -> Self {
        Self {
            looks: ready.looks,
            is_changed: true,
            bytes: Some(ready.bytes),
        }
    }
}

fn ready(kind: MediaKind, mime_type: &str, file: &[u8]) -> Reply {
    let ready = match kind {
        MediaKind::Audio => {
            let (anew, looks) = recording::audio(mime_type, file)?;
            return Ok(Made {
                looks,
                is_changed: anew.is_some(),
                bytes: anew.map(Bytes::from),
            });
        }
        MediaKind::Voice => voice::voice(mime_type, file)?,
        MediaKind::Sticker => picture::sticker(file)?,
        MediaKind::Image => picture::picture(mime_type, file)?,
        MediaKind::Video | MediaKind::Document => return Ok(Made::unchanged(plain(mime_type))),
    };
    Ok(ready.into())
}

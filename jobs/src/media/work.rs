//! Pictures, recordings and documents, taken apart in a confined worker: what the gateway asks for, and
//! what the worker does.

use std::time::Duration;

use bytes::Bytes;
use passerelle_engine::{content::MediaKind, ids::OrgId, media::Looks};
use serde::{Deserialize, Serialize};

use super::{
    confined::NotDone,
    error::{BadMedia, IngestError},
    pages, picture,
    ready::Ready,
    recording,
    stored::plain,
    voice,
};
use crate::services::Services;

/// Does `work` on a file of an organisation, in a worker. The caller holds the memory for it.
pub(super) async fn done(
    services: &Services,
    org: OrgId,
    work: &Work,
    file: &[u8],
) -> Result<Made, IngestError> {
    let confinement = services.settings().media.confinement()?;
    match confinement.work(org, work, file).await {
        Ok(reply) => Ok(reply?),
        Err(NotDone::Stopping) => Err(IngestError::Stopping),
        Err(NotDone::NotStarted(why)) => {
            tracing::error!(why, "no file is decoded: a worker could not be confined");
            Err(IngestError::Unconfined)
        }
        Err(error) => {
            tracing::info!(%error, "a file could not be decoded");
            Err(BadMedia::Damaged.into())
        }
    }
}

/// Returns a small JPEG of a picture; `None` if it is no picture or cannot be made small.
pub(super) async fn thumbnail(
    services: &Services,
    org: OrgId,
    mime_type: &str,
    picture: &[u8],
) -> Option<Vec<u8>> {
    let work = Work::Thumbnail {
        mime_type: mime_type.to_owned(),
    };
    let made = done(services, org, &work, picture).await;
    made.ok().map(|made| made.looks.thumbnail)
}

/// What is done with a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Work {
    /// It is made ready to be sent.
    Ready { kind: MediaKind, mime_type: String },
    /// A small JPEG is made of a picture.
    Thumbnail { mime_type: String },
    /// The pages of a PDF are counted.
    CountPages,
}

/// What was made of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) looks: Looks,
    /// Whether other bytes take the place of the file's.
    pub(super) is_changed: bool,
    /// Those bytes. They follow this in the answer.
    #[serde(skip)]
    pub(super) bytes: Option<Bytes>,
}

/// The answer of a worker.
pub(super) type Reply = Result<Made, BadMedia>;

impl Work {
    /// Returns how long it may take.
    pub(super) fn within(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Ready {
                kind: MediaKind::Voice | MediaKind::Audio,
                ..
            } => 60,
            Self::Ready { .. } => 30,
            Self::Thumbnail { .. } | Self::CountPages => 15,
        })
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

//! Makes videos ready for a phone.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what happens to a video that was uploaded |
//! | `facts` | what a video file says about itself, and whether a phone plays it |
//! | `ffmpeg` | the program that converts: finding it, trying it, running it |
//! | `metadata` | removes what a video says about where and with what it was made |
//! | `sticker` | makes stickers of pictures |
//! | `boxes`, `samples` | what a video file consists of; where its pictures and sound are |
//!
//! A video that a phone plays keeps its pictures and sound bit by bit, without its metadata. Where ffmpeg is installed, the video gets a thumbnail. A
//! video that is only in the wrong container, or has its description at the end, is repacked without a
//! change to its pictures. Any other video is converted. Without ffmpeg these are refused with a text
//! that says what is needed.

mod boxes;
pub(super) mod facts;
pub(crate) mod ffmpeg;
mod metadata;
mod samples;
pub(super) mod sticker;

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    time::Duration,
};

use passerelle_engine::{content::MediaKind, ids::OrgId, media::Looks};

use self::facts::{Facts, Unread};
use self::ffmpeg::{Ffmpeg, STILL_MAX, Works};
use super::{
    confined::{Confinement, Limits, NotDone, Task},
    decode,
    kinds::{self, NEEDED},
};
use crate::{
    media::{
        error::{BadMedia, IngestError},
        objects::ObjectsError,
        stored::Sealed,
    },
    services::Services,
    state::decoding::WORKER_MIB,
};

/// The type of every video that was made here.
const MP4: &str = "video/mp4";

/// What has to be done before a phone plays the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// Repacking the same pictures and sound.
    Packing,
    Converting,
}

/// Limits for reading what a video says about itself.
const READING: Limits = Limits {
    cpu_seconds: 10,
    memory: WORKER_MIB as u64 * 1024 * 1024,
    file: 4096,
    within: Duration::from_secs(20),
};

/// Reads a video file in memory, in a confined process, and rewinds it.
async fn facts_of(
    confinement: &Confinement,
    film: &File,
    mime_type: &str,
) -> Result<Result<Facts, Unread>, NotDone> {
    let task = Task::Facts {
        mime_type: mime_type.to_owned(),
    };
    let told = confinement.run(task, READING, film).await;
    let mut film = film;
    film.rewind()?;
    let facts = match told {
        Ok((told, _)) => serde_json::from_reader(told.take(READING.file)),
        // A file that makes the parser fail counts as damaged.
        Err(NotDone::Failed(_) | NotDone::TooLong | NotDone::TooMuch) => Ok(Err(Unread::CutOff)),
        Err(other) => return Err(other),
    };
    Ok(facts.unwrap_or(Err(Unread::CutOff)))
}

/// Returns the video's facts, and a new file if the video had to be changed.
pub(super) async fn ready(
    services: &Services,
    came: &Sealed,
    mime_type: &'static str,
) -> Result<(Option<File>, Looks), IngestError> {
    let settings = &services.settings().media;
    let confinement = settings.confinement()?;
    let slot = services.decoding().film(came.org).await;
    let film = came.in_memory(&settings.objects).await?;
    let read = async || {
        facts_of(confinement, &film, mime_type)
            .await
            .map_err(not_made)
    };
    let mut facts = read().await?;
    let enclosed = facts.is_err() && metadata::enclose_trailer(&film).map_err(unreadable)?;
    if enclosed {
        facts = read().await?;
    }
    let works = match &settings.ffmpeg {
        Some(ffmpeg) => ffmpeg.works().await?,
        None => Works::No,
    };
    let ffmpeg = settings.ffmpeg.as_ref().filter(|_| works == Works::Yes);
    let made = match ffmpeg {
        Some(ffmpeg) => made(ffmpeg, &film, facts, mime_type).await?,
        None => None,
    };
    let mut looks = match &made {
        None => unchanged(facts, mime_type, works)?,
        Some(made) => read_back(confinement, made).await?,
    };
    let came_so = made.is_none();
    let film = made.unwrap_or(film);
    let changed = metadata::remove(&film, came_so).await;
    let changed = changed.map_err(unreadable)? || enclosed;
    if let Some(ffmpeg) = ffmpeg {
        looks.thumbnail = thumbnail(services, came.org, ffmpeg, &film).await;
    }
    looks.gif = mime_type == kinds::GIF;
    drop(slot);
    Ok((changed.then_some(film), looks))
}

/// Returns a recording in MP4 without its metadata; `None` if it is left as it is.
pub(super) fn stripped_sound(recording: &[u8]) -> Result<Option<Vec<u8>>, IngestError> {
    metadata::without(recording).map_err(unreadable)
}

fn unreadable(error: io::Error) -> IngestError {
    match error.kind() {
        io::ErrorKind::InvalidData => BadMedia::Damaged.into(),
        _ => ObjectsError::in_memory(error).into(),
    }
}

/// Returns a new file if the video has to be packed or converted.
async fn made(
    ffmpeg: &Ffmpeg,
    film: &File,
    facts: Result<Facts, Unread>,
    mime_type: &'static str,
) -> Result<Option<File>, IngestError> {
    let made = match need(facts, mime_type)? {
        Need::Nothing => None,
        Need::Packing => match ffmpeg.pack(film).await {
            Err(NotDone::Stopping) => return Err(IngestError::Stopping),
            // It could be sent before, so it is sent unchanged.
            Err(_) if kinds::takes(MediaKind::Video, mime_type) => None,
            packed => Some(packed),
        },
        Need::Converting => Some(ffmpeg.convert(film).await),
    };
    made.transpose().map_err(not_made)
}

fn need(facts: Result<Facts, Unread>, mime_type: &str) -> Result<Need, BadMedia> {
    Ok(match facts {
        Err(Unread::CutOff) => return Err(BadMedia::Damaged),
        Err(Unread::Other) => Need::Converting,
        Ok(facts) if !facts.plays => Need::Converting,
        Ok(facts) if facts.begins_at_once && kinds::takes(MediaKind::Video, mime_type) => {
            Need::Nothing
        }
        Ok(_) => Need::Packing,
    })
}

/// Returns the facts of the unchanged video, or an error if no phone plays it.
fn unchanged(
    facts: Result<Facts, Unread>,
    mime_type: &'static str,
    works: Works,
) -> Result<Looks, BadMedia> {
    let refused = match works {
        Works::NotConfined => BadMedia::NotConfined(NEEDED),
        _ => BadMedia::Transcoding(NEEDED),
    };
    if !kinds::takes(MediaKind::Video, mime_type) {
        return Err(refused);
    }
    let facts = facts.map_err(|_| BadMedia::Damaged)?;
    if !facts.plays {
        return Err(refused);
    }
    Ok(facts.looks(mime_type))
}

/// Reads back a video that ffmpeg made.
async fn read_back(confinement: &Confinement, film: &File) -> Result<Looks, IngestError> {
    let facts = facts_of(confinement, film, MP4).await.map_err(not_made)?;
    match facts {
        Ok(facts) if facts.plays => Ok(facts.looks(MP4)),
        _ => {
            tracing::error!("ffmpeg made a video that phones do not play");
            Err(BadMedia::Damaged.into())
        }
    }
}

/// Returns a small JPEG; empty if none can be made, which phones accept.
async fn thumbnail(services: &Services, org: OrgId, ffmpeg: &Ffmpeg, film: &File) -> Vec<u8> {
    let still = match ffmpeg.still(film).await {
        Ok(still) => still,
        Err(error) => {
            tracing::info!(%error, "no thumbnail could be made of a video");
            return Vec::new();
        }
    };
    let mut png = Vec::new();
    if still.take(STILL_MAX).read_to_end(&mut png).is_err() {
        return Vec::new();
    }
    // The film's slot counts for this, too.
    let small = decode::thumbnail(services, org, "image/png", &png).await;
    small.unwrap_or_default()
}

fn not_made(error: NotDone) -> IngestError {
    match error {
        NotDone::Stopping => IngestError::Stopping,
        NotDone::NotStarted(_) => {
            tracing::error!(%error, "ffmpeg could not be started");
            BadMedia::Transcoding(NEEDED).into()
        }
        error => {
            tracing::info!(%error, "a video could not be converted");
            match error {
                NotDone::TooMuch => BadMedia::TooLarge(kinds::size_max(MediaKind::Video)).into(),
                NotDone::TooLong => BadMedia::TooCostly(NEEDED).into(),
                NotDone::Failed(said) if ffmpeg::lacked_memory(&said) => {
                    BadMedia::TooCostly(NEEDED).into()
                }
                _ => BadMedia::Damaged.into(),
            }
        }
    }
}

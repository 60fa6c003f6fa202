//! Makes videos ready for a phone.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what happens to a video that was uploaded |
//! | `facts` | what a video file says about itself, and whether a phone plays it |
//! | `ffmpeg` | the program that converts: finding it, trying it, running it |
//!
//! A video that a phone plays stays unchanged. Where ffmpeg is installed, the video gets a thumbnail. A
//! video that is only in the wrong container, or has its description at the end, is repacked without a
//! change to its pictures. Any other video is converted. Without ffmpeg these are refused with a text
//! that says what is needed.

mod facts;
pub(crate) mod ffmpeg;

use std::{
    fs::File,
    io::{Read as _, Seek as _},
};

use passerelle_engine::{content::MediaKind, media::Looks};

use self::facts::{Facts, Unread};
use self::ffmpeg::{Ffmpeg, STILL_MAX};
use super::{
    confined::NotDone,
    kinds::{self, NEEDED},
    picture,
};
use crate::{
    media::{
        error::{BadMedia, IngestError},
        stored::Sealed,
    },
    services::Services,
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

/// Returns the video's facts, and a new file if the video had to be changed.
pub(super) async fn ready(
    services: &Services,
    came: &Sealed,
    mime_type: &'static str,
) -> Result<(Option<File>, Looks), IngestError> {
    let settings = &services.settings().media;
    let slot = services.decoding().film().await;
    let film = came.in_memory(&settings.objects).await?;
    let facts = facts::of(&film, mime_type).await;
    let Some(ffmpeg) = settings.ffmpeg.as_ref() else {
        return Ok((None, unchanged(facts, mime_type)?));
    };
    if !ffmpeg.works().await? {
        return Ok((None, unchanged(facts, mime_type)?));
    }
    let made = match need(facts, mime_type)? {
        Need::Nothing => None,
        Need::Packing => match ffmpeg.pack(&film).await {
            Err(NotDone::Stopping) => return Err(IngestError::Stopping),
            // It could be sent before, so it is sent unchanged.
            Err(_) if kinds::takes(MediaKind::Video, mime_type) => None,
            packed => Some(packed),
        },
        Need::Converting => Some(ffmpeg.convert(&film).await),
    };
    let made = made.transpose().map_err(not_made)?;
    let mut looks = match &made {
        None => unchanged(facts, mime_type)?,
        Some(made) => read_back(made).ok_or(BadMedia::Damaged)?,
    };
    looks.thumbnail = thumbnail(ffmpeg, made.as_ref().unwrap_or(&film)).await;
    drop(slot);
    Ok((made, looks))
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
fn unchanged(facts: Result<Facts, Unread>, mime_type: &'static str) -> Result<Looks, BadMedia> {
    if !kinds::takes(MediaKind::Video, mime_type) {
        return Err(BadMedia::Transcoding(NEEDED));
    }
    let facts = facts.map_err(|_| BadMedia::Damaged)?;
    if !facts.plays {
        return Err(BadMedia::Transcoding(NEEDED));
    }
    Ok(facts.looks(mime_type))
}

/// Reads back a video that ffmpeg made.
fn read_back(mut film: &File) -> Option<Looks> {
    let facts = facts::read(&mut film).ok().filter(|facts| facts.plays);
    let rewound = film.rewind().is_ok();
    if facts.is_none() || !rewound {
        tracing::error!("ffmpeg made a video that phones do not play");
    }
    Some(facts?.looks(MP4))
}

/// Returns a small JPEG; empty if none can be made, which phones accept.
async fn thumbnail(ffmpeg: &Ffmpeg, film: &File) -> Vec<u8> {
    let still = match ffmpeg.still(film).await {
        Ok(still) => still,
        Err(error) => {
            tracing::info!(%error, "no thumbnail could be made of a video");
            return Vec::new();
        }
    };
    let small = tokio::task::spawn_blocking(move || {
        let mut png = Vec::new();
        let read = still.take(STILL_MAX).read_to_end(&mut png);
        read.ok()
            .and_then(|_| picture::small("image/png", &png))
            .unwrap_or_default()
    });
    // A decoder that panics makes no thumbnail.
    small.await.unwrap_or_default()
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

//! Films, made ready for a phone.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what becomes of a film that came in |
//! | `facts` | what a film says of itself, and whether a phone plays it |
//! | `ffmpeg` | the program that converts: found, tried, asked |
//!
//! A film that a phone plays stays as it is. Where ffmpeg is installed, it gets a thumbnail; what only
//! lies in the wrong container, or describes itself at its end, is packed anew without touching its
//! pictures; any other is converted. Without ffmpeg these are refused, and told what is needed.

mod facts;
pub(crate) mod ffmpeg;

use std::{
    fs::File,
    io::{Read as _, Seek as _},
};

use passerelle_engine::{content::MediaKind, media::Looks};

use self::facts::{Facts, Unread};
use self::ffmpeg::{Ffmpeg, STILL_MAX};
use super::{confined::NotDone, kinds, picture};
use crate::{
    media::{
        error::{BadMedia, IngestError},
        stored::Sealed,
    },
    services::Services,
};

/// What a film is that a phone plays, told to those who bring another one.
pub(super) const NEEDED: &str = "MP4 with H.264 and AAC (ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart OUT.mp4)";

/// What every film is that was made here.
const MP4: &str = "video/mp4";

/// What has to be done before a phone plays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// The same pictures and sounds, packed anew.
    Packing,
    Converting,
}

/// How the film looks; and the film anew, where it had to be changed.
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
        return Ok((None, as_it_is(facts, mime_type)?));
    };
    if !ffmpeg.works().await? {
        return Ok((None, as_it_is(facts, mime_type)?));
    }
    let made = match need(facts, mime_type)? {
        Need::Nothing => None,
        Need::Packing => match ffmpeg.pack(&film).await {
            Err(NotDone::Stopping) => return Err(IngestError::Stopping),
            // It could be sent before, and still can.
            Err(_) if kinds::takes(MediaKind::Video, mime_type) => None,
            packed => Some(packed),
        },
        Need::Converting => Some(ffmpeg.convert(&film).await),
    };
    let made = made.transpose().map_err(not_made)?;
    let mut looks = match &made {
        None => as_it_is(facts, mime_type)?,
        Some(made) => of_made(made).ok_or(BadMedia::Damaged)?,
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

/// The film as it came, if a phone plays it so.
fn as_it_is(facts: Result<Facts, Unread>, mime_type: &'static str) -> Result<Looks, BadMedia> {
    if !kinds::takes(MediaKind::Video, mime_type) {
        return Err(BadMedia::Transcoding(NEEDED));
    }
    let facts = facts.map_err(|_| BadMedia::Damaged)?;
    if !facts.plays {
        return Err(BadMedia::Transcoding(NEEDED));
    }
    Ok(facts.looks(mime_type))
}

/// A film that was made here says what it is like any other.
fn of_made(mut film: &File) -> Option<Looks> {
    let facts = facts::read(&mut film).ok().filter(|facts| facts.plays);
    let rewound = film.rewind().is_ok();
    if facts.is_none() || !rewound {
        tracing::error!("ffmpeg made a film that no phone plays");
    }
    Some(facts?.looks(MP4))
}

/// A small JPEG; empty when none can be made, which a phone does not mind.
async fn thumbnail(ffmpeg: &Ffmpeg, film: &File) -> Vec<u8> {
    let still = match ffmpeg.still(film).await {
        Ok(still) => still,
        Err(error) => {
            tracing::info!(%error, "a film has no thumbnail");
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
    // A decoder that panics makes none.
    small.await.unwrap_or_default()
}

fn not_made(error: NotDone) -> IngestError {
    match error {
        NotDone::Stopping => IngestError::Stopping,
        NotDone::NotStarted(_) => {
            tracing::error!(%error, "ffmpeg did not start");
            BadMedia::Transcoding(NEEDED).into()
        }
        error => {
            tracing::info!(%error, "a film was not converted");
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

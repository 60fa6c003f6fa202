//! Recordings and films: how long they play, and whether a phone can play them.

use std::io::{BufReader, Read, Seek, SeekFrom};

use futures_util::StreamExt as _;
use lofty::{file::AudioFile as _, probe::Probe};
use mp4parse::{CodecType, SampleEntry, Track, TrackType};
use passerelle_engine::{
    content::MediaKind,
    ids::{ObjectId, OrgId},
    media::{Looks, SealedFile},
};
use tokio::runtime::Handle;

use super::{
    ingest::{BadMedia, Sealed, plain},
    objects::Objects,
};

/// What a voice note is made of.
pub(super) const NEEDED_VOICE: &str = "Ogg with Opus, or MP3, M4A, AAC, FLAC, WAV or Ogg with Vorbis (ffmpeg -i IN -ac 1 -ar 16000 -c:a libopus OUT.ogg)";

/// What a message of this kind carries, told to those who bring something else.
pub(super) fn needed(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Voice => NEEDED_VOICE,
        MediaKind::Video => {
            "MP4 with H.264 and AAC (ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart OUT.mp4)"
        }
        _ => "AAC, M4A, MP3, AMR or Ogg with Opus",
    }
}

/// How a stored file looks, read back piece by piece.
pub(super) async fn looks(
    objects: &Objects,
    came: &Sealed,
    kind: MediaKind,
    mime_type: &'static str,
) -> Result<Looks, BadMedia> {
    let mut looks = plain(mime_type);
    let reader = Reader {
        runtime: Handle::current(),
        objects: objects.clone(),
        org: came.org,
        object: came.object,
        file: came.file.clone(),
        at: 0,
    };
    let reader = BufReader::with_capacity(WINDOW, reader);
    match kind {
        MediaKind::Audio => {
            let read = tokio::task::spawn_blocking(move || seconds(reader)).await;
            looks.seconds = read.ok().flatten();
        }
        MediaKind::Video => {
            let read = tokio::task::spawn_blocking(move || film(reader)).await;
            let film = read.unwrap_or(Err(BadMedia::Damaged))?;
            looks.seconds = Some(film.seconds);
            (looks.width, looks.height) = (Some(film.width), Some(film.height));
        }
        MediaKind::Document | MediaKind::Image | MediaKind::Sticker | MediaKind::Voice => {}
    }
    Ok(looks)
}

/// How long a recording plays; none when it does not say, as AMR does not.
fn seconds(reader: impl Read + Seek) -> Option<u32> {
    let read = Probe::new(reader).guess_file_type().ok()?.read().ok()?;
    whole_seconds(read.properties().duration().as_secs_f64())
}

/// Started seconds count.
fn whole_seconds(seconds: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number between 0 and a day"
    )]
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| seconds.ceil().max(1.0) as u32)
}

#[derive(Debug, PartialEq, Eq)]
struct Film {
    seconds: u32,
    width: u32,
    height: u32,
}

fn film(mut reader: impl Read) -> Result<Film, BadMedia> {
    let context = mp4parse::read_mp4(&mut reader).map_err(|_| BadMedia::Damaged)?;
    let of = |kind: TrackType| {
        context
            .tracks
            .iter()
            .filter(move |track| track.track_type == kind)
    };
    let video = of(TrackType::Video).next().ok_or(BadMedia::Damaged)?;
    let plays = plays(video, CodecType::H264)
        && of(TrackType::Audio).all(|track| plays(track, CodecType::AAC));
    if !plays {
        return Err(BadMedia::Transcoding(needed(MediaKind::Video)));
    }
    let (width, height) = size(video).ok_or(BadMedia::Damaged)?;
    Ok(Film {
        seconds: duration(video).unwrap_or(1),
        width,
        height,
    })
}

fn plays(track: &Track, wanted: CodecType) -> bool {
    let entries = track.stsd.iter().flat_map(|stsd| stsd.descriptions.iter());
    let mut codecs = entries.filter_map(|entry| match entry {
        SampleEntry::Video(video) => Some(video.codec_type),
        SampleEntry::Audio(audio) => Some(audio.codec_type),
        SampleEntry::Unknown => None,
    });
    codecs.next() == Some(wanted) && codecs.all(|codec| codec == wanted)
}

fn size(track: &Track) -> Option<(u32, u32)> {
    let stsd = track.stsd.as_ref()?;
    stsd.descriptions.iter().find_map(|entry| match entry {
        SampleEntry::Video(video) => Some((video.width.into(), video.height.into())),
        _ => None,
    })
}

fn duration(track: &Track) -> Option<u32> {
    let (ticks, scale) = (track.duration?.0, track.timescale?.0);
    #[expect(clippy::cast_precision_loss, reason = "seconds, rounded anyway")]
    whole_seconds(ticks as f64 / scale as f64)
}

/// How much is read from the store at once.
const WINDOW: usize = 64 * 1024;

/// A stored file, read and sought like one on disk, on a thread that may wait.
struct Reader {
    runtime: Handle,
    objects: Objects,
    org: OrgId,
    object: ObjectId,
    file: SealedFile,
    at: u64,
}

impl Reader {
    async fn some(&self, most: usize) -> std::io::Result<Vec<u8>> {
        let wanted = self.at..self.at.saturating_add(most as u64);
        let part = self
            .objects
            .part(self.org, self.object, self.file.clone(), wanted);
        let part = part.await.map_err(std::io::Error::other)?;
        let mut part = std::pin::pin!(part);
        let mut bytes = Vec::with_capacity(most);
        while let Some(chunk) = part.next().await {
            bytes.extend_from_slice(&chunk.map_err(std::io::Error::other)?);
        }
        Ok(bytes)
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(WINDOW);
        let bytes = self.runtime.clone().block_on(self.some(most))?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const FILM: &[u8] = include_bytes!("../../../tests/assets/film.mp4");
    const HEVC: &[u8] = include_bytes!("../../../tests/assets/hevc.mp4");
    const SONG: &[u8] = include_bytes!("../../../tests/assets/song.mp3");

    #[test]
    fn a_film_says_how_long_it_plays_and_its_size() {
        let expected = Film {
            seconds: 2,
            width: 160,
            height: 120,
        };
        assert_eq!(film(FILM), Ok(expected));
        assert!(matches!(film(HEVC), Err(BadMedia::Transcoding(_))));
        assert_eq!(film(&FILM[..1000]), Err(BadMedia::Damaged));
        assert_eq!(film(b"".as_slice()), Err(BadMedia::Damaged));
    }

    #[test]
    fn a_recording_says_how_long_it_plays() {
        assert_eq!(seconds(Cursor::new(SONG)), Some(3));
        assert_eq!(seconds(Cursor::new(b"#!AMR\n")), None);
    }

    proptest! {
        /// Whatever a byte was bent to, reading ends, with an answer.
        #[test]
        fn a_bent_film_or_recording_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            for whole in [FILM, SONG] {
                let mut bent = whole.to_vec();
                // The head has all that counts.
                bent[at.index(600)] = byte;
                bent.truncate(cut.index(bent.len()) + 1);
                let _ = film(&*bent);
                let _ = seconds(Cursor::new(&bent));
            }
        }
    }
}

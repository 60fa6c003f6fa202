//! Reads how long a recording plays.

use std::io::{BufReader, Read, Seek, SeekFrom};

use futures_util::StreamExt as _;
use lofty::{file::AudioFile as _, probe::Probe};
use passerelle_engine::{
    content::MediaKind,
    ids::{ObjectId, OrgId},
    media::{Looks, SealedFile},
};
use tokio::runtime::Handle;

use super::{film, objects::Objects};
use crate::media::stored::{Sealed, plain};

/// What a voice note can be made of.
pub(super) const NEEDED_VOICE: &str = "Ogg with Opus, or MP3, M4A, AAC, FLAC, WAV or Ogg with Vorbis (ffmpeg -i IN -ac 1 -ar 16000 -c:a libopus OUT.ogg)";

/// Returns what a message of this kind can carry; part of the error for anything else.
pub(super) fn needed(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Voice => NEEDED_VOICE,
        MediaKind::Video => film::NEEDED,
        _ => "AAC, M4A, MP3, AMR or Ogg with Opus",
    }
}

/// Returns the facts of a stored recording, reading it piece by piece.
pub(super) async fn looks(objects: &Objects, came: &Sealed, mime_type: &'static str) -> Looks {
    let reader = BufReader::with_capacity(WINDOW, Reader::of(objects, came));
    let read = tokio::task::spawn_blocking(move || seconds(reader)).await;
    Looks {
        seconds: read.ok().flatten(),
        ..plain(mime_type)
    }
}

/// Returns how long a recording plays; `None` if the file does not say, as AMR does not.
fn seconds(reader: impl Read + Seek) -> Option<u32> {
    let read = Probe::new(reader).guess_file_type().ok()?.read().ok()?;
    whole_seconds(read.properties().duration().as_secs_f64())
}

/// Rounds up to whole seconds.
pub(super) fn whole_seconds(seconds: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number between 0 and a day"
    )]
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| seconds.ceil().max(1.0) as u32)
}

/// How much is read from the store at once.
const WINDOW: usize = 64 * 1024;

/// A stored file that is read and seeked like one on disk, on a thread that may block.
struct Reader {
    runtime: Handle,
    objects: Objects,
    org: OrgId,
    object: ObjectId,
    file: SealedFile,
    at: u64,
}

impl Reader {
    /// Starts at the beginning. Must be called inside a runtime, and used on a thread of it that may
    /// block.
    fn of(objects: &Objects, came: &Sealed) -> Self {
        Self {
            runtime: Handle::current(),
            objects: objects.clone(),
            org: came.org,
            object: came.object,
            file: came.file.clone(),
            at: 0,
        }
    }

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

    const SONG: &[u8] = include_bytes!("../../../tests/assets/song.mp3");

    #[test]
    fn a_recording_says_how_long_it_plays() {
        assert_eq!(seconds(Cursor::new(SONG)), Some(3));
        assert_eq!(seconds(Cursor::new(b"#!AMR\n")), None);
    }

    proptest! {
        /// Whatever byte was changed, reading ends with an answer.
        #[test]
        fn a_bent_recording_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bent = SONG.to_vec();
            // Everything that matters is in the first bytes.
            bent[at.index(600)] = byte;
            bent.truncate(cut.index(bent.len()) + 1);
            let _ = seconds(Cursor::new(&bent));
        }
    }
}

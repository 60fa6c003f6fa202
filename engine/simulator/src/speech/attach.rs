//! Uploads a phone's encrypted file to the media server before the message is sent.

use std::fs::File;
use std::io::{self, BufWriter, Read};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::media::cipher::Sums;
use crate::media::{GOOD_FOR, MediaKind, cipher};
use crate::state::content::FileSource;
use crate::state::world::World;

/// A file on the media server.
pub(crate) struct UploadedFile {
    pub(crate) media_key: [u8; 32],
    pub(crate) sums: Sums,
    pub(crate) url: String,
    pub(crate) direct_path: String,
    pub(crate) now: u64,
}

impl UploadedFile {
    /// Returns the file as the control API shows it.
    pub(crate) fn view(&self) -> serde_json::Value {
        serde_json::json!({
            "sha256": hex::encode(self.sums.plain),
            "enc_sha256": hex::encode(self.sums.sealed),
            "length": self.sums.length,
            "direct_path": self.direct_path,
            "url": self.url,
        })
    }
}

/// Encrypts and stores a file. It writes files and blocks, so run it on a blocking thread.
pub(crate) fn attach(
    world: &World,
    kind: MediaKind,
    source: &FileSource,
    media_key: [u8; 32],
) -> anyhow::Result<UploadedFile> {
    let path = world.media.new_file()?;
    let to = BufWriter::new(File::create(&path)?);
    let sums = match source {
        FileSource::Bytes(bytes) => cipher::seal(&media_key, kind, &**bytes, to)?,
        FileSource::Seeded { size, seed } => {
            let from = Seeded(StdRng::seed_from_u64(*seed)).take(*size);
            cipher::seal(&media_key, kind, from, to)?
        }
    };
    let length = std::fs::metadata(&path)?.len();
    let now = world.clock.seconds();
    let direct_path = world.media.keep(path, sums.sealed, length, now + GOOD_FOR);
    Ok(UploadedFile {
        media_key,
        sums,
        url: world.media_url(&direct_path),
        direct_path,
        now,
    })
}

/// An endless source of bytes.
struct Seeded(StdRng);

impl Read for Seeded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fill_bytes(buffer);
        Ok(buffer.len())
    }
}

//! ffmpeg, which converts films: found at start, tried before it is first needed, asked in a confined
//! process.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use crate::media::{
    confined::{Confinement, Limits, NotDone, Task, in_memory},
    error::IngestError,
    kinds,
};

const MIB: u64 = 1024 * 1024;

/// What converting one film may take. ffmpeg 5.1 of Debian 12, on one thread, maps 270 MiB of libraries
/// before it does anything; 2160 lines of HEVC then want 512 MiB in all, and 576 MiB in ten bits, as
/// telephones record them.
const CONVERTING: Limits = Limits {
    cpu_seconds: 30,
    memory: 640 * MIB,
    file: kinds::VIDEO_MAX,
    within: Duration::from_mins(1),
};
/// The longest picture of a film, in bytes; it has at most 100 by 100 pixels.
pub(super) const STILL_MAX: u64 = MIB;
/// What one picture of it may take.
const STILL: Limits = Limits {
    cpu_seconds: 10,
    file: STILL_MAX,
    within: Duration::from_secs(20),
    ..CONVERTING
};

/// Every time: it asks nothing, tells errors alone, and works on one thread.
const ALWAYS: &str = "-nostdin -hide_banner -loglevel error -filter_threads 1 -y";
/// A film to read: its standard input, by a name that can be sought in, for it is a file. A fault in it
/// is the end. Whatever it claims to be, it is none of the formats that are a list of other files.
const READ: &str = "-xerror -threads 1 -protocol_whitelist file \
    -format_whitelist mov,mp4,matroska,webm,avi,mpeg,mpegvideo,flv,asf -i file:/proc/self/fd/0";
/// What of it is kept: pictures and sound, and nothing that a camera wrote.
const KEPT: &str = "-map 0:V:0 -map 0:a:0? -sn -dn -map_metadata -1 -map_chapters -1";
/// Every phone plays this.
const ENCODED: &str = "-c:v libx264 -preset veryfast -profile:v high -crf 23 -maxrate 2500k \
    -bufsize 5000k -fpsmax 60 -threads 1 -c:a aac -b:a 128k -ac 2 -ar 48000";
/// To its standard output, which is a file, too.
const PACKED: &str = "-movflags +faststart -f mp4 file:/proc/self/fd/1";
/// Square pixels, no more than 1280 on the longer side: WhatsApp's own apps send no more, and phones
/// show no more of it. Even sides, because 4:2:0 halves them.
const SHOWN: &str = "scale=w='iw*sar':h=ih,setsar=1,\
    scale=w='min(1280,iw)':h='min(1280,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2,\
    format=yuv420p";
/// The clearest of the first pictures, lest it be the black one before the film begins; as large as a
/// picture's thumbnail.
const CLEAREST: &str = "scale=w='iw*sar':h=ih,setsar=1,\
    scale=w=100:h=100:force_original_aspect_ratio=decrease,thumbnail=30";
const STILL_OUT: &str =
    "-frames:v 1 -c:v png -pix_fmt rgb24 -threads 1 -f image2pipe file:/proc/self/fd/1";
/// A film of its own making, with sound.
const TRIAL: &str =
    "-f lavfi -i testsrc2=size=64x64:rate=5:duration=0.4 -f lavfi -i sine=duration=0.4";

/// ffmpeg, where it is installed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    confinement: Confinement,
    works: Arc<OnceCell<()>>,
}

impl Ffmpeg {
    /// Looks for it: on the path, or where `named` says; an empty name is nowhere.
    pub fn find(named: Option<&str>, confinement: &Confinement) -> Option<Self> {
        let name = named.unwrap_or("ffmpeg");
        if name.is_empty() {
            return None;
        }
        let found = which::which(name).map(|path| path.canonicalize().unwrap_or(path));
        match found {
            Ok(program) => {
                tracing::info!(program = %program.display(), "films are converted by ffmpeg");
                Some(Self {
                    program,
                    confinement: confinement.clone(),
                    works: Arc::default(),
                })
            }
            Err(_) if named.is_none() => {
                tracing::info!("ffmpeg is not installed: no film is converted");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "no ffmpeg where --ffmpeg says: no film is converted");
                None
            }
        }
    }

    /// Whether it can do here what it is for: it has the encoders, and works within its limits. Tried
    /// until it does.
    pub(super) async fn works(&self) -> Result<bool, IngestError> {
        let trial = async || {
            let arguments = [words(TRIAL), words(ENCODED), words(PACKED)];
            let nothing = in_memory()?;
            self.run(&arguments, CONVERTING, &nothing).await.map(drop)
        };
        match self.works.get_or_try_init(trial).await {
            Ok(()) => Ok(true),
            Err(NotDone::Stopping) => Err(IngestError::Stopping),
            Err(error) => {
                tracing::warn!(%error, "ffmpeg is installed, and cannot convert films here");
                Ok(false)
            }
        }
    }

    /// Makes an MP4 with H.264 and AAC of any film.
    pub(super) async fn convert(&self, film: &File) -> Result<File, NotDone> {
        let arguments = [
            words(READ),
            words(KEPT),
            filtered(SHOWN),
            words(ENCODED),
            words(PACKED),
        ];
        self.run(&arguments, CONVERTING, film).await
    }

    /// Packs pictures and sound into an MP4 as they are, described at its beginning.
    pub(super) async fn pack(&self, film: &File) -> Result<File, NotDone> {
        let arguments = [words(READ), words(KEPT), words("-c copy"), words(PACKED)];
        self.run(&arguments, CONVERTING, film).await
    }

    /// One of the first pictures, as PNG.
    pub(super) async fn still(&self, film: &File) -> Result<File, NotDone> {
        let arguments = [
            words("-t 2"),
            words(READ),
            words("-map 0:V:0"),
            filtered(CLEAREST),
            words(STILL_OUT),
        ];
        self.run(&arguments, STILL, film).await
    }

    async fn run(
        &self,
        arguments: &[Vec<&str>],
        limits: Limits,
        film: &File,
    ) -> Result<File, NotDone> {
        let arguments = [&[words(ALWAYS)], arguments].concat().concat();
        let task = Task::Program {
            path: self.program.clone(),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
        };
        let (made, said) = self.confinement.run(task, limits, film).await?;
        // Of some containers it says so, and makes do with what there is.
        if said.contains("File ended prematurely") {
            return Err(NotDone::Failed(said));
        }
        Ok(made)
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A filter's text is one word.
fn filtered(by: &str) -> Vec<&str> {
    vec!["-vf", by]
}

/// Whether what it said last means that its memory was not enough.
pub(super) fn lacked_memory(said: &str) -> bool {
    said.contains("Cannot allocate memory") || said.contains("malloc of size")
}

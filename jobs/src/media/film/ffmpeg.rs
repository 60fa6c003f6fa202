//! ffmpeg, which converts videos: found at start, tried before its first use, run in a confined process.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use crate::{
    media::{
        bounds::FILM_WITHIN,
        confined::{Confinement, Limits, NO_LANDLOCK, NotDone, Task, in_memory},
        error::IngestError,
        kinds,
    },
    state::decoding::FILM_MIB,
};

const MIB: u64 = 1024 * 1024;

/// Limits for converting one video. ffmpeg 5.1 of Debian 12, on one thread, maps 270 MiB of libraries
/// before it does anything. HEVC of 2160 lines then needs 512 MiB in all, and 576 MiB with ten bits, as
/// telephones record it.
const CONVERTING: Limits = Limits {
    cpu_seconds: 30,
    memory: FILM_MIB as u64 * MIB,
    file: kinds::VIDEO_MAX,
    within: FILM_WITHIN,
};
/// The longest still of a video, in bytes; it has at most 100 by 100 pixels.
pub(super) const STILL_MAX: u64 = MIB;
/// Limits for taking one still.
const STILL: Limits = Limits {
    cpu_seconds: 10,
    file: STILL_MAX,
    within: Duration::from_secs(20),
    ..CONVERTING
};

/// Options of every run: no questions, only errors on standard error, one thread.
const ALWAYS: &str = "-nostdin -hide_banner -loglevel error -filter_threads 1 -y";
/// Reads the video from standard input, under a name that can be seeked because it is a file. The first
/// fault ends the run. The allowed formats leave out those that list other files, whatever the file
/// claims to be.
const READ: &str = "-xerror -threads 1 -protocol_whitelist file \
    -format_whitelist mov,mp4,matroska,webm,avi,mpeg,mpegvideo,flv,asf,gif -i file:/proc/self/fd/0";
/// Keeps pictures and sound, and no metadata.
const KEPT: &str = "-map 0:V:0 -map 0:a:0? -sn -dn -map_metadata -1 -map_chapters -1";
/// An encoding that every phone plays.
const ENCODED: &str = "-c:v libx264 -preset veryfast -profile:v high -crf 23 -maxrate 2500k \
    -bufsize 5000k -fpsmax 60 -threads 1 -c:a aac -b:a 128k -ac 2 -ar 48000";
/// Writes to standard output, which is a file too.
const PACKED: &str = "-movflags +faststart -f mp4 file:/proc/self/fd/1";
/// Square pixels, at most 1280 on the longer side: WhatsApp's own apps send no more, and phones show no
/// more. Even sides, because 4:2:0 halves them.
const SHOWN: &str = "scale=w='iw*sar':h=ih,setsar=1,\
    scale=w='min(1280,iw)':h='min(1280,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2,\
    format=yuv420p";
/// Picks the most typical of the first pictures, to avoid the black one at the start. As large as a
/// picture's thumbnail.
const CLEAREST: &str = "scale=w='iw*sar':h=ih,setsar=1,\
    scale=w=100:h=100:force_original_aspect_ratio=decrease,thumbnail=30";
const STILL_OUT: &str =
    "-frames:v 1 -c:v png -pix_fmt rgb24 -threads 1 -f image2pipe file:/proc/self/fd/1";
/// Reads one picture or a GIF from standard input, in a format that was found before.
const READ_PICTURE: &str = "-xerror -threads 1 -protocol_whitelist file -f";
const PICTURE_IN: &str = "-t 10 -i file:/proc/self/fd/0 -map 0:v:0 -map_metadata -1";
/// As large as a sticker, with clear borders.
const STUCK: &str = "scale=w=512:h=512:force_original_aspect_ratio=decrease,format=rgba,\
    pad=w=512:h=512:x=-1:y=-1:color=0x00000000,setsar=1";
/// At most 15 pictures a second: a sticker is small.
const MOVING: &str = "-fpsmax 15 -c:v libwebp_anim -loop 0";
const STICKER_OUT: &str = "-threads 1 -f webp file:/proc/self/fd/1";
/// A test video made by ffmpeg itself, with sound.
const TRIAL: &str =
    "-f lavfi -i testsrc2=size=64x64:rate=5:duration=0.4 -f lavfi -i sine=duration=0.4";

/// ffmpeg, where it is installed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    confinement: Confinement,
    without_landlock: bool,
    works: Arc<OnceCell<()>>,
}

/// Whether ffmpeg can convert here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Works {
    Yes,
    No,
    /// It is not run, because the kernel cannot close the file system to it.
    NotConfined,
}

impl Ffmpeg {
    /// Looks for ffmpeg on the path, or where `named` says. An empty name means no ffmpeg.
    /// `without_landlock`: whether it is run where the kernel cannot close the file system to it.
    pub fn find(
        named: Option<&str>,
        confinement: &Confinement,
        without_landlock: bool,
    ) -> Option<Self> {
        let name = named.unwrap_or("ffmpeg");
        if name.is_empty() {
            return None;
        }
        let found = which::which(name).map(|path| path.canonicalize().unwrap_or(path));
        match found {
            Ok(program) => {
                tracing::info!(program = %program.display(), "ffmpeg found: videos are converted");
                Some(Self {
                    program,
                    confinement: confinement.clone(),
                    without_landlock,
                    works: Arc::default(),
                })
            }
            Err(_) if named.is_none() => {
                tracing::info!("ffmpeg is not installed: videos are not converted");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "no ffmpeg at the path given with --ffmpeg: videos are not converted");
                None
            }
        }
    }

    /// Returns whether ffmpeg can convert here: it has the encoders and works within its limits. Tried
    /// again at each call until it succeeds.
    pub(super) async fn works(&self) -> Result<Works, IngestError> {
        let trial = async || {
            let arguments = [words(TRIAL), words(ENCODED), words(PACKED)];
            let nothing = in_memory()?;
            self.run(&arguments, CONVERTING, &nothing).await.map(drop)
        };
        match self.works.get_or_try_init(trial).await {
            Ok(()) => Ok(Works::Yes),
            Err(NotDone::Stopping) => Err(IngestError::Stopping),
            Err(NotDone::NotStarted(why)) if why.contains(NO_LANDLOCK) => {
                tracing::warn!(
                    "ffmpeg is not run: {NO_LANDLOCK} (--ffmpeg-unconfined runs it without)"
                );
                Ok(Works::NotConfined)
            }
            Err(error) => {
                tracing::warn!(%error, "ffmpeg is installed but cannot convert videos here");
                Ok(Works::No)
            }
        }
    }

    /// Converts any video to MP4 with H.264 and AAC.
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

    /// Copies pictures and sound unchanged into an MP4 whose description comes first.
    pub(super) async fn pack(&self, film: &File) -> Result<File, NotDone> {
        let arguments = [words(READ), words(KEPT), words("-c copy"), words(PACKED)];
        self.run(&arguments, CONVERTING, film).await
    }

    /// Makes a WebP of the size of a sticker from a picture or a GIF. `format` is ffmpeg's name of it; `moves`
    /// says whether it may be an animation.
    pub(super) async fn sticker(
        &self,
        picture: &File,
        (format, moves): (&str, bool),
        quality: &str,
    ) -> Result<File, NotDone> {
        let encoder = if moves {
            MOVING
        } else {
            "-frames:v 1 -c:v libwebp"
        };
        let arguments = [
            words(READ_PICTURE),
            vec![format],
            words(PICTURE_IN),
            filtered(STUCK),
            words(encoder),
            vec!["-q:v", quality],
            words(STICKER_OUT),
        ];
        self.run(&arguments, CONVERTING, picture).await
    }

    /// Returns one of the first pictures, as PNG.
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
            without_landlock: self.without_landlock,
        };
        let (made, said) = self.confinement.run(task, limits, film).await?;
        // For some containers ffmpeg only reports this and converts what there is.
        if said.contains("File ended prematurely") {
            return Err(NotDone::Failed(said));
        }
        Ok(made)
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Returns the arguments for a filter. Its text is one argument.
fn filtered(by: &str) -> Vec<&str> {
    vec!["-vf", by]
}

/// Returns whether the error text means that it ran out of memory.
pub(super) fn lacked_memory(said: &str) -> bool {
    said.contains("Cannot allocate memory") || said.contains("malloc of size")
}

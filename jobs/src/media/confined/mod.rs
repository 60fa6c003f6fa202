//! Work on bytes that a stranger made, in a process of its own with nothing in its hands.
//!
//! | page | what it holds |
//! |---|---|
//! | here | starting such a process, waiting for it, ending it |
//! | `within` | what it does first: it takes on its limits, then becomes another program or counts pages |
//! | `walls` | what it may not touch: files, the network, other processes |
//!
//! The process is this program once more (`passerelle confined ORDER`): it limits itself, by calls
//! that are safe to make, and only then runs another program or reads a byte. What goes in and comes
//! out are files that lie in memory alone, so nothing is on a disk in the clear and nothing is left to
//! clear away; it gets them as its standard input and output. Its environment is empty. It ends with
//! its deadline, with whoever waits for it, and with the gateway, however that ends.

mod walls;
mod within;

use std::{
    fs::File,
    io::{self, Seek as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, Signal, kill_process_group},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr, Command},
};
use tokio_util::sync::CancellationToken;

pub use self::within::obey;

/// The exit code of a process that could not begin its work.
const NOT_BEGUN: u8 = 125;
/// How much is kept of what it says, in bytes.
const SAID_MAX: usize = 2048;

/// What a confined process may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Seconds of one core, over all its threads.
    pub(super) cpu_seconds: u64,
    /// Address space in bytes, the program's own text and libraries included.
    pub(super) memory: u64,
    /// The longest file it writes, in bytes.
    pub(super) file: u64,
    /// From its start to its end.
    pub(super) within: Duration,
}

/// What a confined process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Become another program.
    Program {
        path: PathBuf,
        arguments: Vec<String>,
    },
    /// Count the pages of a PDF.
    CountPages,
}

/// What a confined process is told, as JSON on its command line.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The process that waits for it.
    parent: u32,
    limits: Limits,
    task: Task,
}

/// Why a confined process brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    /// It could not be started, or not be confined.
    #[error("it could not be started: {0}")]
    NotStarted(String),
    /// It gave up; what it said last.
    #[error("it failed: {0}")]
    Failed(String),
    /// It took as much time as it may.
    #[error("it took too long")]
    TooLong,
    /// It wrote as much as it may.
    #[error("it wrote too much")]
    TooMuch,
    /// The gateway is going down.
    #[error("the gateway is going down")]
    Stopping,
}

impl From<io::Error> for NotDone {
    fn from(error: io::Error) -> Self {
        Self::NotStarted(error.to_string())
    }
}

/// Starts confined processes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Confinement {
    program: PathBuf,
    stop: CancellationToken,
}

impl Default for Confinement {
    /// By this very program, which must know the command `confined`. It is found even where its file
    /// was replaced meanwhile.
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            stop: CancellationToken::new(),
        }
    }
}

impl Confinement {
    /// Ends every process that runs, and those that would be started.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Runs `task` on `input`; gives what it wrote, from the beginning, and what it said. Dropped, it
    /// ends the process.
    pub(super) async fn run(
        &self,
        task: Task,
        limits: Limits,
        input: &File,
    ) -> Result<(File, String), NotDone> {
        let mut output = in_memory()?;
        let order = Order {
            parent: std::process::id(),
            limits,
            task,
        };
        let order = serde_json::to_string(&order).map_err(io::Error::other)?;
        let mut child = Command::new(&self.program)
            .arg("confined")
            .arg(order)
            .env_clear()
            .current_dir("/")
            .stdin(input.try_clone()?)
            .stdout(output.try_clone()?)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group::of(&child);
        let said = child.stderr.take();
        let done = async { tokio::join!(child.wait(), last_words(said)) };
        let (status, said) = tokio::select! {
            done = tokio::time::timeout(limits.within, done) => done.map_err(|_| NotDone::TooLong)?,
            () = self.stop.cancelled() => return Err(NotDone::Stopping),
        };
        group.let_go();
        let said = judge(status?, said)?;
        output.rewind()?;
        Ok((output, said))
    }
}

/// A file that lies in memory alone, and is gone with the last who has it open.
pub(super) fn in_memory() -> io::Result<File> {
    Ok(memfd_create(c"passerelle", MemfdFlags::CLOEXEC)?.into())
}

/// The process and whatever it might have started, which end when this is dropped. It cannot start any
/// (see `walls`): this is a second wall.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    /// It ended and was waited for: its number may be another's by now.
    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The end of what it says, without what would bend a log line.
async fn last_words(said: Option<ChildStderr>) -> String {
    let mut last = Vec::new();
    if let Some(mut said) = said {
        let mut some = [0; 1024];
        while let Ok(count @ 1..) = said.read(&mut some).await {
            last.extend_from_slice(&some[..count]);
            let excess = last.len().saturating_sub(SAID_MAX);
            last.drain(..excess);
        }
    }
    let text = String::from_utf8_lossy(&last);
    text.trim().escape_debug().to_string()
}

fn judge(status: ExitStatus, said: String) -> Result<String, NotDone> {
    let signal = status.signal().and_then(Signal::from_named_raw);
    Err(match signal {
        Some(Signal::XFSZ) => NotDone::TooMuch,
        // The kernel's word for too many seconds of a core, and for a machine that has no memory left.
        Some(Signal::KILL | Signal::XCPU) => NotDone::TooLong,
        _ if status.success() => return Ok(said),
        _ if status.code() == Some(NOT_BEGUN.into()) => NotDone::NotStarted(said),
        _ => NotDone::Failed(said),
    })
}

//! Runs work on untrusted bytes in a separate process with almost no rights.
//!
//! | page | what it holds |
//! |---|---|
//! | here | starts such a process, waits for it, kills it |
//! | `worker` | a process that takes apart one file after another |
//! | `within` | what the process does: it sets its limits, then runs another program or reads files |
//! | `frames` | files and answers on the pipes between the gateway and a worker |
//! | `walls` | what it may not touch: files, the network, other processes |
//!
//! The process is this program started again (`passerelle confined ORDER`). It limits itself with calls
//! that are safe to make, and only then runs another program or reads a byte. Input and output are files
//! in memory or pipes, passed as its standard input and output: nothing is written to a disk in the clear
//! and nothing has to be deleted later. Its environment is empty. It is killed at its deadline, when the
//! task that waits for it is dropped, and when the gateway ends, in whatever way.

mod frames;
mod walls;
mod within;
mod worker;

use std::{
    fs::File,
    io::{self, Seek as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
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

pub(super) use self::walls::NO_LANDLOCK;
pub use self::within::obey;
use self::worker::Idle;

/// The exit code of a process that could not begin its work.
const NOT_BEGUN: u8 = 125;
/// How much of its standard error is kept, in bytes.
const SAID_MAX: usize = 2048;

/// What a confined process may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Seconds of one core, over all its threads.
    pub(super) cpu_seconds: u64,
    /// Address space in bytes, including the program itself and its libraries.
    pub(super) memory: u64,
    /// The longest file it may write, in bytes.
    pub(super) file: u64,
    /// Wall-clock time from its start to its end, or for each file that a worker is given.
    pub(super) within: Duration,
}

/// What a confined process has to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Run another program in its place.
    Program {
        path: PathBuf,
        arguments: Vec<String>,
        /// Whether it runs where the kernel cannot close the file system to it.
        without_landlock: bool,
    },
    /// Read what a video says about itself.
    Facts { mime_type: String },
    /// Take files apart, one after another.
    Work,
}

/// The order to a confined process, as JSON on its command line.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The process that started it and waits for it.
    parent: u32,
    limits: Limits,
    task: Task,
}

/// Why a confined process returned no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// It could not be started or confined.
    #[error("it could not be started: {0}")]
    NotStarted(String),
    /// It failed. Holds the end of its standard error.
    #[error("it failed: {0}")]
    Failed(String),
    /// It ran longer than it may.
    #[error("it took too long")]
    TooLong,
    /// It wrote more than it may.
    #[error("it wrote too much")]
    TooMuch,
    /// The gateway is shutting down.
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
    idle: Arc<Idle>,
}

impl Default for Confinement {
    /// Starts this same program, which must know the command `confined`. `/proc/self/exe` finds it even
    /// after its file was replaced.
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            stop: CancellationToken::new(),
            idle: Arc::default(),
        }
    }
}

impl Confinement {
    /// Kills every confined process, and any that would be started later.
    pub fn end(&self) {
        self.stop.cancel();
        self.idle.clear();
    }

    /// Runs `task` on `input`. Returns its output, rewound, and the end of its standard error. Kills the
    /// process when dropped.
    pub(super) async fn run(
        &self,
        task: Task,
        limits: Limits,
        input: &File,
    ) -> Result<(File, String), NotDone> {
        let mut output = in_memory()?;
        let (to, from) = (input.try_clone()?, output.try_clone()?);
        let mut process = self.start(task, limits, to, from)?;
        let ended = process.ended();
        let (status, said) = tokio::select! {
            ended = tokio::time::timeout(limits.within, ended) => ended.map_err(|_| NotDone::TooLong)??,
            () = self.stop.cancelled() => return Err(NotDone::Stopping),
        };
        let said = judge(status, said)?;
        output.rewind()?;
        Ok((output, said))
    }

    fn start(
        &self,
        task: Task,
        limits: Limits,
        input: impl Into<Stdio>,
        output: impl Into<Stdio>,
    ) -> io::Result<Process> {
        let order = Order {
            parent: std::process::id(),
            limits,
            task,
        };
        let child = Command::new(&self.program)
            .arg("confined")
            .arg(serde_json::to_string(&order).map_err(io::Error::other)?)
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Process {
            group: Group::of(&child),
            child,
        })
    }
}

/// A confined process; killed on drop.
#[derive(Debug)]
struct Process {
    child: Child,
    group: Group,
}

impl Process {
    /// Waits for its end. Returns how it ended and the end of its standard error.
    async fn ended(&mut self) -> io::Result<(ExitStatus, String)> {
        let said = self.child.stderr.take();
        let (status, said) = tokio::join!(self.child.wait(), last_words(said));
        self.group.disarm();
        Ok((status?, said))
    }
}

/// Makes a file in memory. It is gone when the last handle is closed.
pub(super) fn in_memory() -> io::Result<File> {
    Ok(memfd_create(c"passerelle", MemfdFlags::CLOEXEC)?.into())
}

/// The process group of a confined process; killed on drop. The filter in `walls` already forbids child
/// processes, so this is a second barrier.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    /// Call once the process has ended and was waited for: its id may already belong to another process.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads standard error and returns its end, without characters that would break a log line.
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
        // The kernel sends these for too much CPU time, and KILL also when the machine is out of memory.
        Some(Signal::KILL | Signal::XCPU) => NotDone::TooLong,
        _ if status.success() => return Ok(said),
        _ if status.code() == Some(NOT_BEGUN.into()) => NotDone::NotStarted(said),
        _ => NotDone::Failed(said),
    })
}

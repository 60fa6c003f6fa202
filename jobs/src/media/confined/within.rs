//! What a confined process does: it gives up the rights that it does not need, then carries out its
//! order.

use std::{
    convert::Infallible,
    fs::File,
    io::{Write as _, stderr, stdin, stdout},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, parent_id},
    },
    process::{Command, ExitCode, exit},
};

use anyhow::Context as _;
use rustix::process::{
    Resource, Rlimit, Signal, set_parent_process_death_signal, setpriority_process, setrlimit,
};

use super::{Limits, NOT_BEGUN, Order, Task, frames, walls};
use crate::media::{film::facts, work::Work};

/// Lower priority than the gateway, which has messages to send.
const NICE: i32 = 10;
/// Files it may have open.
const FILES: u64 = 64;

/// Carries out `order` and returns the exit code. Only for a process that was started for this.
pub fn obey(order: &str) -> ExitCode {
    let Err(why) = try_to_obey(order);
    // The gateway reads this, unless it is gone.
    let _ = writeln!(stderr(), "{why:#}");
    ExitCode::from(NOT_BEGUN)
}

/// Returns only on failure: once the work has begun, the process ends with it.
fn try_to_obey(order: &str) -> anyhow::Result<Infallible> {
    let Order {
        parent,
        limits,
        task,
    } = serde_json::from_str(order).context("reading the order")?;
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("asking to be killed with the gateway")?;
    anyhow::ensure!(parent_id() == parent, "the gateway is already gone");
    limit(limits).context("setting limits")?;
    setpriority_process(None, NICE).context("lowering the priority")?;
    first_to_be_killed();
    match task {
        Task::Program {
            path,
            arguments,
            without_landlock,
        } => {
            walls::raise(Some(&path), !without_landlock)?;
            let failed = Command::new(path).args(arguments).exec();
            Err(failed).context("running the program")
        }
        Task::Facts { mime_type } => {
            walls::raise(None, false)?;
            told(|| read_facts(&mime_type))
        }
        Task::Work => {
            walls::raise(None, false)?;
            told(work)
        }
    }
}

/// Ends the process with what its work says of itself.
fn told(work: impl FnOnce() -> anyhow::Result<()>) -> ! {
    let done = work();
    if let Err(error) = &done {
        let _ = writeln!(stderr(), "{error:#}");
    }
    exit(i32::from(done.is_err()))
}

/// When the machine runs out of memory, the kernel kills this process first.
fn first_to_be_killed() {
    // Some containers do not allow it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

fn limit(limits: Limits) -> rustix::io::Result<()> {
    for (what, most) in [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::As, limits.memory),
        (Resource::Fsize, limits.file),
        (Resource::Nofile, FILES),
        // A core dump would contain somebody's file.
        (Resource::Core, 0),
    ] {
        // The soft limit equals the hard one: a program can catch the soft limit's signal and go on for
        // a while.
        let most = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(what, most)?;
    }
    Ok(())
}

/// Takes files apart until the gateway closes the pipe.
fn work() -> anyhow::Result<()> {
    let (mut from, mut to) = (stdin().lock(), stdout().lock());
    while let Some((work, file)) = frames::read::<Work>(&mut from)? {
        let mut reply = work.perform(file);
        let bytes = reply.as_mut().ok().and_then(|made| made.bytes.take());
        frames::write(&mut to, &reply, &bytes.unwrap_or_default())?;
    }
    Ok(())
}

/// Writes what the video on standard input says about itself.
fn read_facts(mime_type: &str) -> anyhow::Result<()> {
    let mut film = File::from(stdin().as_fd().try_clone_to_owned()?);
    let facts = facts::facts_of(&mut film, mime_type);
    serde_json::to_writer(stdout(), &facts)?;
    Ok(())
}

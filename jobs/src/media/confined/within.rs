//! What a confined process does: it gives up what it does not need, then does what it is told.

use std::{
    convert::Infallible,
    io::{Read as _, Write as _, stderr, stdin, stdout},
    os::unix::process::{CommandExt as _, parent_id},
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use rustix::process::{
    Resource, Rlimit, Signal, set_parent_process_death_signal, setpriority_process, setrlimit,
};

use super::{Limits, NOT_BEGUN, Order, Task, walls};
use crate::media::pages;

/// Politer than the gateway, which has messages to send.
const NICE: i32 = 10;
/// Files it may have open.
const FILES: u64 = 64;

/// Does what `order` says and ends with its exit code. For a process that was started to do this.
pub fn obey(order: &str) -> ExitCode {
    let Err(why) = try_to_obey(order);
    // Whoever waits for it reads this, or is gone.
    let _ = writeln!(stderr(), "{why:#}");
    ExitCode::from(NOT_BEGUN)
}

/// Does not return once the work has begun.
fn try_to_obey(order: &str) -> anyhow::Result<Infallible> {
    let Order {
        parent,
        limits,
        task,
    } = serde_json::from_str(order).context("reading the order")?;
    set_parent_process_death_signal(Some(Signal::KILL)).context("dying with the gateway")?;
    anyhow::ensure!(parent_id() == parent, "the gateway is gone already");
    limit(limits).context("setting limits")?;
    setpriority_process(None, NICE).context("being polite")?;
    match task {
        Task::Program { path, arguments } => {
            walls::raise(Some(&path))?;
            let failed = Command::new(path).args(arguments).exec();
            Err(failed).context("running the program")
        }
        Task::CountPages => {
            walls::raise(None)?;
            count_pages();
        }
    }
}

fn limit(limits: Limits) -> rustix::io::Result<()> {
    for (what, most) in [
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::As, limits.memory),
        (Resource::Fsize, limits.file),
        (Resource::Nofile, FILES),
        // What it has in memory is somebody's file.
        (Resource::Core, 0),
    ] {
        // No second, softer limit: a program may catch that one's signal and go on for a while.
        let most = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(what, most)?;
    }
    Ok(())
}

fn count_pages() -> ! {
    let mut pdf = Vec::new();
    let counted = stdin().lock().read_to_end(&mut pdf).is_ok();
    let count = counted.then(|| pages::count(pdf)).flatten();
    let told = count.is_some_and(|count| write!(stdout(), "{count}").is_ok());
    std::process::exit(i32::from(!told))
}

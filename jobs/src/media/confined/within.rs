//! What a confined process does: it gives up the rights that it does not need, then carries out its
//! order.

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

fn count_pages() -> ! {
    let mut pdf = Vec::new();
    let counted = stdin().lock().read_to_end(&mut pdf).is_ok();
    let count = counted.then(|| pages::count(pdf)).flatten();
    let told = count.is_some_and(|count| write!(stdout(), "{count}").is_ok());
    std::process::exit(i32::from(!told))
}

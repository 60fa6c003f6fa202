//! Aborts the process when the runtime makes no progress for 60 s, because some platforms do not restart a
//! process whose health check fails.
//!
//! A task on the runtime increments a counter, and a thread checks that it grows. The thread counts its own
//! checks and reads no clock: a process that was suspended and continues has missed none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time between two checks.
const LOOK: Duration = Duration::from_secs(1);
/// The process is aborted after this many checks without progress.
const PATIENCE: u32 = 60;

#[derive(Default)]
struct Pulse {
    beats: AtomicU64,
    /// Whether the process is shutting down, so that the counter no longer grows.
    over: AtomicBool,
}

/// Watches this runtime until `stop`.
pub(crate) fn start(tasks: &TaskTracker, stop: CancellationToken) -> anyhow::Result<()> {
    let pulse = Arc::<Pulse>::default();
    tasks.spawn(beat(Arc::clone(&pulse), LOOK / 4, stop));
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            if stands_still(&pulse, LOOK, PATIENCE) {
                tracing::error!(
                    "the runtime has made no progress for a minute: aborting the process"
                );
                std::process::abort();
            }
        })
        .context("starting the watchdog")?;
    Ok(())
}

async fn beat(pulse: Arc<Pulse>, every: Duration, stop: CancellationToken) {
    let beating = async {
        loop {
            pulse.beats.fetch_add(1, Relaxed);
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        () = beating => {}
        () = stop.cancelled() => {}
    }
    pulse.over.store(true, Relaxed);
}

/// Checks until the process shuts down (returns `false`) or made no progress for `patience` checks (`true`).
fn stands_still(pulse: &Pulse, look: Duration, patience: u32) -> bool {
    let (mut last, mut in_vain) = (0, 0);
    while in_vain < patience {
        thread::sleep(look);
        if pulse.over.load(Relaxed) {
            return false;
        }
        let beats = pulse.beats.load(Relaxed);
        in_vain = if beats == last { in_vain + 1 } else { 0 };
        last = beats;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    /// Runs `work` on a runtime of one thread and returns what the watchdog found.
    fn watched(work: impl Future<Output = ()>) -> bool {
        let pulse = Arc::<Pulse>::default();
        let watching = thread::spawn({
            let pulse = Arc::clone(&pulse);
            move || stands_still(&pulse, TICK * 4, 50)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let tasks = TaskTracker::new();
            tasks.spawn(beat(pulse, TICK, stop.clone()));
            work.await;
            stop.cancel();
            tasks.close();
            tasks.wait().await;
        });
        watching.join().unwrap()
    }

    #[test]
    fn a_runtime_on_which_nothing_runs_is_told() {
        assert!(watched(async { thread::sleep(TICK * 400) }));
    }

    #[test]
    fn one_that_works_and_ends_is_left_alone() {
        assert!(!watched(async {
            for _ in 0..20 {
                thread::sleep(TICK);
                tokio::task::yield_now().await;
            }
        }));
    }
}

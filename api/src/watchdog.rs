//! Ends a process that stands still, so that whatever runs it starts another: a check that fails
//! restarts nothing everywhere.
//!
//! A task on the runtime counts up, a thread beside it looks whether it does. The thread goes by its own
//! looks, not by a clock: a process that was stopped as a whole and goes on has missed none.

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

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks in vain the process is ended.
const PATIENCE: u32 = 60;

#[derive(Default)]
struct Pulse {
    beats: AtomicU64,
    /// The process ends by itself: nobody beats any more.
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
                tracing::error!("nothing has run for a minute: the process is ended");
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

/// Looks until the pulse is over (false), or did not change for so many looks (true).
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

    /// A runtime of one thread, watched from beside; what became of the watch.
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

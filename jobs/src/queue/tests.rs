//! The queue over rows in memory: what it guarantees with any store.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use anyhow::anyhow;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    job_result::{Done, Failure, JobResult, NotDone, OrNotDone as _},
    worker::Workload,
    *,
};

const SOON: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row(u32);

/// Rows, each with the time from which it may be claimed.
#[derive(Default)]
struct Rows {
    waiting: Mutex<Vec<(Instant, u32)>>,
    most_claimed_for: Mutex<Vec<usize>>,
    looks: AtomicUsize,
    down: AtomicBool,
    panics: AtomicBool,
    slow: Mutex<Option<Arc<Notify>>>,
    recorded: Mutex<Vec<(u32, Failure)>>,
}

impl Rows {
    fn put(&self, rows: impl IntoIterator<Item = u32>) {
        self.put_at(Instant::now(), rows);
    }

    fn put_at(&self, at: Instant, rows: impl IntoIterator<Item = u32>) {
        let rows = rows.into_iter().map(|row| (at, row));
        self.waiting.lock().unwrap().extend(rows);
    }
}

impl JobSource for Rows {
    type Job = Row;
    const NAME: &'static str = "rows";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, Row)>> {
        self.most_claimed_for.lock().unwrap().push(k);
        let claimed: Vec<_> = {
            let mut waiting = self.waiting.lock().unwrap();
            let due = waiting.iter().filter(|(at, _)| *at <= Instant::now());
            let take = due.count().min(k);
            waiting.drain(..take).collect()
        };
        let slow = self.slow.lock().unwrap().clone();
        if let Some(slow) = slow {
            slow.notified().await;
        }
        let job = |(_, row): (Instant, u32)| (row.to_string(), Row(row));
        Ok(claimed.into_iter().map(job).collect())
    }

    async fn record(&self, Row(row): Row, failure: Failure) -> anyhow::Result<()> {
        self.recorded.lock().unwrap().push((row, failure));
        Ok(())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        anyhow::ensure!(!self.down.load(Ordering::SeqCst), "the store is down");
        assert!(!self.panics.load(Ordering::SeqCst), "a bug in the source");
        let waiting = self.waiting.lock().unwrap();
        Ok(waiting
            .iter()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()))
            .min())
    }
}

/// A running worker whose handler is `handle`.
struct Running {
    rows: Arc<Rows>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    ended: TaskTracker,
}

impl Running {
    fn start<H, F>(concurrency: usize, time: Duration, handle: H) -> Self
    where
        H: Fn(Row) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let running = Self {
            rows: Arc::default(),
            wake: Arc::default(),
            stop: CancellationToken::new(),
            ended: TaskTracker::new(),
        };
        let workload = Workload {
            boot: "test".to_owned(),
            concurrency,
            timeout: time,
        };
        running.ended.spawn(worker::run(
            Arc::clone(&running.rows),
            Arc::clone(&running.wake),
            workload,
            TaskTracker::new(),
            running.stop.clone(),
            handle,
        ));
        running
    }

    /// Waits until the queue has looked once more and rests.
    async fn rests(&self) {
        let before = self.rows.looks.load(Ordering::SeqCst);
        let looked = async {
            while self.rows.looks.load(Ordering::SeqCst) <= before {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, looked).await.expect("the queue looks");
    }

    fn put(&self, rows: impl IntoIterator<Item = u32>) {
        self.rows.put(rows);
        self.wake.notify_one();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.ended.close();
        timeout(SOON, self.ended.wait())
            .await
            .expect("the worker stops");
    }
}

/// Returns a handler that reports which row it ran.
fn telling() -> (
    impl Fn(Row) -> futures_util::future::Ready<JobResult> + Clone + Send + Sync,
    mpsc::UnboundedReceiver<u32>,
) {
    let (ran, runs) = mpsc::unbounded_channel();
    let handle = move |Row(row)| {
        ran.send(row).unwrap();
        futures_util::future::ready(Ok(Done))
    };
    (handle, runs)
}

async fn next(runs: &mut mpsc::UnboundedReceiver<u32>) -> u32 {
    timeout(SOON, runs.recv())
        .await
        .expect("a job runs")
        .unwrap()
}

#[tokio::test]
async fn rows_run_once_and_in_the_order_claimed() {
    let (handle, mut runs) = telling();
    let running = Running::start(1, SOON, handle);
    running.put(0..100);
    for row in 0..100 {
        assert_eq!(next(&mut runs).await, row);
    }
    running.stop().await;
    assert_eq!(runs.recv().await, None);
}

#[tokio::test]
async fn a_claim_never_asks_for_more_than_the_free_slots() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (ran, mut runs) = mpsc::unbounded_channel();
    let handle = {
        let gate = Arc::clone(&gate);
        move |Row(row)| {
            let (gate, ran) = (Arc::clone(&gate), ran.clone());
            async move {
                ran.send(row).unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Done)
            }
        }
    };
    let running = Running::start(4, SOON, handle);
    running.put(0..2);
    next(&mut runs).await;
    next(&mut runs).await;
    running.put(2..40);
    next(&mut runs).await;
    next(&mut runs).await;
    // All four slots are taken: nothing more is claimed until a job ends.
    assert_eq!(running.rows.waiting.lock().unwrap().len(), 36);
    for _ in 4..40 {
        gate.add_permits(1);
        next(&mut runs).await;
    }
    gate.add_permits(4);
    let asked = running.rows.most_claimed_for.lock().unwrap().clone();
    assert!(asked.iter().all(|k| (1..=4).contains(k)), "{asked:?}");
    assert!(asked.contains(&2), "two slots were free once: {asked:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_wake_dispatches_at_once() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    let mut took = Vec::new();
    for row in 0..20 {
        running.rests().await;
        let put = Instant::now();
        running.put([row]);
        next(&mut runs).await;
        took.push(put.elapsed());
    }
    took.sort();
    // The timer alone takes a second. The median of twenty is robust on a busy machine.
    assert!(took[10] < Duration::from_millis(50), "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_lost_wake_costs_a_second_at_most() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    running.rests().await;
    let put = Instant::now();
    running.rows.put([1]);
    assert_eq!(next(&mut runs).await, 1);
    let took = put.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_row_that_comes_due_runs_then_and_not_before() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    let due = Instant::now() + Duration::from_millis(357);
    running.rows.put_at(due, [1]);
    running.wake.notify_one();
    assert_eq!(next(&mut runs).await, 1);
    let late = due.elapsed();
    assert!(
        Instant::now() >= due && late < Duration::from_millis(300),
        "{late:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn an_idle_queue_looks_once_a_second() {
    let (handle, _runs) = telling();
    let running = Running::start(8, SOON, handle);
    running.rests().await;
    let before = running.rows.looks.load(Ordering::SeqCst);
    let since = Instant::now();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let looks = running.rows.looks.load(Ordering::SeqCst) - before;
    let most = since.elapsed().as_secs() + 2;
    assert!(looks >= 1 && looks as u64 <= most, "{looks} of {most}");
    running.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_does_not_end_the_worker() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    running.rows.down.store(true, Ordering::SeqCst);
    running.put([1]);
    running.rests().await;
    let (since, before) = (Instant::now(), running.rows.looks.load(Ordering::SeqCst));
    while since.elapsed() < Duration::from_secs(1) {
        // Wake-ups continue while the store is down; they must not make it spin.
        running.wake.notify_one();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let looks = running.rows.looks.load(Ordering::SeqCst) - before;
    let most = since.elapsed().as_millis() / 200 + 2;
    assert!(looks >= 1 && looks as u128 <= most, "{looks} of {most}");
    running.rows.down.store(false, Ordering::SeqCst);
    assert_eq!(next(&mut runs).await, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_source_that_panics_does_not_end_the_worker() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    running.rows.panics.store(true, Ordering::SeqCst);
    running.put([1]);
    running.rests().await;
    running.rows.panics.store(false, Ordering::SeqCst);
    assert_eq!(next(&mut runs).await, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_job_that_panics_or_is_not_done_frees_its_slot() {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let running = Running::start(1, SOON, move |Row(row)| {
        let ran = ran.clone();
        async move {
            assert!(row != 1, "a bug in the handler");
            match row {
                2 => return Err(NotDone::Retry(anyhow!("the store was away"))),
                3 => return Err(NotDone::Snooze(SOON)),
                4 => return Err(NotDone::failed("recorded")),
                5 => Err(anyhow!("nobody can read this")).or_fail("reading it")?,
                _ => {}
            }
            ran.send(row).unwrap();
            Ok(Done)
        }
    });
    running.put([1, 2, 3, 4, 5, 6]);
    assert_eq!(next(&mut runs).await, 6);
    let rows = Arc::clone(&running.rows);
    running.stop().await;
    // What the handler did not record, the queue did.
    let unreadable = Failure::Final("unreadable_row".into());
    assert_eq!(
        *rows.recorded.lock().unwrap(),
        [
            (1, Failure::Counted),
            (2, Failure::Counted),
            (5, unreadable)
        ]
    );
}

#[tokio::test]
async fn a_job_that_hangs_is_dropped_at_its_time() {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let running = Running::start(1, Duration::from_millis(300), move |Row(row)| {
        let ran = ran.clone();
        async move {
            if row == 1 {
                std::future::pending::<()>().await;
            }
            ran.send(row).unwrap();
            Ok(Done)
        }
    });
    let put = Instant::now();
    running.put([1, 2]);
    let row = timeout(SOON, runs.recv()).await.unwrap();
    assert_eq!(row, Some(2));
    assert!(put.elapsed() >= Duration::from_millis(300));
    let recorded = running.rows.recorded.lock().unwrap().clone();
    assert_eq!(recorded, [(1, Failure::Counted)]);
    running.stop().await;
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_claims_no_more() {
    let gate = Arc::new(Notify::new());
    let (ran, mut runs) = mpsc::unbounded_channel();
    let handle = {
        let gate = Arc::clone(&gate);
        move |Row(row)| {
            let (gate, ran) = (Arc::clone(&gate), ran.clone());
            async move {
                ran.send(row).unwrap();
                gate.notified().await;
                ran.send(row + 100).unwrap();
                Ok(Done)
            }
        }
    };
    let running = Running::start(1, SOON, handle);
    running.put([1, 2]);
    assert_eq!(next(&mut runs).await, 1);
    running.stop.cancel();
    gate.notify_one();
    let rows = Arc::clone(&running.rows);
    running.stop().await;
    assert_eq!(next(&mut runs).await, 101);
    assert_eq!(runs.recv().await, None);
    assert_eq!(
        rows.waiting.lock().unwrap().len(),
        1,
        "the second row waits for the next start"
    );
}

#[tokio::test]
async fn a_claim_under_way_at_the_stop_still_runs() {
    let (handle, mut runs) = telling();
    let running = Running::start(8, SOON, handle);
    let gate = Arc::new(Notify::new());
    *running.rows.slow.lock().unwrap() = Some(Arc::clone(&gate));
    running.put([1, 2]);
    let rows = Arc::clone(&running.rows);
    let claimed = async {
        while !rows.waiting.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, claimed).await.expect("the claim begins");
    running.stop.cancel();
    gate.notify_one();
    running.stop().await;
    assert_eq!((next(&mut runs).await, next(&mut runs).await), (1, 2));
}

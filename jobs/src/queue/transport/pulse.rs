//! When the token worker looks into Redis.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Interval, MissedTickBehavior, interval},
};

/// A look that was already running when this process pushed may have missed the token: one more follows
/// after this time.
const ONCE_MORE: Duration = Duration::from_millis(20);

/// Looks at every interval and when woken. Unlike apalis's own interval it cannot lose a wake-up: each
/// poll leaves the timer pending, so the task is always registered with it.
pub(super) struct Pulse {
    interval: Interval,
    woken: Pin<Box<OwnedNotified>>,
    wake: Arc<Notify>,
}

impl Pulse {
    /// Looks at the interval `every`.
    pub(super) fn new(every: Duration, wake: Arc<Notify>) -> Self {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            interval,
            woken: Box::pin(Arc::clone(&wake).notified_owned()),
            wake,
        }
    }
}

impl PollStrategy for Pulse {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut fired = false;
        while self.woken.as_mut().poll(cx).is_ready() {
            self.woken.set(Arc::clone(&self.wake).notified_owned());
            self.interval.reset_after(ONCE_MORE);
            fired = true;
        }
        while self.interval.poll_tick(cx).is_ready() {
            fired = true;
        }
        if fired {
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    const EVERY: Duration = Duration::from_millis(250);

    #[tokio::test]
    async fn every_poll_leaves_the_next_wake_up_registered() {
        let wake = Arc::new(Notify::new());
        let mut pulse = Pulse::new(EVERY, Arc::clone(&wake));
        for look in 0..6 {
            // One poll; nothing polls again until woken. (The timer may need a moment for its first
            // tick.)
            let count = Arc::new(Count::default());
            let waker = Waker::from(Arc::clone(&count));
            let polled = pulse.poll_drive(&mut Context::from_waker(&waker), &PollSnapshot::new());
            assert!(polled.is_ready() || look == 0, "look {look}");
            if look % 2 == 0 {
                wake.notify_one();
            }
            let woken = async {
                while count.0.load(Ordering::SeqCst) == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let woken = tokio::time::timeout(EVERY * 20, woken).await;
            woken.unwrap_or_else(|_| panic!("look {look}: nothing wakes it"));
        }
    }
}

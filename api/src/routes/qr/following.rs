//! The events of a stream of QR codes, and when it ends.

use std::time::Duration;

use futures_util::{Stream, stream};
use passerelle_jobs::{
    Services, keys,
    model::{Live, State},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::QrStreamEvent;
use crate::{auth::Tenant, limits::KEY_LOOK, types::Timestamp};

/// Returns when a stream has to end, whatever happens to its session.
pub(super) async fn ended(
    stop: CancellationToken,
    longest: Duration,
    revoked: impl Future<Output = ()>,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(longest) => {}
        () = revoked => {}
    }
}

/// Returns when the key is not valid any more.
pub(super) async fn revoked(services: Services, tenant: Tenant) {
    loop {
        tokio::time::sleep(KEY_LOOK).await;
        // While the database is down, nothing is known of it.
        if let Ok(false) = keys::is_valid(&services, tenant.org, tenant.key).await {
            return;
        }
    }
}

/// The last event that was sent, so that no event is sent twice.
struct Following {
    live: watch::Receiver<Live>,
    told: Option<Live>,
    done: bool,
}

/// Returns each change of the session as an event, from the present state until it is linked or stops.
pub(super) fn follow(live: watch::Receiver<Live>) -> impl Stream<Item = QrStreamEvent> + Send {
    let from = Following {
        live,
        told: None,
        done: false,
    };
    stream::unfold(from, |mut following| async move {
        loop {
            if following.done {
                return None;
            }
            let now = following.live.borrow_and_update().clone();
            let event = following
                .told
                .as_ref()
                .map_or_else(|| Some(told(&now)), |before| change(before, &now));
            // Just after `connect` the session still shows `stopped`: only a stop after something else ends the stream.
            let ran = |before: &Live| before.state != State::Stopped;
            let stopped = now.state == State::Stopped && following.told.as_ref().is_some_and(ran);
            following.done = now.state == State::Connected || stopped;
            following.told = Some(now);
            if let Some(event) = event {
                return Some((event, following));
            }
            if !following.done && following.live.changed().await.is_err() {
                return None;
            }
        }
    })
}

fn change(before: &Live, now: &Live) -> Option<QrStreamEvent> {
    let new = if now.qr.is_some() {
        before.qr != now.qr
    } else {
        before.state != now.state
    };
    new.then(|| told(now))
}

fn told(live: &Live) -> QrStreamEvent {
    match &live.qr {
        Some(qr) => QrStreamEvent {
            qr: Some(qr.code.clone()),
            expires_at: Some(Timestamp(qr.expires_at)),
            state: None,
        },
        None => QrStreamEvent {
            qr: None,
            expires_at: None,
            state: Some(live.state.as_str().to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};
    use passerelle_jobs::model::Qr as Shown;

    use super::*;

    fn qr(code: &str) -> Live {
        Live {
            state: State::Qr,
            qr: Some(Shown {
                code: code.to_owned(),
                expires_at: 0,
            }),
        }
    }

    fn state(state: State) -> Live {
        Live { state, qr: None }
    }

    #[tokio::test]
    async fn the_stream_tells_each_code_once_and_ends_when_linked() {
        let (tell, live) = watch::channel(state(State::Connecting));
        let mut events = Box::pin(follow(live));
        assert_eq!(
            events.next().await.unwrap().state.as_deref(),
            Some("connecting")
        );
        tell.send(qr("one")).unwrap();
        assert_eq!(events.next().await.unwrap().qr.as_deref(), Some("one"));
        tell.send(qr("one")).unwrap();
        tell.send(qr("two")).unwrap();
        assert_eq!(events.next().await.unwrap().qr.as_deref(), Some("two"));
        tell.send(state(State::Connected)).unwrap();
        assert_eq!(
            events.next().await.unwrap().state.as_deref(),
            Some("connected")
        );
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn the_stream_ends_after_its_longest_time_at_a_stop_and_with_its_key() {
        let (day, moment) = (Duration::from_hours(24), Duration::from_millis(10));
        let stopping = CancellationToken::new();
        stopping.cancel();
        let going = CancellationToken::new;
        for ended in [
            ended(going(), moment, std::future::pending().boxed()),
            ended(stopping, day, std::future::pending().boxed()),
            ended(going(), day, std::future::ready(()).boxed()),
        ] {
            let (_tell, live) = watch::channel(qr("one"));
            let mut events = Box::pin(follow(live).take_until(ended));
            while tokio::time::timeout(Duration::from_secs(10), events.next())
                .await
                .expect("the stream ends")
                .is_some()
            {}
        }
    }

    #[tokio::test]
    async fn a_session_that_has_not_started_yet_is_waited_for() {
        let (tell, live) = watch::channel(state(State::Stopped));
        let mut events = Box::pin(follow(live));
        assert_eq!(
            events.next().await.unwrap().state.as_deref(),
            Some("stopped")
        );
        tell.send(qr("one")).unwrap();
        assert!(events.next().await.unwrap().qr.is_some());
        tell.send(state(State::Stopped)).unwrap();
        assert_eq!(
            events.next().await.unwrap().state.as_deref(),
            Some("stopped")
        );
        assert!(events.next().await.is_none());
    }
}

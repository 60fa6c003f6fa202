//! Whether the number shows as online. While a linked device does, WhatsApp sends the phone no notifications.
//!
//! The library announces the number as `available` by itself: at each connect, with the first name that it
//! learns, and at each change of the name. There is no option against it. So each announcement is followed by
//! `unavailable`, unless the session is to show as online. A typing notice is shown only while the number is
//! available; so it is from the first notice until the message is written, for at most [`TYPING`].

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::{NodeFilter, PresenceError};

use super::{connection::Connection, send::Typing};

/// How long a number shows as online because of a typing notice.
const TYPING: Duration = Duration::from_secs(15);
/// How long after the library has built an `available` the answer to it is sent, at least. The library reports the
/// stanza a moment before it is queued, and the answer must come after it.
const BEHIND: Duration = Duration::from_millis(200);

/// Who is shown to be there: the number's owner with the phone, or this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Presence {
    /// The session does not show as online, so that the phone gets its notifications.
    PhoneFirst,
    /// The session shows as online while it is connected.
    GatewayFirst,
}

/// What one connection has announced, and what it is to announce.
#[derive(Debug, Default)]
pub(super) struct Announced {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// `None` until it is known. Then nothing is announced.
    wanted: Option<Presence>,
    is_available: bool,
    /// The number is available for a typing notice until this time.
    typing_until: Option<Instant>,
    /// `unavailable` is not sent before this time.
    not_before: Option<Instant>,
}

impl State {
    /// Returns what is to be announced next, and when. `true` means `available`.
    fn next(&self) -> Option<(bool, Option<Instant>)> {
        match (self.wanted?, self.is_available) {
            (Presence::PhoneFirst, true) => Some((false, self.typing_until.max(self.not_before))),
            (Presence::GatewayFirst, false) => Some((true, None)),
            _ => None,
        }
    }
}

impl Announced {
    /// Sets what is wanted from now on. The connection is established, so what the library announced at the
    /// connect was written before.
    fn want(&self, presence: Presence) {
        let mut state = self.state.lock();
        state.wanted = Some(presence);
        state.not_before = None;
        drop(state);
        self.changed.notify_one();
    }

    /// Records that `available` is about to be written.
    fn available(&self, now: Instant) {
        let mut state = self.state.lock();
        state.is_available = true;
        state.not_before = Some(now + BEHIND);
        drop(state);
        self.changed.notify_one();
    }

    /// Records a typing notice. Returns whether the number must become available for it.
    fn types(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_needed = state.wanted == Some(Presence::PhoneFirst) && state.typing_until.is_none();
        if is_needed {
            state.typing_until = Some(now + TYPING);
        }
        drop(state);
        self.changed.notify_one();
        is_needed
    }

    /// Records that a message was written: its typing is over.
    pub(super) fn sent(&self) {
        self.state.lock().typing_until = None;
        self.changed.notify_one();
    }

    /// Waits until something is to be announced, and records it as announced. `true` means `available`.
    async fn due(&self) -> bool {
        loop {
            let next = self.state.lock().next();
            let due = async {
                match next {
                    Some((_, Some(at))) => tokio::time::sleep_until(at).await,
                    Some((_, None)) => {}
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => continue,
                () = due => {}
            }
            let mut state = self.state.lock();
            if state.next() == next
                && let Some((available, _)) = next
            {
                state.is_available = available;
                state.typing_until = None;
                state.not_before = None;
                return available;
            }
        }
    }
}

impl Connection {
    /// Sets whether the number shows as online, from now on and over reconnects. Call it when the connection is
    /// established.
    pub fn set_presence(&self, presence: Presence) {
        self.announced().want(presence);
    }

    /// Makes the number available before a typing notice, if the notice would not be seen otherwise.
    pub(super) async fn be_available(&self, typing: Typing) {
        let now = self.clock().monotonic();
        if typing == Typing::Paused || !self.announced().types(now) {
            return;
        }
        if let Err(error) = self.client().presence().set_available().await {
            tracing::debug!(%error, "the number was not shown as online; typing may not be seen");
        }
    }

    async fn announce(&self, available: bool) -> Result<(), PresenceError> {
        let presence = self.client().presence();
        if available {
            presence.set_available().await
        } else {
            presence.set_unavailable().await
        }
    }

    /// Answers what the library announces by itself, until the lease is lost.
    pub(super) async fn keep_presence(&self, lost: &CancellationToken) {
        let available = || NodeFilter::tag("presence").attr("type", "available");
        let mut told = self.client().wait_for_sent_node(available());
        loop {
            tokio::select! {
                sent = &mut told => {
                    told = self.client().wait_for_sent_node(available());
                    // The library drops its waiters when a connection drops.
                    if sent.is_ok() {
                        self.announced().available(self.clock().monotonic());
                    }
                }
                available = self.announced().due() => {
                    // Boxed: it is rare, and every connection waits here.
                    let announced = Box::pin(self.announce(available));
                    if let Err(error) = announced.await {
                        // After a lost connection the library announces the number again. Without a name it
                        // announces nothing.
                        tracing::debug!(%error, "the presence was not announced");
                    }
                }
                () = lost.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::clock::Clock;

    fn announced() -> (Announced, Instant) {
        (Announced::default(), Clock::system().monotonic())
    }

    #[tokio::test]
    async fn what_the_library_announces_is_answered_once_it_is_known_what_is_wanted() {
        let (announced, now) = announced();
        announced.available(now);
        assert_eq!(announced.due().now_or_never(), None);
        announced.want(Presence::PhoneFirst);
        assert!(!announced.due().await);
        assert_eq!(announced.due().now_or_never(), None);
        // A later one is answered by itself, but not before it was written.
        announced.available(now);
        assert_eq!(announced.due().now_or_never(), None);
        assert!(!announced.due().await);
        assert!(Clock::system().monotonic() >= now + BEHIND);
    }

    #[tokio::test]
    async fn the_number_is_available_from_the_first_typing_notice_to_the_message() {
        let (announced, now) = announced();
        assert!(!announced.types(now), "it is not known what is wanted");
        announced.want(Presence::PhoneFirst);
        assert!(announced.types(now));
        announced.available(now);
        assert!(!announced.types(now + Duration::from_secs(14)), "once");
        let until = announced.state.lock().next();
        assert_eq!(until, Some((false, Some(now + TYPING))));
        announced.sent();
        assert!(!announced.due().await);
        assert!(announced.types(now));
    }

    #[tokio::test]
    async fn a_session_that_comes_first_stays_available() {
        let (announced, now) = announced();
        announced.want(Presence::GatewayFirst);
        assert!(announced.due().await);
        announced.available(now);
        assert!(!announced.types(now));
        announced.sent();
        assert_eq!(announced.due().now_or_never(), None);
        announced.want(Presence::PhoneFirst);
        assert!(!announced.due().await);
    }
}

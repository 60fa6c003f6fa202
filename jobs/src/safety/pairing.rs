//! How many pairing codes may be requested. Each makes WhatsApp show a notification on a phone that anyone
//! can name, so many of them annoy that phone and harm the address they come from.

use std::time::Duration;

use passerelle_engine::{clock::Millis, ids::SessionId};

use crate::model::millis;

/// The most codes of one session within [`OF_SESSION_WITHIN`].
pub const OF_SESSION: usize = 3;
/// See [`OF_SESSION`].
pub const OF_SESSION_WITHIN: Duration = Duration::from_mins(10);
/// The most codes of one organisation within [`OF_ORGANISATION_WITHIN`].
pub const OF_ORGANISATION: usize = 20;
/// See [`OF_ORGANISATION`].
pub const OF_ORGANISATION_WITHIN: Duration = Duration::from_hours(1);

/// Returns until when this session must wait for its next code; `None` if it need not wait. `asked` are the
/// organisation's codes, the newest first.
pub(crate) fn wait_until(
    asked: &[(String, Millis)],
    session: SessionId,
    now: Millis,
) -> Option<Millis> {
    let session = session.to_string();
    let of_session = asked.iter().filter(|(id, _)| *id == session);
    let of_session = of_session.map(|(_, at)| *at).nth(OF_SESSION - 1);
    let of_session = of_session.map(|at| at.saturating_add(millis(OF_SESSION_WITHIN)));
    let of_org = asked.get(OF_ORGANISATION - 1);
    let of_org = of_org.map(|(_, at)| at.saturating_add(millis(OF_ORGANISATION_WITHIN)));
    of_session.max(of_org).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn a_session_gets_three_in_ten_minutes() {
        let clock = Clock::system();
        let (session, other) = (SessionId::new(&clock), SessionId::new(&clock));
        let at = |at| (session.to_string(), at);
        let mut asked = vec![at(2 * MINUTE), at(MINUTE)];
        assert_eq!(wait_until(&asked, session, 3 * MINUTE), None);
        asked.insert(0, at(3 * MINUTE));
        assert_eq!(wait_until(&asked, session, 4 * MINUTE), Some(11 * MINUTE));
        assert_eq!(wait_until(&asked, session, 11 * MINUTE), None);
        assert_eq!(wait_until(&asked, other, 4 * MINUTE), None);
    }

    #[test]
    fn an_organisation_gets_twenty_in_an_hour_whatever_its_sessions() {
        let clock = Clock::system();
        let session = SessionId::new(&clock);
        let asked = |count: i64| -> Vec<_> {
            let newest_first = (1..=count).rev();
            let each = newest_first.map(|n| (SessionId::new(&clock).to_string(), n * MINUTE));
            each.collect()
        };
        assert_eq!(wait_until(&asked(19), session, 21 * MINUTE), None);
        let until = Some(61 * MINUTE);
        assert_eq!(wait_until(&asked(20), session, 21 * MINUTE), until);
        assert_eq!(wait_until(&asked(20), session, 61 * MINUTE), None);
    }
}

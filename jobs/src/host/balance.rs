//! Balances sessions over the hosts: which host a session prefers, and releasing some of them when this
//! host has far more than its share.

use std::collections::HashMap;

use passerelle_engine::ids::SessionId;
use sha2::{Digest as _, Sha256};

use crate::{
    error::Fault,
    model::{State, millis},
    services::Services,
    settings::DEAD,
    state::registry::Running,
    store,
};

/// A host with more sessions than this percentage of its fair share has too many.
const TOO_MANY: usize = 120;
/// How many sessions are released per heartbeat. Few, because each of them has to connect again.
const AT_ONCE: usize = 5;

/// Returns the host that should run the session, out of those that take sessions. Every host computes the
/// same ranking. When a host joins or leaves, only its own sessions move (rendezvous hashing).
pub(super) fn preferred(hosts: &[String], session: SessionId) -> Option<&str> {
    let rank = |host: &&String| Sha256::digest(format!("{host}\n{session}"));
    hosts.iter().max_by_key(rank).map(String::as_str)
}

/// Releases some sessions if this host has far more than its share and they prefer a host with less than
/// its share. Messages in flight are settled first.
pub(super) async fn level(services: &Services) -> Result<(), Fault> {
    let running = services.registry().all();
    if !services.is_shared() || running.len() < 2 {
        return Ok(());
    }
    let (hosts, loads) = {
        let mut conn = services.store().read_system().await?;
        let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
        let alive = now.saturating_sub(millis(DEAD));
        let hosts = store::system::hosts::open(&mut conn, alive).await?;
        (hosts, store::system::hosts::loads(&mut conn).await?)
    };
    // Sessions that are already being released do not count, though their leases are still held.
    let going = running.iter().filter(|one| one.stop.is_cancelled());
    let mine = running.len() - going.count();
    let connected = |one: &&Running| {
        let state = services.registry().state(one.lease.session);
        state == Some(State::Connected) && !one.stop.is_cancelled()
    };
    let movable: Vec<_> = running.iter().filter(connected).collect();
    let sessions: Vec<_> = movable.iter().map(|one| one.lease.session).collect();
    for session in surplus(&services.settings().host, mine, &hosts, &loads, &sessions) {
        let moved = movable.iter().find(|one| one.lease.session == session);
        if let Some(one) = moved {
            tracing::info!(session.id = %session, "the session is released: another host has far fewer sessions");
            one.stop.cancel();
        }
    }
    Ok(())
}

/// Returns which of its sessions a host that runs `mine` of them should release.
fn surplus(
    host: &str,
    mine: usize,
    hosts: &[String],
    loads: &HashMap<String, i64>,
    sessions: &[SessionId],
) -> Vec<SessionId> {
    if !hosts.iter().any(|one| one == host) {
        return Vec::new();
    }
    let load = |host: &str| usize::try_from(loads.get(host).copied().unwrap_or(0)).unwrap_or(0);
    let all: usize = hosts.iter().map(|host| load(host)).sum();
    let share = all.div_ceil(hosts.len());
    // One session above the share is no imbalance.
    if mine * 100 <= share * TOO_MANY || mine <= share + 1 {
        return Vec::new();
    }
    let elsewhere = |session: &&SessionId| {
        let preferred = preferred(hosts, **session);
        preferred.is_some_and(|other| other != host && load(other) < share)
    };
    let given = sessions.iter().filter(elsewhere);
    given.take((mine - share).min(AT_ONCE)).copied().collect()
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).into()
    }

    fn sessions(count: usize) -> Vec<SessionId> {
        let clock = Clock::system();
        (0..count).map(|_| SessionId::new(&clock)).collect()
    }

    #[test]
    fn a_host_that_goes_moves_no_session_but_its_own() {
        let hosts = names(["a", "b", "c"]);
        let mut homes = [0; 3];
        for session in sessions(300) {
            let home = preferred(&hosts, session).unwrap();
            let left: Vec<_> = hosts.iter().filter(|host| *host != "c").cloned().collect();
            if home != "c" {
                assert_eq!(preferred(&left, session), Some(home));
            }
            homes[hosts.iter().position(|host| host == home).unwrap()] += 1;
        }
        assert!(homes.iter().all(|&sessions| sessions > 50), "{homes:?}");
        assert_eq!(preferred(&[], sessions(1)[0]), None);
    }

    #[test]
    fn a_host_with_far_too_many_releases_sessions_that_prefer_another_a_few_at_a_time() {
        let (hosts, sessions) = (names(["a", "b"]), sessions(100));
        let loads = |a, b| HashMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let given = surplus("a", 100, &hosts, &loads(100, 0), &sessions);
        assert_eq!(given.len(), AT_ONCE);
        for session in &given {
            assert_eq!(preferred(&hosts, *session), Some("b"));
        }
        assert_eq!(surplus("a", 60, &hosts, &loads(60, 40), &sessions), []);
        assert_eq!(surplus("b", 0, &hosts, &loads(100, 0), &sessions), []);
        // Most of them are being released, but their leases are still held.
        assert_eq!(surplus("a", 51, &hosts, &loads(100, 0), &sessions), []);
        // With three hosts, nothing goes to the one that has enough itself.
        let three = names(["a", "b", "c"]);
        let mut crowded = loads(80, 40);
        crowded.insert("c".to_owned(), 0);
        for session in surplus("a", 80, &three, &crowded, &sessions) {
            assert_eq!(preferred(&three, session), Some("c"));
        }
        let (two, none) = (&sessions[..2], Vec::new());
        let small = surplus("a", 2, &hosts, &loads(2, 0), two);
        assert_eq!(small, none, "one session more is no imbalance");
        let down = surplus("a", 100, &names(["b"]), &loads(100, 0), two);
        assert_eq!(down, none, "a host that shuts down is not balanced");
        assert_eq!(surplus("a", 100, &[], &loads(100, 0), two), none);
    }
}

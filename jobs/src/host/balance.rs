//! Which host a session is meant for, and giving it back to that one when this host has far too many.

use std::collections::HashMap;

use passerelle_engine::ids::SessionId;
use sha2::{Digest as _, Sha256};

use super::{DEAD, registry::Running};
use crate::{error::Fault, model::State, pacing::millis, services::Services, store};

/// A host with more than so many hundredths of its fair share has too many sessions.
const TOO_MANY: usize = 120;
/// Sessions given back with each heartbeat: each of them connects anew.
const AT_ONCE: usize = 5;

/// The host that a session should go to, out of those that take sessions: each host ranks them alike,
/// and one host more or fewer moves no session but its own (rendezvous hashing).
pub(super) fn preferred(hosts: &[String], session: SessionId) -> Option<&str> {
    let rank = |host: &&String| Sha256::digest(format!("{host}\n{session}"));
    hosts.iter().max_by_key(rank).map(String::as_str)
}

/// Gives some sessions back, when this host has far more than its share, and those are meant for a host
/// that has less than that. What is in flight lands first.
pub(super) async fn level(services: &Services) -> Result<(), Fault> {
    let shared = &services.0;
    let running: Vec<_> = shared.registry.all().into_iter().collect();
    if !services.is_shared() || running.len() < 2 {
        return Ok(());
    }
    let (hosts, loads) = {
        let mut conn = shared.store.read_system().await?;
        let now = passerelle_engine::store::now(shared.store.dialect(), &mut conn).await?;
        let alive = now.saturating_sub(millis(DEAD));
        let hosts = store::system::hosts::open(&mut conn, alive).await?;
        (hosts, store::system::hosts::loads(&mut conn).await?)
    };
    let connected = |one: &&Running| {
        let state = shared.registry.state(one.lease.session);
        state == Some(State::Connected) && !one.stop.is_cancelled()
    };
    let movable: Vec<_> = running.iter().filter(connected).collect();
    let sessions: Vec<_> = movable.iter().map(|one| one.lease.session).collect();
    for session in surplus(&shared.settings.host, &hosts, &loads, &sessions) {
        let moved = movable.iter().find(|one| one.lease.session == session);
        if let Some(one) = moved {
            tracing::info!(session.id = %session, "given back: another host has far fewer sessions");
            one.stop.cancel();
        }
    }
    Ok(())
}

/// Which of its sessions a host should give back.
fn surplus(
    host: &str,
    hosts: &[String],
    loads: &HashMap<String, i64>,
    sessions: &[SessionId],
) -> Vec<SessionId> {
    let load = |host: &str| usize::try_from(loads.get(host).copied().unwrap_or(0)).unwrap_or(0);
    let all: usize = hosts.iter().map(|host| load(host)).sum();
    // Rounded up: with one session more than that nothing is out of balance.
    let Some(share) = hosts
        .len()
        .checked_sub(1)
        .map(|_| all.div_ceil(hosts.len()))
    else {
        return Vec::new();
    };
    let mine = load(host);
    if !hosts.iter().any(|one| one == host) || mine * 100 <= share * TOO_MANY || mine <= share + 1 {
        return Vec::new();
    }
    let elsewhere = |session: &&SessionId| {
        let preferred = preferred(hosts, **session);
        preferred.is_some_and(|other| other != host && load(other) < share)
    };
    let surplus = (mine - share).min(AT_ONCE);
    sessions
        .iter()
        .filter(elsewhere)
        .take(surplus)
        .copied()
        .collect()
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
    fn a_host_with_far_too_many_gives_back_what_is_meant_for_another_a_few_at_a_time() {
        let (hosts, sessions) = (names(["a", "b"]), sessions(100));
        let loads = |a, b| HashMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let given = surplus("a", &hosts, &loads(100, 0), &sessions);
        assert_eq!(given.len(), AT_ONCE);
        for session in &given {
            assert_eq!(preferred(&hosts, *session), Some("b"));
        }
        assert_eq!(surplus("a", &hosts, &loads(60, 40), &sessions), []);
        assert_eq!(surplus("b", &hosts, &loads(100, 0), &sessions), []);
        // Three hosts, and the one that a session is meant for has enough itself.
        let three = names(["a", "b", "c"]);
        let mut crowded = loads(80, 40);
        crowded.insert("c".to_owned(), 0);
        for session in surplus("a", &three, &crowded, &sessions) {
            assert_eq!(preferred(&three, session), Some("c"));
        }
        let two = &sessions[..2];
        assert_eq!(
            surplus("a", &hosts, &loads(2, 0), two),
            [],
            "one more is no imbalance"
        );
        assert_eq!(
            surplus("a", &names(["b"]), &loads(100, 0), two),
            [],
            "it goes down"
        );
        assert_eq!(surplus("a", &[], &loads(100, 0), two), []);
    }
}

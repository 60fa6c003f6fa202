//! Which host a session goes to, and what lanes keep whatever happens.

mod promises;

use passerelle_engine::clock::Clock;

use super::*;

#[test]
fn a_host_that_goes_moves_no_session_but_its_own() {
    let hosts = ["a", "b", "c"].map(str::to_owned);
    let clock = Clock::system();
    let mut homes = [0; 3];
    for _ in 0..300 {
        let session = SessionId::new(&clock);
        let home = preferred(&hosts, session).unwrap();
        let left: Vec<_> = hosts.iter().filter(|host| *host != "c").cloned().collect();
        if home != "c" {
            assert_eq!(preferred(&left, session), Some(home));
        }
        homes[hosts.iter().position(|host| host == home).unwrap()] += 1;
    }
    assert!(homes.iter().all(|&sessions| sessions > 50), "{homes:?}");
    assert_eq!(preferred(&[], SessionId::new(&clock)), None);
}

//! The faults and their order.

use passerelle_tests::{gateway::OTHERS, postgres::Stop};
use rand::{
    RngExt as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use std::time::Duration;

const HOSTS: [&str; 2] = ["host-a", "host-b"];
const WORKERS: [&str; 2] = ["worker-a", "worker-b"];

/// A fault, which is repaired before the next one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A process is killed and started again after a while.
    Killed(&'static str, Duration),
    /// A process is paused for a while.
    Halted(&'static str, Duration),
    /// Every process is asked to end and started again, one after the other.
    Rolled,
    /// A second process is started under a host's name and takes over the name.
    Usurped(&'static str),
    /// A worker is restarted. One of its attempts panics before its post, and one after.
    AttemptsPanic(&'static str),
    RedisKilled(Duration),
    RedisEmptied,
    RedisHalted(Duration),
    RedisFull(Duration),
    /// Tokens that no process pushed: an invalid one, one of a later version, and some without content.
    TokensPoisoned,
    /// PostgreSQL refuses connections and loses those it has.
    DatabaseGone(Duration),
    /// Every connection to PostgreSQL is closed.
    DatabaseReset,
    /// PostgreSQL stops and starts again after a while.
    DatabaseStopped(Stop, Duration),
    /// Commits succeed, but their answers are lost.
    CommitsLost(u32),
    DatabaseSlow(Duration),
    /// The host with the most sessions cannot reach PostgreSQL, but still reaches WhatsApp.
    CutOff(Duration),
}

/// Returns the faults of a run in order: each once, or many rounds with longer outages (as many as
/// `PASSERELLE_TEST_ROUNDS` says).
pub(super) fn drawn(chance: &mut StdRng) -> Vec<Fault> {
    let long = std::env::var_os("PASSERELLE_TEST_LONG").is_some();
    let wanted = std::env::var("PASSERELLE_TEST_ROUNDS").ok();
    let wanted = wanted.and_then(|rounds| rounds.parse().ok());
    let rounds = wanted.unwrap_or(if long { 6 } else { 1 });
    let mut faults = Vec::new();
    for _ in 0..rounds {
        let mut round = round(chance);
        if long {
            round.extend(further(chance));
        }
        round.retain(is_wanted);
        round.shuffle(chance);
        faults.extend(round);
    }
    faults
}

/// If `PASSERELLE_TEST_FAULTS` names faults, as in `Killed,Usurped`, no other faults are used.
fn is_wanted(fault: &Fault) -> bool {
    let Ok(wanted) = std::env::var("PASSERELLE_TEST_FAULTS") else {
        return true;
    };
    let name = format!("{fault:?}");
    let name = name.split('(').next().unwrap_or_default();
    wanted.split(',').any(|one| one == name)
}

/// Returns faults that are tested alone: one of each kill or stop, or all of them.
pub(super) fn each(chance: &mut StdRng) -> Vec<Fault> {
    if std::env::var_os("PASSERELLE_TEST_LONG").is_some() {
        return round(chance).into_iter().chain(further(chance)).collect();
    }
    let [host, worker] = [of::<1, 2>(HOSTS, chance)[0], of::<1, 2>(WORKERS, chance)[0]];
    vec![
        Fault::Killed(host, ms(20_000)),
        Fault::Killed(worker, ms(1_000)),
        Fault::RedisKilled(ms(2_000)),
        Fault::DatabaseStopped(Stop::Immediate, ms(2_000)),
    ]
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn round(chance: &mut StdRng) -> Vec<Fault> {
    let [killed, halted, usurped] = of(HOSTS, chance);
    let [worker, panics] = of(WORKERS, chance);
    vec![
        Fault::Killed(killed, ms(chance.random_range(0..3_000))),
        Fault::Killed(worker, ms(chance.random_range(0..3_000))),
        Fault::Killed("api", ms(500)),
        Fault::Halted(halted, ms(8_000)),
        Fault::Rolled,
        Fault::Usurped(usurped),
        Fault::AttemptsPanic(panics),
        Fault::RedisKilled(ms(2_000)),
        Fault::RedisEmptied,
        Fault::RedisHalted(ms(300)),
        Fault::RedisHalted(ms(800)),
        Fault::RedisFull(ms(2_000)),
        Fault::TokensPoisoned,
        Fault::DatabaseGone(ms(3_000)),
        Fault::DatabaseReset,
        Fault::DatabaseStopped(Stop::Fast, ms(chance.random_range(0..2_000))),
        Fault::DatabaseStopped(Stop::Immediate, ms(chance.random_range(0..2_000))),
        Fault::CommitsLost(8),
        Fault::DatabaseSlow(ms(30)),
        Fault::CutOff(ms(20_000)),
    ]
}

/// Returns the faults that take longer.
fn further(chance: &mut StdRng) -> Vec<Fault> {
    let [killed, halted] = of(HOSTS, chance);
    let [any] = of(OTHERS, chance);
    vec![
        Fault::Killed(killed, ms(25_000)),
        Fault::Killed(any, ms(0)),
        Fault::Halted(halted, ms(60_000)),
        Fault::Halted(any, ms(20_000)),
        Fault::RedisHalted(ms(10_000)),
        Fault::RedisKilled(ms(120_000)),
        Fault::DatabaseGone(ms(30_000)),
        Fault::DatabaseStopped(Stop::Immediate, ms(30_000)),
        Fault::CommitsLost(40),
    ]
}

/// Picks some of these names, each independently.
fn of<const N: usize, const M: usize>(
    names: [&'static str; M],
    chance: &mut StdRng,
) -> [&'static str; N] {
    std::array::from_fn(|_| *names.choose(chance).expect("there are names"))
}

//! What fails, and in which order.

use passerelle_tests::{gateway::OTHERS, postgres::Stop};
use rand::{
    RngExt as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use std::time::Duration;

const HOSTS: [&str; 2] = ["host-a", "host-b"];
const WORKERS: [&str; 2] = ["worker-a", "worker-b"];

/// Something that fails, and is mended before the next does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A process is killed, and starts again after a while.
    Killed(&'static str, Duration),
    /// A process stands still for a while.
    Halted(&'static str, Duration),
    /// Every process is asked to end, and started again, one after the other.
    Rolled,
    /// Another process is started under a host's name, which is the newcomer's from then on.
    Usurped(&'static str),
    /// A worker is started anew, and of its attempts one panics before its post, and one after it.
    AttemptsPanic(&'static str),
    RedisKilled(Duration),
    RedisEmptied,
    RedisHalted(Duration),
    RedisFull(Duration),
    /// Tokens that nobody pushed: one that is none, one of a later version, some without what they say.
    TokensPoisoned,
    /// PostgreSQL takes no connection, and has none.
    DatabaseGone(Duration),
    /// Every connection to PostgreSQL ends.
    DatabaseReset,
    /// PostgreSQL itself stops, and starts again after a while.
    DatabaseStopped(Stop, Duration),
    /// Commits are done, and nobody is told.
    CommitsLost(u32),
    DatabaseSlow(Duration),
    /// The host with the most sessions does not reach PostgreSQL; WhatsApp it does.
    CutOff(Duration),
}

/// The faults of a run, in the order in which they come: each of a round once, or many rounds with
/// longer outages (`PASSERELLE_TEST_ROUNDS` says how many).
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

/// `PASSERELLE_TEST_FAULTS` names some of them, as in `Killed,Usurped`: no others come then.
fn is_wanted(fault: &Fault) -> bool {
    let Ok(wanted) = std::env::var("PASSERELLE_TEST_FAULTS") else {
        return true;
    };
    let name = format!("{fault:?}");
    let name = name.split('(').next().unwrap_or_default();
    wanted.split(',').any(|one| one == name)
}

/// Faults that are each looked at alone: one of everything that is killed or stops, or all there are.
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

/// What takes longer.
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

/// Some of these names, each drawn by itself.
fn of<const N: usize, const M: usize>(
    names: [&'static str; M],
    chance: &mut StdRng,
) -> [&'static str; N] {
    std::array::from_fn(|_| *names.choose(chance).expect("there are names"))
}

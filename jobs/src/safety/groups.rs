//! What a number remembers of groups: where it wrote a moment ago, and which ones it has just come into.

use std::time::Duration;

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

use super::steps::Steps;
use crate::model::millis;

/// A group as a number remembers it: a part of its keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(u64);

impl GroupKey {
    /// Returns the key of the group with this hash. It has 48 bits, which every JSON reader keeps. Two groups with the same
    /// key would share their limits.
    pub fn of(mac: &[u8]) -> Self {
        let bytes = mac.iter().take(6);
        Self(bytes.fold(0, |key, byte| (key << 8) | u64::from(*byte)))
    }
}

/// No policy waits longer from one message to a group to the next.
pub const APART_MOST: Duration = Duration::from_mins(10);
/// No policy waits longer after the number came into a group.
pub const JOINED_MOST: Duration = Duration::from_hours(48);
/// So many groups are remembered. With the gap before a message to a group, no more get one within [`APART_MOST`]. Of more
/// that the number came into within [`JOINED_MOST`], the first ones count as old.
const KEPT: usize = 64;

/// When something last happened with each group, the latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupTimes(Vec<(GroupKey, Millis)>);

impl GroupTimes {
    /// Returns when that is so long ago. In the past if nothing is known of the group.
    pub fn after(&self, group: GroupKey, time: Duration) -> Millis {
        let last = self.0.iter().find(|(of, _)| *of == group);
        last.map_or(Millis::MIN, |(_, at)| at.saturating_add(millis(time)))
    }

    /// Notes that it happened.
    pub fn note(&mut self, group: GroupKey, at: Millis) {
        self.0.retain(|(of, _)| *of != group);
        self.0.push((group, at));
        let over = self.0.len().saturating_sub(KEPT);
        self.0.drain(..over);
    }

    /// Forgets what is longer ago.
    pub fn forget(&mut self, time: Duration, now: Millis) {
        self.0
            .retain(|(_, at)| at.saturating_add(millis(time)) > now);
    }

    /// Moves what was noted before the clock went ahead.
    pub(super) fn step(&mut self, steps: &Steps) {
        for (_, at) in &mut self.0 {
            *at = steps.moved(*at);
        }
    }

    /// Moves all of it.
    pub(super) fn later(&mut self, by: Millis) {
        for (_, at) in &mut self.0 {
            *at = at.saturating_add(by);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that the last of them happened later than planned.
    pub(super) fn moved(&mut self, from: Millis, to: Millis) {
        if let Some(last) = self.0.last_mut().filter(|last| last.1 == from) {
            last.1 = to;
        }
    }

    /// Brings what is later than `latest` to `now`.
    pub(super) fn follow(&mut self, latest: Millis, now: Millis) {
        for (_, at) in self.0.iter_mut().filter(|(_, at)| *at > latest) {
            *at = now;
        }
    }
}

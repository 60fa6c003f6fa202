//! The queue of messages out: one per host, over the lanes that the host holds.
//!
//! A lane is a session's single file. [`crate::queue::Source`] over lanes claims at most one
//! message of each lane that is due, so one queue keeps order and pace for every session.

use super::SqlQueue;

/// The lanes of one host as a queue; `L` claims from the lane rows.
pub type LaneStorage<L> = SqlQueue<L>;

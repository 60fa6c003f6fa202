//! Named crash points: where a test may end the process to prove that nothing is lost.
//!
//! Compiled to nothing unless the build has the `sandbox` feature; there, `FAILPOINTS="name=return"`
//! aborts the process at the point, without any clean-up. ARCHITECTURE.md explains each.

/// Every crash point of the send, inbound and webhook paths.
pub const POINTS: [&str; 15] = [
    "accept.before_commit",
    "accept.after_commit",
    "claim.before_commit",
    "claim.after_commit",
    "wire.before",
    "wire.after",
    "complete.before_commit",
    "complete.after_commit",
    "outcome.before_commit",
    "receipt.before_commit",
    "receipt.after_commit",
    "inbound.before_commit",
    "inbound.after_commit",
    "delivery.claimed",
    "delivery.posted",
];

/// Arms the points that `FAILPOINTS` names, until the answer is dropped.
#[cfg(feature = "sandbox")]
pub fn arm() -> impl Drop {
    fail::FailScenario::setup()
}

/// Ends the process here when a test asked for it.
pub(crate) fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not listed");
    fail::fail_point!(name, |_| std::process::abort());
}

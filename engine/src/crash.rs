//! Named crash points: where a test may end the process to prove that nothing is lost.
//!
//! Compiled to nothing unless the build has the `sandbox` feature; there, `FAILPOINTS="name=return"`
//! aborts the process at the point, without any clean-up. `docs/internals/crash-points.md` lists and explains each.

/// Arms the points that `FAILPOINTS` names, until the answer is dropped.
#[cfg(feature = "sandbox")]
pub fn arm() -> impl Drop {
    fail::FailScenario::setup()
}

/// Ends the process here when a test asked for it.
pub fn point(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
    let _ = name;
}

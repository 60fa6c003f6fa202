//! Named crash points: places where a test can end the process to prove that nothing is lost.
//!
//! Without the `sandbox` feature they compile to nothing. With it, `FAILPOINTS="name=return"`
//! aborts the process at the point, without any clean-up. `docs/internals/crash-points.md` lists
//! and explains them.
//!
//! In the same way a test can lose the answer to a commit, as a broken connection does.

/// Arms the points that `FAILPOINTS` names. They stay armed until the returned value is dropped.
#[cfg(feature = "sandbox")]
pub fn arm() -> impl Drop {
    fail::FailScenario::setup()
}

/// Aborts the process if a test asked for it at this point.
pub fn point(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
    let _ = name;
}

/// Returns the error of a commit whose answer was lost, if a test asked for it at this place, which lies
/// after a commit. The caller does not know then whether its work was kept.
pub fn lost_answer(name: &'static str) -> Result<(), sqlx::Error> {
    fail::fail_point!(name, |_| Err(sqlx::Error::WorkerCrashed));
    let _ = name;
    Ok(())
}

//! Everything that is wrong with a body of the right shape, told at once.

use crate::problem::{Code, Problem};

/// The flaws that were found so far.
#[derive(Debug, Default)]
pub(crate) struct Flaws(Vec<(Code, String, &'static str)>);

impl Flaws {
    /// One more, unless `holds`: where, and what is wanted there.
    pub(crate) fn unless(
        &mut self,
        holds: bool,
        code: Code,
        pointer: impl Into<String>,
        wanted: &'static str,
    ) {
        if !holds {
            self.0.push((code, pointer.into(), wanted));
        }
    }

    /// The value, if nothing is wrong; the first flaw names the problem.
    pub(crate) fn judge<T>(self, value: T) -> Result<T, Problem> {
        let Some((code, _, _)) = self.0.first() else {
            return Ok(value);
        };
        let problem = Problem::new(*code);
        Err(self
            .0
            .iter()
            .fold(problem, |problem, (code, pointer, wanted)| {
                problem.at(pointer, code.as_str(), *wanted)
            }))
    }
}

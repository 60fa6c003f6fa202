//! All errors in the values of a body, reported at once.

use crate::problem::{Code, Problem};

/// The errors that were found so far.
#[derive(Debug, Default)]
pub(crate) struct Flaws(Vec<(Code, String, &'static str)>);

impl Flaws {
    /// Adds an error with its place and what is expected there, unless `holds`.
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

    /// Adds the errors of a part of the body that is at this place.
    pub(crate) fn add_below(&mut self, place: &str, part: Self) {
        let moved = part.0.into_iter();
        self.0.extend(
            moved.map(|(code, pointer, wanted)| (code, format!("{place}{pointer}"), wanted)),
        );
    }

    /// Returns the value if there are no errors. Otherwise the first error decides the code of the problem.
    pub(crate) fn judge<T>(self, value: T) -> Result<T, Problem> {
        let Some((code, _, wanted)) = self.0.first() else {
            return Ok(value);
        };
        let problem = Problem::expected(*code, wanted);
        Err(self
            .0
            .iter()
            .fold(problem, |problem, (code, pointer, wanted)| {
                problem.at(pointer, code.as_str(), *wanted)
            }))
    }
}

//! The refusals of rules, as problems.

use passerelle_jobs::{
    model::auto_reply::{REGEX_RULES_MAX, RULES_MAX},
    replies::{
        check::{FlawKind, RuleFlaw},
        rules::NotMade,
    },
};

use crate::{
    problem::{Code, Problem},
    routes::{messages::refusals::of_source_at, not_found},
};

fn code_of(kind: FlawKind) -> Code {
    match kind {
        FlawKind::Value => Code::InvalidRule,
        FlawKind::Pattern => Code::InvalidPattern,
        FlawKind::Template => Code::InvalidTemplate,
        FlawKind::TimeZone => Code::InvalidTimeZone,
        FlawKind::Date => Code::InvalidDate,
        FlawKind::Contradiction => Code::RuleContradicts,
        FlawKind::Loop => Code::RuleLoops,
    }
}

/// Reports all errors of a rule at once; the first one decides the code.
pub(super) fn of_flaws(flaws: &[RuleFlaw]) -> Problem {
    let Some(first) = flaws.first() else {
        return Problem::new(Code::InvalidRule);
    };
    let problem = Problem::expected(code_of(first.kind), first.wanted);
    flaws.iter().fold(problem, |problem, flaw| {
        let code = code_of(flaw.kind).as_str();
        problem.at(&flaw.pointer, code, flaw.wanted)
    })
}

/// Returns the problem for a rule whose answer has this type.
pub(super) fn of(error: NotMade, kind: &str) -> Problem {
    match error {
        NotMade::NotFound => not_found(),
        NotMade::Flaws(flaws) => of_flaws(&flaws),
        NotMade::NoSuchSession => Problem::new(Code::SessionNotFound).at(
            "/session_id",
            "session_not_found",
            "a session of your organisation",
        ),
        NotMade::TooMany => Problem::new(Code::LimitReached).detail(format!(
            "An organisation may have {RULES_MAX} rules for automatic replies. This limit is fixed. Delete one (DELETE \
             /v1/auto-replies/{{id}})."
        )),
        NotMade::TooManyPatterns => Problem::new(Code::LimitReached)
            .detail(format!(
                "An organisation may have {REGEX_RULES_MAX} rules with a regular expression. This limit is fixed. Use \
                 keywords, whole texts or beginnings, or one expression for several rules."
            ))
            .at("/match/regex", "limit_reached", "another condition"),
        NotMade::Source(error) => of_source_at(&error, &format!("/answer/{kind}")),
        NotMade::Ingest(error) => error.into(),
        NotMade::Fault(fault) => fault.into(),
    }
}

//! Checks a rule: it compiles, and it can fire without answering itself.

use passerelle_engine::{
    content::Content,
    ids::{AutoReplyId, SessionId},
};

use super::{
    hours::{BadHours, Hours},
    matching::Compiled,
    template::{self, TemplateError, Values},
    text::{self, Wanted},
};
use crate::model::auto_reply::{
    ABSENCE_MAX, AGE_MAX, Conditions, HOLIDAYS_MAX, Matching, ONCE_MAX, ONCE_MIN, OPENINGS_MAX,
    OfficeHours, PERSON_MAX, POSITION_MAX, Rule, TEXT_CHARS_MAX, TEXTS_MAX, TextTest,
};

/// What is wrong with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// A value is missing or out of its range.
    Value,
    /// A regular expression does not compile, or is too large.
    Pattern,
    /// A template does not compile, or takes too much.
    Template,
    /// There is no such time zone.
    TimeZone,
    /// There is no such day.
    Date,
    /// Two conditions can never hold together.
    Contradiction,
    /// The rule would answer its own answer.
    Loop,
}

/// An error in a rule: what it is, where in its JSON, and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFlaw {
    /// What is wrong.
    pub kind: FlawKind,
    /// The JSON pointer.
    pub pointer: String,
    /// What is expected.
    pub wanted: &'static str,
}

/// The types of messages that a rule can name.
pub const TYPES: &[&str] = &[
    "text",
    "image",
    "video",
    "audio",
    "voice",
    "document",
    "sticker",
    "location",
    "contacts",
    "poll",
    "button_reply",
    "list_reply",
    "order",
    "product",
    "view_once_unavailable",
    "unsupported",
];

#[derive(Default)]
struct Flaws(Vec<RuleFlaw>);

impl Flaws {
    fn unless(
        &mut self,
        holds: bool,
        kind: FlawKind,
        pointer: impl Into<String>,
        wanted: &'static str,
    ) {
        if !holds {
            let pointer = pointer.into();
            self.0.push(RuleFlaw {
                kind,
                pointer,
                wanted,
            });
        }
    }
}

/// Checks a rule and prepares it. Reports every error.
pub(super) fn compile(
    id: AutoReplyId,
    session: Option<SessionId>,
    rule: Rule,
) -> Result<Compiled, Vec<RuleFlaw>> {
    let mut flaws = Flaws::default();
    let holds = (0..=POSITION_MAX).contains(&rule.position);
    flaws.unless(holds, FlawKind::Value, "/position", "0 to 1000000");
    let matching = &rule.matching;
    let wanted = matching
        .text
        .as_ref()
        .and_then(|test| wanted(test, &mut flaws));
    types(matching, &mut flaws);
    let hours = matching
        .hours
        .as_ref()
        .and_then(|hours| office_hours(hours, &mut flaws));
    contradictions(matching, &rule.conditions, &mut flaws);
    conditions(&rule.conditions, &mut flaws);
    answer(&rule.answer, &mut flaws);
    let compiled = Compiled {
        id,
        session,
        rule,
        wanted,
        hours,
    };
    if flaws.0.is_empty() {
        let limits = &compiled.rule.conditions;
        flaws.unless(
            limits.once_per_seconds.is_some() || !answers_itself(&compiled),
            FlawKind::Loop,
            "/conditions/once_per_seconds",
            "a number of seconds, because this rule would answer its own answer when another machine sends it back",
        );
    }
    if flaws.0.is_empty() {
        Ok(compiled)
    } else {
        Err(flaws.0)
    }
}

fn wanted(test: &TextTest, flaws: &mut Flaws) -> Option<Wanted> {
    let (texts, field) = match test {
        TextTest::Keywords(words) => (words, "keywords"),
        TextTest::Exact(texts) => (texts, "exact"),
        TextTest::Prefixes(texts) => (texts, "prefixes"),
        TextTest::Regex(_) => {
            let wanted = Wanted::parse(test).ok();
            flaws.unless(
                wanted.is_some(),
                FlawKind::Pattern,
                "/match/regex",
                "a regular expression of 1 to 512 bytes without look-around and back-references, of at most 256 KiB when \
                 it is compiled",
            );
            return wanted;
        }
    };
    let holds = (1..=TEXTS_MAX).contains(&texts.len());
    let pointer = format!("/match/{field}");
    flaws.unless(holds, FlawKind::Value, pointer.as_str(), "1 to 50 texts");
    for (place, text) in texts.iter().take(TEXTS_MAX).enumerate() {
        let is_sized = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
        let is_said = match test {
            TextTest::Keywords(_) => text::is_word(text),
            _ => !text.trim().is_empty(),
        };
        flaws.unless(
            is_sized && is_said,
            FlawKind::Value,
            format!("{pointer}/{place}"),
            "1 to 200 characters, not only white space; a keyword has a letter or a digit",
        );
    }
    Wanted::parse(test).ok()
}

fn types(matching: &Matching, flaws: &mut Flaws) {
    let known = |name: &String| TYPES.contains(&name.as_str());
    for (place, name) in matching.types.iter().take(TYPES.len()).enumerate() {
        let wanted = "the type of a message that comes in, such as text or image";
        flaws.unless(
            known(name),
            FlawKind::Value,
            format!("/match/types/{place}"),
            wanted,
        );
    }
    let holds = matching.types.len() <= TYPES.len();
    let wanted = "each type at most once";
    flaws.unless(holds, FlawKind::Value, "/match/types", wanted);
}

fn office_hours(hours: &OfficeHours, flaws: &mut Flaws) -> Option<Hours> {
    let at = |field: &str| format!("/match/office_hours/{field}");
    let holds = hours.open.len() <= OPENINGS_MAX;
    flaws.unless(
        holds,
        FlawKind::Value,
        at("open"),
        "at most 50 opening times",
    );
    let holds = hours.holidays.len() <= HOLIDAYS_MAX;
    flaws.unless(holds, FlawKind::Value, at("holidays"), "at most 200 days");
    for (place, opening) in hours.open.iter().take(OPENINGS_MAX).enumerate() {
        let wanted = "at least one day";
        let pointer = at(&format!("open/{place}/days"));
        flaws.unless(!opening.days.is_empty(), FlawKind::Value, pointer, wanted);
        let holds = opening.from < 1440 && opening.until <= 1440 && opening.from != opening.until;
        let pointer = at(&format!("open/{place}/until"));
        let wanted = "another time than `from`; 24:00 for the end of the day";
        flaws.unless(holds, FlawKind::Value, pointer, wanted);
    }
    match Hours::parse(hours) {
        Ok(hours) => Some(hours),
        Err(BadHours::Zone) => {
            let wanted = "a time zone of the IANA database, such as Europe/Berlin";
            flaws.unless(false, FlawKind::TimeZone, at("timezone"), wanted);
            None
        }
        Err(BadHours::Holiday(place)) => {
            let wanted = "a day that there is, such as 2026-12-25";
            let pointer = at(&format!("holidays/{place}"));
            flaws.unless(false, FlawKind::Date, pointer, wanted);
            None
        }
        Err(BadHours::Never) => {
            let wanted = "opening times with which the rule can hold";
            flaws.unless(false, FlawKind::Contradiction, at("open"), wanted);
            None
        }
    }
}

fn contradictions(matching: &Matching, limits: &Conditions, flaws: &mut Flaws) {
    let Matching {
        any,
        text,
        types,
        first_contact,
        returning_after_hours: absence,
        hours,
    } = matching;
    flaws.unless(
        absence.is_none_or(|hours| (1..=ABSENCE_MAX).contains(&hours)),
        FlawKind::Value,
        "/match/returning_after_hours",
        "1 to 43800 hours",
    );
    let narrows = text.is_some() || !types.is_empty() || *first_contact || absence.is_some();
    flaws.unless(
        *any || narrows || hours.is_some(),
        FlawKind::Value,
        "/match",
        "at least one condition, or `any` for every message",
    );
    let mut contradict = |holds: bool, pointer: &str, wanted| {
        flaws.unless(!holds, FlawKind::Contradiction, pointer, wanted);
    };
    let wanted = "no `any` beside other conditions than office hours";
    contradict(*any && narrows, "/match/any", wanted);
    let wanted = "one of `first_contact` and `returning_after_hours`: nobody does both";
    let both = *first_contact && absence.is_some();
    contradict(both, "/match/returning_after_hours", wanted);
    let wanted = "true, because first and returning contacts are told apart outside of groups only";
    let in_groups = !limits.private_only && (*first_contact || absence.is_some());
    contradict(in_groups, "/conditions/private_only", wanted);
    let has_text = |name: &String| text::WITH_TEXT.contains(&name.as_str());
    let wordless = text.is_some() && !types.is_empty() && !types.iter().any(has_text);
    let wanted = "a type that has a text, because the rule looks at the text";
    contradict(wordless, "/match/types", wanted);
    let ends_first = limits
        .from
        .zip(limits.until)
        .is_some_and(|(from, until)| until <= from);
    contradict(ends_first, "/conditions/until", "a time after `from`");
}

fn conditions(limits: &Conditions, flaws: &mut Flaws) {
    let mut value = |holds: bool, field: &str, wanted| {
        flaws.unless(
            holds,
            FlawKind::Value,
            format!("/conditions/{field}"),
            wanted,
        );
    };
    let once = limits.once_per_seconds;
    value(
        once.is_none_or(|seconds| (ONCE_MIN..=ONCE_MAX).contains(&seconds)),
        "once_per_seconds",
        "10 seconds to 90 days",
    );
    let holds = limits.person_minutes <= PERSON_MAX;
    value(holds, "person_minutes", "0 to 10080 minutes");
    let holds = (1..=AGE_MAX).contains(&limits.max_age_seconds);
    value(holds, "max_age_seconds", "1 to 86400 seconds");
}

/// Returns the template of an answer, and its place in the JSON.
pub(super) fn template_of(answer: &Content) -> Option<(&str, String)> {
    match answer {
        Content::Text { body, .. } => Some((body, "/answer/text/body".to_owned())),
        other => {
            let (kind, media) = other.media()?;
            let caption = media.caption.as_deref()?;
            Some((caption, format!("/answer/{}/caption", kind.as_str())))
        }
    }
}

fn answer(answer: &Content, flaws: &mut Flaws) {
    let Some((source, pointer)) = template_of(answer) else {
        return;
    };
    let rendered = template::check(source).and_then(|()| {
        match template::render(source, &Values::default()) {
            // It may be filled with the values of a real message.
            Ok(_) | Err(TemplateError::Empty | TemplateError::Failed) => Ok(()),
            Err(error) => Err(error),
        }
    });
    let wanted = match rendered {
        Ok(()) => return,
        Err(TemplateError::TooLong) => "a template of at most 4096 bytes",
        Err(TemplateError::Unsupported) => {
            "no other tags than if, for and raw, and no other filters than those of the guide"
        }
        Err(TemplateError::UnknownValue) => "only values of `message` and `contact`",
        Err(TemplateError::Fuel) => "a template that ends after fewer steps",
        Err(TemplateError::Output) => "a text of at most 4096 bytes",
        Err(TemplateError::Syntax | TemplateError::Empty | TemplateError::Failed) => {
            "a template with valid syntax; write {% raw %} before braces that are meant as text"
        }
    };
    flaws.unless(false, FlawKind::Template, pointer, wanted);
}

/// Returns whether the rule would fire at its own answer, if the contact sent it back.
fn answers_itself(compiled: &Compiled) -> bool {
    let matching = &compiled.rule.matching;
    let answer = &compiled.rule.answer;
    let (kind, source) = (answer.kind(), template_of(answer).map(|(source, _)| source));
    let text = source.map(|source| {
        let rendered = template::render(source, &Values::default());
        rendered.unwrap_or_else(|_| source.to_owned())
    });
    let is_type = matching.types.is_empty() || matching.types.iter().any(|one| one == kind);
    let is_text = compiled.wanted.as_ref().is_none_or(|wanted| {
        text.as_deref()
            .or(text::of(answer))
            .is_some_and(|text| wanted.is(text))
    });
    let is_again = !matching.first_contact && matching.returning_after_hours.is_none();
    is_type && is_text && is_again
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;
    use crate::model::auto_reply::{Day, Opening, Then, When};

    fn rule() -> Rule {
        Rule {
            name: "prices".into(),
            enabled: true,
            position: 0,
            then: Then::Stop,
            matching: Matching {
                text: Some(TextTest::Keywords(vec!["how much".into()])),
                ..Matching::default()
            },
            conditions: Conditions::default(),
            answer: Content::text("10 euros, {{ contact.name }}"),
        }
    }

    fn flaws(change: impl FnOnce(&mut Rule)) -> Vec<(FlawKind, String)> {
        let mut rule = rule();
        change(&mut rule);
        let id = AutoReplyId::new(&Clock::system());
        let flaws = compile(id, None, rule).err().unwrap_or_default();
        flaws
            .into_iter()
            .map(|flaw| (flaw.kind, flaw.pointer))
            .collect()
    }

    fn one(kind: FlawKind, pointer: &str) -> Vec<(FlawKind, String)> {
        vec![(kind, pointer.to_owned())]
    }

    fn hours(zone: &str) -> OfficeHours {
        OfficeHours {
            when: When::Outside,
            zone: zone.into(),
            open: vec![Opening {
                days: vec![Day::Mon],
                from: 540,
                until: 1080,
            }],
            holidays: Vec::new(),
        }
    }

    #[test]
    fn replies_report_each_bad_value_at_its_place() {
        assert_eq!(flaws(|_| ()), []);
        let regex = |pattern: &str| {
            let pattern = pattern.to_owned();
            flaws(|rule| rule.matching.text = Some(TextTest::Regex(pattern)))
        };
        assert_eq!(regex("("), one(FlawKind::Pattern, "/match/regex"));
        let atlantis = flaws(|rule| rule.matching.hours = Some(hours("Europe/Atlantis")));
        let place = "/match/office_hours/timezone";
        assert_eq!(atlantis, one(FlawKind::TimeZone, place));
        let february = flaws(|rule| {
            let mut hours = hours("Europe/Berlin");
            hours.holidays = vec!["2026-12-25".into(), "2026-02-30".into()];
            rule.matching.hours = Some(hours);
        });
        let place = "/match/office_hours/holidays/1";
        assert_eq!(february, one(FlawKind::Date, place));
        let unknown = flaws(|rule| rule.matching.types = vec!["text".into(), "pigeon".into()]);
        assert_eq!(unknown, one(FlawKind::Value, "/match/types/1"));
        let empty = flaws(|rule| rule.matching = Matching::default());
        assert_eq!(empty, one(FlawKind::Value, "/match"));
        let words = TextTest::Keywords(vec!["ok".into(), "!!".into()]);
        let wordless = flaws(|rule| rule.matching.text = Some(words));
        assert_eq!(wordless, one(FlawKind::Value, "/match/keywords/1"));
        for (change, place) in [
            (
                Conditions {
                    once_per_seconds: Some(9),
                    ..Conditions::default()
                },
                "once_per_seconds",
            ),
            (
                Conditions {
                    once_per_seconds: Some(ONCE_MAX + 1),
                    ..Conditions::default()
                },
                "once_per_seconds",
            ),
            (
                Conditions {
                    person_minutes: PERSON_MAX + 1,
                    ..Conditions::default()
                },
                "person_minutes",
            ),
            (
                Conditions {
                    max_age_seconds: 0,
                    ..Conditions::default()
                },
                "max_age_seconds",
            ),
        ] {
            let found = flaws(|rule| rule.conditions = change);
            assert_eq!(found, one(FlawKind::Value, &format!("/conditions/{place}")));
        }
    }

    #[test]
    fn replies_refuse_templates_just_above_their_bounds() {
        let answer = |source: String| flaws(|rule| rule.answer = Content::text(source));
        let bad = one(FlawKind::Template, "/answer/text/body");
        assert_eq!(answer("x".repeat(4096)), []);
        assert_eq!(answer("x".repeat(4097)), bad);
        let grows = "{% for a in [1,2,3] %}".to_owned() + &"y".repeat(1400) + "{% endfor %}";
        assert_eq!(answer(grows), bad);
        assert_eq!(answer("{{ contact.name }".into()), bad);
        assert_eq!(answer("{{ contact.secret }}".into()), bad);
        assert_eq!(answer("{% set a = 1 %}x".into()), bad);
        // Empty with no values, and filled with those of a contact.
        assert_eq!(answer("{{ contact.name }}".into()), []);
    }

    #[test]
    fn replies_refuse_conditions_that_contradict_each_other() {
        let both = flaws(|rule| {
            rule.matching.first_contact = true;
            rule.matching.returning_after_hours = Some(24);
        });
        let place = "/match/returning_after_hours";
        assert_eq!(both, one(FlawKind::Contradiction, place));
        let any = flaws(|rule| rule.matching.any = true);
        assert_eq!(any, one(FlawKind::Contradiction, "/match/any"));
        let wordless = flaws(|rule| rule.matching.types = vec!["voice".into()]);
        assert_eq!(wordless, one(FlawKind::Contradiction, "/match/types"));
        let grouped = flaws(|rule| {
            rule.matching.first_contact = true;
            rule.conditions.private_only = false;
        });
        let place = "/conditions/private_only";
        assert_eq!(grouped, one(FlawKind::Contradiction, place));
        let backwards = flaws(|rule| {
            rule.conditions.from = Some(2);
            rule.conditions.until = Some(2);
        });
        assert_eq!(backwards, one(FlawKind::Contradiction, "/conditions/until"));
        let never = flaws(|rule| {
            let mut hours = hours("UTC");
            hours.when = When::Inside;
            hours.open.clear();
            rule.matching.hours = Some(hours);
        });
        let place = "/match/office_hours/open";
        assert_eq!(never, one(FlawKind::Contradiction, place));
    }

    #[test]
    fn replies_refuse_a_rule_that_would_answer_its_own_answer() {
        let place = "/conditions/once_per_seconds";
        let any = |rule: &mut Rule| {
            rule.matching = Matching {
                any: true,
                ..Matching::default()
            };
        };
        assert_eq!(flaws(any), one(FlawKind::Loop, place));
        let bounded = flaws(|rule| {
            any(rule);
            rule.conditions.once_per_seconds = Some(10);
        });
        assert_eq!(bounded, []);
        let said = flaws(|rule| rule.answer = Content::text("How much? 10 euros."));
        assert_eq!(said, one(FlawKind::Loop, place));
        let first = flaws(|rule| {
            rule.matching = Matching {
                first_contact: true,
                ..Matching::default()
            };
        });
        assert_eq!(first, []);
        let away = flaws(|rule| {
            rule.matching = Matching {
                hours: Some(hours("UTC")),
                ..Matching::default()
            };
        });
        assert_eq!(away, one(FlawKind::Loop, place));
    }
}

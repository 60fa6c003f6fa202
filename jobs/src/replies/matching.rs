//! Whether a rule fires at a message: pure functions of what is known of the message and its chat.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{AutoReplyId, SessionId},
};

use super::{
    hours::Hours,
    text::{self, Wanted},
};
use crate::model::{
    Message,
    auto_reply::{Rule, Why},
};

/// Automatic replies to a chat rest so long after another machine seemed to answer.
pub(super) const LOOP_RESTS: Millis = 60 * 60 * 1000;

/// A message, as rules look at it.
#[derive(Debug, Clone)]
pub(super) struct Heard<'m> {
    pub(super) now: Millis,
    pub(super) sent_at: Millis,
    pub(super) session: SessionId,
    /// Whether a message of its kind is answered at all.
    pub(super) is_answerable: bool,
    pub(super) kind: &'m str,
    pub(super) text: Option<&'m str>,
    pub(super) is_group: bool,
    /// When the contact wrote before, outside of groups.
    pub(super) previous: Option<Millis>,
}

impl<'m> Heard<'m> {
    pub(super) fn of(message: &'m Message, previous: Option<Millis>, now: Millis) -> Self {
        Self {
            now,
            sent_at: message.sent_at.unwrap_or(now),
            session: message.session,
            is_answerable: is_answerable(&message.content),
            kind: message.content.kind(),
            text: text::of(&message.content),
            is_group: message.group.is_some(),
            previous,
        }
    }
}

/// Returns whether messages of this kind are answered: what changes another message, and what cannot be read, is not.
fn is_answerable(content: &Content) -> bool {
    !matches!(
        content,
        Content::Reaction(_)
            | Content::Edit(_)
            | Content::Delete(_)
            | Content::Deleted {}
            | Content::PollVote(_)
            | Content::Undecryptable {}
            | Content::ChatTimer { .. }
            | Content::Album(_)
    )
}

/// What is known of a chat beside the message.
#[derive(Debug, Clone, Default)]
pub(super) struct Chat {
    /// The contact opted out, or does so with this message.
    pub(super) opted_out: bool,
    /// Automatic replies to the contact rest until then, as the API asked.
    pub(super) rests_until: Option<Millis>,
    /// When another machine last seemed to answer.
    pub(super) looped_at: Option<Millis>,
    /// When a person last wrote from a phone or a linked device.
    pub(super) person_at: Option<Millis>,
    /// When each rule last answered.
    pub(super) answered: HashMap<AutoReplyId, Millis>,
}

/// A rule that was checked.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) id: AutoReplyId,
    pub(super) session: Option<SessionId>,
    pub(super) rule: Rule,
    pub(super) wanted: Option<Wanted>,
    pub(super) hours: Option<Hours>,
}

impl Compiled {
    /// Returns what in the message itself keeps the rule from firing.
    pub(super) fn matches(&self, heard: &Heard<'_>) -> Result<(), Why> {
        self.matches_if(heard, None)
    }

    /// Returns whether a text is what the rule wants.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.is(text))
    }

    /// Like [`Compiled::matches`], if it is known whether the text is what the rule wants.
    pub(super) fn matches_if(
        &self,
        heard: &Heard<'_>,
        is_text_wanted: Option<bool>,
    ) -> Result<(), Why> {
        let (rule, matching) = (&self.rule, &self.rule.matching);
        let limits = &rule.conditions;
        let age = heard.now.saturating_sub(heard.sent_at);
        let absent = heard.previous.map(|at| heard.now.saturating_sub(at));
        let returns = |hours: &u32| absent.is_some_and(|ms| ms >= i64::from(*hours) * 3_600_000);
        let is_type = matching.types.is_empty() || matching.types.iter().any(|t| t == heard.kind);
        // The cheap ones first; the text last.
        for (holds, why) in [
            (rule.enabled, Why::Disabled),
            (
                self.session.is_none_or(|only| only == heard.session),
                Why::OtherSession,
            ),
            (heard.is_answerable, Why::NeverAnswered),
            (limits.from.is_none_or(|at| at <= heard.now), Why::NotYet),
            (limits.until.is_none_or(|at| heard.now < at), Why::Over),
            (!(heard.is_group && limits.private_only), Why::Group),
            (age <= i64::from(limits.max_age_seconds) * 1000, Why::TooOld),
            (is_type, Why::Type),
            (
                !matching.first_contact || heard.previous.is_none(),
                Why::NotFirstContact,
            ),
            (
                matching.returning_after_hours.as_ref().is_none_or(returns),
                Why::NotReturning,
            ),
        ] {
            if !holds {
                return Err(why);
            }
        }
        if !self
            .hours
            .as_ref()
            .is_none_or(|hours| hours.hold(heard.now))
        {
            return Err(Why::Hours);
        }
        let is_text = || {
            heard
                .text
                .map_or(self.wanted.is_none(), |text| self.wants(text))
        };
        if !is_text_wanted.unwrap_or_else(is_text) {
            return Err(Why::Text);
        }
        Ok(())
    }

    /// Returns what in the chat keeps a rule that matches from firing.
    pub(super) fn allows(&self, heard: &Heard<'_>, chat: &Chat) -> Result<(), Why> {
        let limits = &self.rule.conditions;
        let within = |at: Option<Millis>, span: Millis| {
            at.is_some_and(|at| heard.now.saturating_sub(at) < span)
        };
        let person = i64::from(limits.person_minutes) * 60_000;
        let once = limits.once_per_seconds.map_or(0, |s| i64::from(s) * 1000);
        let answered = chat.answered.get(&self.id).copied();
        for (keeps, why) in [
            (chat.opted_out, Why::OptedOut),
            (
                chat.rests_until.is_some_and(|until| heard.now < until),
                Why::Resting,
            ),
            (within(chat.looped_at, LOOP_RESTS), Why::Loop),
            (within(chat.person_at, person), Why::Person),
            (within(answered, once), Why::Once),
        ] {
            if keeps {
                return Err(why);
            }
        }
        Ok(())
    }

    /// Returns how far back the chat has to be known, in milliseconds.
    pub(super) fn looks_back(&self) -> Millis {
        let limits = &self.rule.conditions;
        let person = i64::from(limits.person_minutes) * 60_000;
        let once = limits.once_per_seconds.map_or(0, |s| i64::from(s) * 1000);
        person.max(once).max(LOOP_RESTS)
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;
    use crate::{
        model::auto_reply::{Conditions, Matching, TextTest, Then},
        replies::check,
    };

    const HOUR: Millis = 3_600_000;
    const NOW: Millis = 1_795_334_400_000;

    fn rule(change: impl FnOnce(&mut Rule)) -> Compiled {
        let clock = Clock::system();
        let mut rule = Rule {
            name: "prices".into(),
            enabled: true,
            position: 0,
            then: Then::Stop,
            matching: Matching {
                text: Some(TextTest::Keywords(vec!["price".into()])),
                ..Matching::default()
            },
            conditions: Conditions::default(),
            answer: Content::text("10 euros"),
        };
        change(&mut rule);
        check::compile(AutoReplyId::new(&clock), None, rule).unwrap()
    }

    fn heard() -> Heard<'static> {
        Heard {
            now: NOW,
            sent_at: NOW - 1000,
            session: SessionId::new(&Clock::system()),
            is_answerable: true,
            kind: "text",
            text: Some("the price?"),
            is_group: false,
            previous: Some(NOW - 5 * HOUR),
        }
    }

    #[test]
    fn replies_match_what_the_rule_says() {
        let absent = |hours| {
            rule(|rule| {
                rule.matching = Matching {
                    returning_after_hours: Some(hours),
                    ..Matching::default()
                };
            })
        };
        let first = rule(|rule| rule.matching.first_contact = true);
        let types = rule(|rule| rule.matching.types = vec!["image".into()]);
        let off = rule(|rule| rule.enabled = false);
        let groups = rule(|rule| rule.conditions.private_only = false);
        let from = rule(|rule| rule.conditions.from = Some(NOW + 1));
        let until = rule(|rule| rule.conditions.until = Some(NOW));
        let mut other = rule(|_| ());
        other.session = Some(SessionId::new(&Clock::system()));
        let now = heard();
        let new = Heard {
            previous: None,
            ..now.clone()
        };
        let group = Heard {
            is_group: true,
            ..now.clone()
        };
        let old = Heard {
            sent_at: NOW - 300_001,
            ..now.clone()
        };
        let image = Heard {
            kind: "image",
            ..now.clone()
        };
        let wordless = Heard {
            text: None,
            ..now.clone()
        };
        let reaction = Heard {
            is_answerable: false,
            ..now.clone()
        };
        for (rule, heard, found) in [
            (&rule(|_| ()), &now, Ok(())),
            (&rule(|_| ()), &wordless, Err(Why::Text)),
            (&rule(|_| ()), &group, Err(Why::Group)),
            (&rule(|_| ()), &old, Err(Why::TooOld)),
            (&rule(|_| ()), &reaction, Err(Why::NeverAnswered)),
            (&groups, &group, Ok(())),
            (&off, &now, Err(Why::Disabled)),
            (&other, &now, Err(Why::OtherSession)),
            (&from, &now, Err(Why::NotYet)),
            (&until, &now, Err(Why::Over)),
            (&first, &now, Err(Why::NotFirstContact)),
            (&first, &new, Ok(())),
            (&types, &now, Err(Why::Type)),
            (&types, &image, Ok(())),
            (&absent(5), &now, Ok(())),
            (&absent(6), &now, Err(Why::NotReturning)),
            (&absent(1), &new, Err(Why::NotReturning)),
        ] {
            assert_eq!(rule.matches(heard), found, "{:?}", rule.rule);
        }
    }

    #[test]
    fn replies_rest_for_people_for_loops_and_once_they_have_answered() {
        let rule = rule(|rule| {
            rule.conditions.once_per_seconds = Some(600);
            rule.conditions.person_minutes = 30;
        });
        let chat = |change: &dyn Fn(&mut Chat)| {
            let mut chat = Chat::default();
            change(&mut chat);
            rule.allows(&heard(), &chat)
        };
        let answered = |at| {
            chat(&move |chat| {
                chat.answered.insert(rule.id, at);
            })
        };
        assert_eq!(chat(&|_| ()), Ok(()));
        assert_eq!(chat(&|chat| chat.opted_out = true), Err(Why::OptedOut));
        assert_eq!(
            chat(&|chat| chat.rests_until = Some(NOW + 1)),
            Err(Why::Resting)
        );
        assert_eq!(chat(&|chat| chat.rests_until = Some(NOW)), Ok(()));
        assert_eq!(
            chat(&|chat| chat.looped_at = Some(NOW - HOUR + 1)),
            Err(Why::Loop)
        );
        assert_eq!(chat(&|chat| chat.looped_at = Some(NOW - HOUR)), Ok(()));
        assert_eq!(
            chat(&|chat| chat.person_at = Some(NOW - HOUR / 2 + 1)),
            Err(Why::Person)
        );
        assert_eq!(chat(&|chat| chat.person_at = Some(NOW - HOUR / 2)), Ok(()));
        assert_eq!(answered(NOW - 599_999), Err(Why::Once));
        assert_eq!(answered(NOW - 600_000), Ok(()));
    }

    #[test]
    fn replies_answer_no_reactions_edits_or_what_cannot_be_read() {
        assert!(is_answerable(&Content::text("hi")));
        assert!(!is_answerable(&Content::Undecryptable {}));
        assert!(!is_answerable(&Content::Deleted {}));
        assert!(!is_answerable(&Content::ChatTimer { seconds: 1 }));
    }
}

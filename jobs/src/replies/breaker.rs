//! Recognises another machine that answers automatic replies: without this, two of them would write to each other for
//! ever. A person answers slowly, and says something else each time.

use std::collections::HashSet;

use passerelle_engine::clock::Millis;

use super::text::beginning;
use crate::plain::plain;

/// How far back it looks.
pub(super) const LOOKS_BACK: Millis = 10 * 60 * 1000;
/// An answer that came so soon after an automatic reply, in milliseconds, may be a machine's. WhatsApp's times have whole
/// seconds.
const QUICK: std::ops::Range<Millis> = -1000..10_000;
/// So many quick answers in a row are a machine's.
const QUICK_ANSWERS: usize = 6;
/// So many messages that are nearly the same are a machine's.
const ALIKE: usize = 3;
/// A shorter text is compared whole.
const SHORT: usize = 20;
/// So many bytes of a text are compared.
const COMPARED: usize = 1000;

/// A message of the chat.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// The contact's, with its text.
    Theirs(Millis, Option<String>),
    /// An automatic reply, and when it was sent, if it was yet.
    Automatic(Option<Millis>),
    /// Something else that was sent.
    Ours,
}

/// Returns whether another machine seems to answer. The first turn is the message in hand, the newest.
pub(super) fn is_loop(turns: &[Turn]) -> bool {
    quick_answers(turns) >= QUICK_ANSWERS || alike(turns) >= ALIKE
}

/// Counts the last messages of the contact in a row that came soon after an automatic reply.
fn quick_answers(turns: &[Turn]) -> usize {
    let mut count = 0;
    for (place, turn) in turns.iter().enumerate() {
        let at = match turn {
            Turn::Theirs(at, _) => at,
            Turn::Automatic(_) => continue,
            // A person writes.
            Turn::Ours => break,
        };
        match turns.get(place + 1) {
            Some(Turn::Automatic(Some(sent))) if QUICK.contains(&at.saturating_sub(*sent)) => {
                count += 1;
            }
            _ => break,
        }
    }
    count
}

/// Counts the last message of the contact and those before it that say nearly the same and were answered. Who repeats what
/// nobody answers is no machine.
fn alike(turns: &[Turn]) -> usize {
    let text = |turn: &Turn| match turn {
        Turn::Theirs(_, text) => text.clone(),
        _ => None,
    };
    let Some(last) = turns.first().and_then(text) else {
        return 0;
    };
    let last = Said::of(&last);
    let answered = turns.windows(2).filter_map(|pair| match pair {
        [Turn::Automatic(_), said] => text(said),
        _ => None,
    });
    1 + answered
        .filter(|text| last.is_alike(&Said::of(text)))
        .count()
}

/// A text, as it is compared.
struct Said {
    plain: String,
    shingles: HashSet<Vec<char>>,
}

impl Said {
    fn of(text: &str) -> Self {
        let plain = plain(beginning(text, COMPARED));
        let digits = |char: char| if char.is_numeric() { '0' } else { char };
        let chars: Vec<_> = plain.chars().map(digits).collect();
        let shingles = if chars.len() < SHORT {
            HashSet::new()
        } else {
            chars.windows(4).map(<[char]>::to_vec).collect()
        };
        Self { plain, shingles }
    }

    /// Returns whether both say nearly the same: the same words, or, of longer texts, half of the same pieces.
    fn is_alike(&self, other: &Self) -> bool {
        if self.plain == other.plain {
            return !self.plain.is_empty();
        }
        let common = self.shingles.intersection(&other.shingles).count();
        let all = self.shingles.union(&other.shingles).count();
        common > 0 && common * 2 >= all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a conversation of texts and automatic replies, newest first, in which each answer takes so long.
    fn conversation(texts: &[&str], takes: Millis) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            let at = Millis::try_from(n).unwrap() * (takes + 4000);
            if n > 0 {
                turns.push(Turn::Automatic(Some(at - takes)));
            }
            turns.push(Turn::Theirs(at, Some((*text).to_owned())));
        }
        turns.reverse();
        turns
    }

    #[test]
    fn replies_stop_at_the_sixth_quick_answer_in_a_row() {
        let texts = ["a", "b", "c", "d", "e", "f", "g"];
        assert!(is_loop(&conversation(&texts, 9_999)));
        assert!(!is_loop(&conversation(&texts, 10_000)));
        assert!(!is_loop(&conversation(&texts[1..], 1_000)));
        // A person wrote in between: the row begins anew.
        let mut turns = conversation(&texts, 1_000);
        turns.insert(6, Turn::Ours);
        assert!(!is_loop(&turns));
        // Who writes several messages before the first reply is sent answers none.
        let mut waiting = conversation(&texts, 1_000);
        for turn in &mut waiting {
            if let Turn::Automatic(sent) = turn {
                *sent = None;
            }
        }
        assert!(!is_loop(&waiting));
        let late = conversation(&texts, -2_000);
        assert!(!is_loop(&late));
    }

    #[test]
    fn replies_stop_at_the_third_message_that_is_nearly_the_same() {
        let away = "Thank you for your message. We are away until 9:00.";
        let later = "Thank you for your message! We are away until 10:30.";
        for texts in [
            [away, away, away],
            [away, later, away],
            ["Hi!", "hi", "HI"],
            ["hello", "hello", "hello"],
        ] {
            assert!(is_loop(&conversation(&texts, 60_000)), "{texts:?}");
            assert!(!is_loop(&conversation(&texts[1..], 60_000)), "{texts:?}");
        }
        for texts in [
            ["1", "2", "3"],
            ["price", "hours", "price"],
            ["👍", "👍", "👍"],
            [
                away,
                "Where is my order? I wait for it since Monday.",
                "It is the order with two lamps, thank you.",
            ],
        ] {
            assert!(!is_loop(&conversation(&texts, 60_000)), "{texts:?}");
        }
    }

    #[test]
    fn replies_that_were_not_sent_are_no_loop() {
        // Somebody says the same three times, and no rule answers.
        let silent: Vec<_> = (0..3)
            .map(|n| Turn::Theirs(n * 1000, Some("hello?".into())))
            .collect();
        assert!(!is_loop(&silent));
        // One of them was answered, and then the rules rested.
        let mut rested = silent;
        rested.insert(2, Turn::Automatic(Some(500)));
        assert!(!is_loop(&rested));
        assert!(!is_loop(&[]));
    }
}

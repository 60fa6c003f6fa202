//! The words with which a contact opts out, and in again. The whole message must be the word: "stop please" is
//! conversation. The lists follow the carriers' practice for SMS, in the languages most used on WhatsApp.
//!
//! Ambiguous words also answer everyday questions: people cancel an appointment with "cancel". They count unless the
//! organisation switches them off. An opt-in changes nothing for a contact who did not opt out, so "yes" is one there.

use std::{collections::HashMap, sync::LazyLock};

use crate::plain::spelled;

/// A text longer than this, in bytes, cannot be one of the words.
const LONGEST: usize = 64;

/// What a contact asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// No more messages.
    Out,
    /// Messages again.
    In,
}

/// A word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) wish: Wish,
    /// Whether it also answers everyday questions.
    pub(super) is_ambiguous: bool,
}

/// The words of one language: those that always opt out, those that do so unless they are switched off, and those that opt
/// in unless they are switched off.
struct Language {
    out: &'static [&'static str],
    ambiguous: &'static [&'static str],
    yes: &'static [&'static str],
}

/// The words that opt in again in every language.
const IN: &[&str] = &["start", "unstop", "optin", "opt in"];

const LANGUAGES: &[(&str, Language)] = &[
    (
        "English",
        Language {
            out: &["stop", "stopall", "unsubscribe", "optout", "opt out"],
            ambiguous: &["cancel", "end", "quit", "revoke"],
            yes: &["yes"],
        },
    ),
    (
        "French",
        Language {
            out: &["arrêt", "désabonner"],
            ambiguous: &["arrête"],
            yes: &["oui"],
        },
    ),
    (
        "Spanish",
        Language {
            out: &["alto", "basta", "baja", "parar"],
            ambiguous: &["cancelar"],
            yes: &["sí"],
        },
    ),
    (
        "Portuguese",
        Language {
            out: &["parar", "pare", "descadastrar"],
            ambiguous: &["sair", "cancelar"],
            yes: &["sim"],
        },
    ),
    (
        "German",
        Language {
            out: &["stopp", "abmelden"],
            ambiguous: &["beenden"],
            yes: &["ja"],
        },
    ),
    (
        "Italian",
        Language {
            out: &["basta", "cancellami", "disiscrivi"],
            ambiguous: &["ferma"],
            yes: &["sì"],
        },
    ),
    (
        "Dutch",
        Language {
            out: &["afmelden"],
            ambiguous: &[],
            yes: &["ja"],
        },
    ),
    (
        "Indonesian and Malay",
        Language {
            out: &["berhenti"],
            ambiguous: &[],
            yes: &["ya"],
        },
    ),
    (
        "Hindi",
        Language {
            out: &["रोकें", "रोके"],
            ambiguous: &["बंद", "बन्द"],
            yes: &["हाँ", "हां"],
        },
    ),
    (
        "Arabic",
        Language {
            out: &["توقف", "إيقاف"],
            ambiguous: &["إلغاء"],
            yes: &["نعم"],
        },
    ),
    (
        "Russian",
        Language {
            out: &["стоп", "отписаться"],
            ambiguous: &[],
            yes: &["да"],
        },
    ),
    (
        "Turkish",
        Language {
            out: &["dur"],
            ambiguous: &["iptal"],
            yes: &["evet"],
        },
    ),
    (
        "Urdu",
        Language {
            out: &["بند کرو"],
            ambiguous: &[],
            yes: &["جی ہاں", "ہاں"],
        },
    ),
];

/// Every word as it is compared. A word that is certain in one language and ambiguous in another is certain.
static WORDS: LazyLock<HashMap<String, Word>> = LazyLock::new(|| {
    let mut words = HashMap::new();
    let mut add = |texts: &[&str], wish, is_ambiguous| {
        let word = Word { wish, is_ambiguous };
        words.extend(texts.iter().map(|text| (spelled(text), word)));
    };
    for (_, language) in LANGUAGES {
        add(language.yes, Wish::In, true);
        add(language.ambiguous, Wish::Out, true);
    }
    for (_, language) in LANGUAGES {
        add(language.out, Wish::Out, false);
    }
    add(IN, Wish::In, false);
    words
});

/// Returns the word that this text is, if it is one.
pub(super) fn find(text: &str) -> Option<Word> {
    if text.len() > LONGEST {
        return None;
    }
    WORDS.get(&spelled(text)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Option<Word> = Some(Word {
        wish: Wish::Out,
        is_ambiguous: false,
    });
    const AMBIGUOUS: Option<Word> = Some(Word {
        wish: Wish::Out,
        is_ambiguous: true,
    });
    const BACK: Option<Word> = Some(Word {
        wish: Wish::In,
        is_ambiguous: false,
    });
    const YES: Option<Word> = Some(Word {
        wish: Wish::In,
        is_ambiguous: true,
    });

    #[test]
    fn a_word_alone_opts_out_however_it_is_written() {
        for (language, text) in [
            ("English", "STOP"),
            ("English", " Stop. "),
            ("English", "s\u{200b}top"),
            ("English", "ＳＴＯＰ"),
            ("English", "*stop* 🛑"),
            ("English", "StopAll"),
            ("English", "unsubscribe"),
            ("English", "Opt  out"),
            ("English", "opt-out"),
            ("French", "Arrêt"),
            ("French", "arre\u{302}t!"),
            ("French", "arret"),
            ("French", "Désabonner"),
            ("Spanish", "¡Alto!"),
            ("Spanish", "BASTA"),
            ("Spanish", "baja"),
            ("Portuguese", "Parar"),
            ("Portuguese", "pare"),
            ("Portuguese", "descadastrar"),
            ("German", "Stopp"),
            ("German", "abmelden"),
            ("Italian", "cancellami"),
            ("Italian", "Disiscrivi"),
            ("Dutch", "Afmelden"),
            ("Indonesian and Malay", "Berhenti"),
            ("Hindi", "रोकें"),
            ("Hindi", "रोकें।"),
            ("Arabic", "توقف"),
            ("Arabic", "تَوَقَّفْ"),
            ("Arabic", "توقـــف"),
            ("Arabic", "إيقاف"),
            ("Arabic", "ايقاف"),
            ("Arabic", "ایقاف"),
            ("Russian", "СТОП"),
            ("Russian", "Отписаться"),
            ("Turkish", "DUR"),
            ("Urdu", "بند کرو"),
            ("Urdu", "بند كرو"),
        ] {
            assert_eq!(find(text), OUT, "{language}: {text}");
        }
    }

    #[test]
    fn words_that_answer_everyday_questions_are_ambiguous() {
        for text in [
            "Cancel",
            "end",
            "quit",
            "revoke",
            "arrête",
            "arrete",
            "cancelar",
            "Sair",
            "beenden",
            "Ferma",
            "बंद",
            "बन्द",
            "إلغاء",
            "الغاء",
            "İptal",
            "IPTAL",
            "ıptal",
        ] {
            assert_eq!(find(text), AMBIGUOUS, "{text}");
        }
    }

    #[test]
    fn words_that_opt_in_again() {
        for text in ["Start", "UNSTOP", "opt-in", "opt in"] {
            assert_eq!(find(text), BACK, "{text}");
        }
        for text in [
            "Yes!",
            "oui",
            "Sí",
            "si",
            "sim",
            "Ja",
            "ya",
            "हाँ",
            "हां",
            "نعم",
            "Да",
            "evet",
            "جی ہاں",
        ] {
            assert_eq!(find(text), YES, "{text}");
        }
    }

    #[test]
    fn the_first_word_of_each_language_cannot_be_switched_off() {
        for (language, words) in LANGUAGES {
            let first = words.out.first().unwrap();
            assert_eq!(find(first), OUT, "{language}: {first}");
        }
        for text in ["stop", "unsubscribe"] {
            assert_eq!(find(text), OUT, "{text}");
        }
    }

    #[test]
    fn conversation_is_none() {
        let long = "stop ".repeat(20);
        for text in [
            "",
            "...",
            "stop please",
            "please don't stop",
            "don't stop",
            "the bus stop",
            "stops",
            "cancel my order",
            "cancel order",
            "no",
            "non",
            "not yet",
            "the end",
            "yes please",
            "restart",
            "ne arrête pas",
            "quiero cancelar la cita",
            "quero sair",
            "bitte nicht beenden",
            "durum",
            // Other words with the same consonants: the vowel signs count.
            "रोक",
            "रुक",
            "बाद",
            "बदा",
            "لا توقف",
            "не стоп",
            "بند",
            &long,
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn the_guide_lists_every_word() {
        let page = include_str!("../../../../docs/guide/opt-outs.md");
        let is_listed = |text: &str| page.contains(&format!("`{text}`"));
        for (language, words) in LANGUAGES {
            assert!(page.contains(language), "{language}");
            for text in [words.out, words.ambiguous, words.yes].concat() {
                assert!(is_listed(text), "{language}: {text}");
            }
        }
        assert!(IN.iter().all(|text| is_listed(text)));
    }
}

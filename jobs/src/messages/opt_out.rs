//! Opting out: who writes one of these words and nothing else gets no more messages from the
//! organisation, through whichever of its sessions, until they write a word that lifts it. What is said
//! in a group is said to the group.
//!
//! The whole message must be the word ("stop please" is conversation). Words that answer an
//! everyday question as well, such as "cancel" or "yes", are left out: an appointment is cancelled
//! with them. Carriers' practice for SMS, in the languages WhatsApp is written in most.

use passerelle_engine::{clock::Clock, content::Content, store::Tx, vault::DataKey};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::{
    contacts::Met,
    error::Fault,
    events,
    model::{Message, event::EventType},
    store,
};

/// The code of a message that was not sent for it.
pub(crate) const CODE: &str = "recipient_opted_out";

const OUT: [&str; 26] = [
    "stop",
    "stopall",
    "unsubscribe",
    "optout",
    "opt out",
    "arret",
    "desabonner",
    "alto",
    "basta",
    "baja",
    "parar",
    "pare",
    "descadastrar",
    "stopp",
    "abmelden",
    "cancellami",
    "disiscrivi",
    "afmelden",
    "berhenti",
    "रोकें",
    "توقف",
    "ايقاف",
    "стоп",
    "отписаться",
    "iptal",
    "بند کرو",
];

const IN: [&str; 4] = ["start", "unstop", "optin", "opt in"];

/// The longest word has far fewer characters; a longer text is not looked at.
const LONGEST: usize = 64;

/// What a contact asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No more messages.
    Out,
    /// Messages again.
    In,
}

/// The wish that a message is, if it is one.
pub(crate) fn wish(content: &Content) -> Option<Wish> {
    let body = match content {
        Content::Text { body, .. } => body,
        Content::Edit(edit) => &edit.body,
        _ => return None,
    };
    if body.len() > LONGEST {
        return None;
    }
    let said = plain(body);
    let among = |words: &[&str]| words.iter().any(|word| plain(word) == said);
    if among(&OUT) {
        Some(Wish::Out)
    } else {
        among(&IN).then_some(Wish::In)
    }
}

/// Without case, accents, invisible characters, punctuation and spare white space.
fn plain(text: &str) -> String {
    let letters: String = text
        .nfkd()
        .filter(|char| !is_combining_mark(*char))
        .filter(|char| char.is_alphanumeric() || char.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes the wish of a contact's message: from this commit on, and told once.
pub(crate) async fn take(
    tx: &mut Tx,
    key: &DataKey,
    writer: Met,
    message: &Message,
    clock: &Clock,
) -> Result<(), Fault> {
    let Some(wish) = wish(&message.content) else {
        return Ok(());
    };
    let mut changed = false;
    for contact in [Some(writer.id), writer.twin].into_iter().flatten() {
        changed |= match wish {
            Wish::Out => store::contacts::opt_out(tx, message.org, contact, clock.now()).await?,
            Wish::In => store::contacts::opt_in(tx, message.org, contact).await?,
        };
    }
    let kind = match wish {
        Wish::Out => EventType::ContactOptedOut,
        Wish::In => EventType::ContactOptedIn,
    };
    if changed {
        events::contact(tx, key, writer.id, message, kind, clock).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Wish> {
        wish(&Content::text(text))
    }

    #[test]
    fn a_word_alone_opts_out_however_it_is_written() {
        for text in [
            "STOP",
            " Stop. ",
            "s\u{200b}top",
            "ＳＴＯＰ",
            "Arrêt",
            "arre\u{302}t!",
            "Opt  out",
            "opt-out",
            "СТОП",
            "रोकें",
            "إيقاف",
        ] {
            assert_eq!(said(text), Some(Wish::Out), "{text}");
        }
        assert_eq!(said("Start"), Some(Wish::In));
    }

    #[test]
    fn conversation_does_not() {
        let long = "stop ".repeat(20);
        for text in [
            "",
            "...",
            "stop please",
            "please don't stop",
            "the bus stop",
            "cancel",
            "yes",
            "end",
            "stops",
            &long,
        ] {
            assert_eq!(said(text), None, "{text}");
        }
        let image = Content::Unsupported {
            kind: "imageMessage".into(),
        };
        assert_eq!(wish(&image), None);
    }
}

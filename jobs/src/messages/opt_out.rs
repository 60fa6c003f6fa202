//! Opting out. A contact who writes one of these words, and nothing else, gets no more messages from the
//! organisation, through any of its sessions, until the contact writes a word that opts in again. A button
//! with such a word on it counts as well. Words written in a group do not count.
//!
//! The whole message must be the word: "stop please" is conversation. Words that also answer an everyday
//! question are left out, such as "cancel" or "yes", with which people cancel or confirm an appointment.
//! The list follows the carriers' practice for SMS, in the languages most used on WhatsApp.

use passerelle_engine::{clock::Clock, content::Content, store::Tx, vault::DataKey};

use crate::{
    contacts::Met,
    error::Fault,
    events,
    model::{Message, event::EventType},
    plain::plain,
    store,
};

/// The error code of a message that was not sent because its recipient opted out.
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

/// A text longer than this, in bytes, cannot be one of the words.
const LONGEST: usize = 64;

/// What a contact asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No more messages.
    Out,
    /// Messages again.
    In,
}

/// Returns the wish that the content expresses, if it is one of the words.
pub(crate) fn wish(content: &Content) -> Option<Wish> {
    let body = match content {
        Content::Text { body, .. } => body,
        Content::Edit(edit) => &edit.body,
        Content::ButtonReply(tap) | Content::ListReply(tap) => &tap.title,
        _ => return None,
    };
    if body.len() > LONGEST {
        return None;
    }
    let text = plain(body);
    let is_one_of = |words: &[&str]| words.iter().any(|word| plain(word) == text);
    if is_one_of(&OUT) {
        Some(Wish::Out)
    } else {
        is_one_of(&IN).then_some(Wish::In)
    }
}

/// Applies the wish that a contact's message expresses, as part of this transaction. Emits an event only if
/// something changed.
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
    use passerelle_engine::content::Tap;

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
    fn fidelity_a_button_with_such_a_word_opts_out_too() {
        let tapped = |title: &str| Tap {
            id: Some("b1".into()),
            title: title.into(),
            description: None,
            params: None,
        };
        assert_eq!(wish(&Content::ButtonReply(tapped("Stop"))), Some(Wish::Out));
        assert_eq!(wish(&Content::ListReply(tapped("Start"))), Some(Wish::In));
        assert_eq!(wish(&Content::ButtonReply(tapped("Stop it"))), None);
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
            text: Some("stop".into()),
        };
        assert_eq!(wish(&image), None);
    }
}

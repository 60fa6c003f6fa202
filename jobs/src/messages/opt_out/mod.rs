//! Opting out. A contact who writes one of the [`words`], and nothing else, gets no more messages from the
//! organisation, through any of its sessions, until the contact writes a word that opts in again. A button
//! with such a word on it counts as well. Words written in a group do not count.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what an inbound message changes, as part of its transaction |
//! | [`words`] | the words of each language |
//! | [`settings`] | what an organisation does about opt-outs, sealed |
//! | [`confirm`] | the one message that a contact gets who opted out |
//! | [`queued`] | the end of what is queued for a contact who opted out |

mod confirm;
pub(crate) mod queued;
pub(crate) mod settings;
mod words;

use passerelle_engine::{content::Content, store::Tx, vault::DataKey};

use self::words::{Wish, Word};
use crate::{
    contacts::Met,
    error::Fault,
    events,
    model::{Message, OptOutSource, event::EventType},
    services::Services,
    store::contacts::opt_outs,
};

/// The error code of a message that was not sent because its recipient opted out.
pub(crate) const CODE: &str = "recipient_opted_out";

/// Returns the word that the content is, if it is one, and how it was said.
fn said(content: &Content) -> Option<(Word, OptOutSource)> {
    let (text, by) = match content {
        Content::Text { body, .. } => (body, OptOutSource::Word),
        Content::Edit(edit) => (&edit.body, OptOutSource::Word),
        Content::ButtonReply(tap) | Content::ListReply(tap) => (&tap.title, OptOutSource::Button),
        _ => return None,
    };
    Some((words::find(text)?, by))
}

/// What came of a message that may express a wish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// It opts out, or changes that the contact had opted out. It gets no automatic reply.
    pub(crate) is_a_wish: bool,
    /// A confirmation was queued: wake the lanes after the commit.
    pub(crate) is_confirmed: bool,
}

/// Applies the wish that a contact's message expresses, as part of this transaction. Emits an event only if
/// something changed.
pub(crate) async fn take(
    tx: &mut Tx,
    key: &DataKey,
    writer: Met,
    message: &Message,
    services: &Services,
) -> Result<Taken, Fault> {
    let Some((word, by)) = said(&message.content) else {
        return Ok(Taken::default());
    };
    let (org, clock) = (message.org, services.clock());
    let settings = settings::read(tx.conn(), key, org).await?;
    if word.is_ambiguous && !settings.ambiguous_words {
        return Ok(Taken::default());
    }
    let mut changed = [false; 2];
    let contacts = [Some(writer.id), writer.twin];
    for (contact, changed) in contacts.into_iter().zip(&mut changed) {
        let Some(contact) = contact else { continue };
        *changed = match word.wish {
            Wish::Out => opt_outs::opt_out(tx, org, contact, by, clock.now()).await?,
            Wish::In => opt_outs::opt_in(tx, org, contact).await?,
        };
    }
    if changed == [false; 2] {
        // A contact who opted out before and says so again is not answered, either.
        return Ok(Taken {
            is_a_wish: word.wish == Wish::Out,
            is_confirmed: false,
        });
    }
    let kind = match word.wish {
        Wish::Out => EventType::ContactOptedOut,
        Wish::In => EventType::ContactOptedIn,
    };
    let place = (org, Some(message.session));
    let who = (writer.id, &message.peer);
    events::opt_outs::changed(tx, key, place, who, (kind, by), clock).await?;
    // What it says about the number is counted once this is committed.
    if word.wish == Wish::Out
        && let Some(health) = services.registry().health(message.session)
    {
        health.opting_out();
    }
    let is_confirmed = match settings.confirmation {
        Some(text) if word.wish == Wish::Out && changed[0] => {
            confirm::queue(tx, key, services, message, text).await?
        }
        _ => false,
    };
    Ok(Taken {
        is_a_wish: true,
        is_confirmed,
    })
}

#[cfg(test)]
mod tests {
    use passerelle_engine::content::Tap;

    use super::*;

    fn tapped(title: &str) -> Tap {
        Tap {
            id: Some("b1".into()),
            title: title.into(),
            description: None,
            params: None,
        }
    }

    fn wish(content: &Content) -> Option<(Wish, OptOutSource)> {
        said(content).map(|(word, by)| (word.wish, by))
    }

    #[test]
    fn fidelity_a_button_with_such_a_word_opts_out_too() {
        let out = Some((Wish::Out, OptOutSource::Button));
        assert_eq!(wish(&Content::ButtonReply(tapped("Stop"))), out);
        let back = Some((Wish::In, OptOutSource::Button));
        assert_eq!(wish(&Content::ListReply(tapped("Start"))), back);
        assert_eq!(wish(&Content::ButtonReply(tapped("Stop it"))), None);
        let text = Some((Wish::Out, OptOutSource::Word));
        assert_eq!(wish(&Content::text("stop")), text);
    }

    #[test]
    fn what_a_file_or_an_unknown_kind_says_does_not_count() {
        let image = Content::Unsupported {
            kind: "imageMessage".into(),
            text: Some("stop".into()),
        };
        assert_eq!(wish(&image), None);
    }
}

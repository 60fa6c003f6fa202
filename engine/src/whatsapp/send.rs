//! Sending: who a message goes to on the wire, and what a failure means for trying again.

use std::time::Duration;

use anyhow::Context as _;
use wacore::types::message::AddressingMode;
use whatsapp_rust::{
    ClientError, IqError, Jid, SendError as LibraryError, SendOptions,
    socket::error::EncryptSendErrorKind, wacore_binary::JidExt as _,
};

use super::{
    connection::Connection,
    outgoing::Outgoing,
    wire::{self, sides::Sides},
};
use crate::content::{Peer, Recipient};

/// How long WhatsApp may take to tell its properties.
const PROPERTIES: Duration = Duration::from_secs(5);

/// The code of a message to a group that this number is not in, or that is no more.
pub const NOT_IN_GROUP: &str = "not_in_group";

/// Why a message was not handed to the socket, and whether it might have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Certainly not written; the same message may be sent again.
    #[error("not sent: {0}")]
    NotOnWire(&'static str),
    /// May have been written. Only the same message id may be used again, because a phone shows
    /// one message for an id.
    #[error("may have been sent: {0}")]
    Unsure(&'static str),
    /// Certainly not written, and trying again cannot help.
    #[error("cannot be sent: {0}")]
    Permanent(&'static str),
}

impl SendError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOnWire(code) | Self::Unsure(code) | Self::Permanent(code) => code,
        }
    }
}

/// What a number is at, in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Typing {
    /// Typing.
    Text,
    /// Recording a voice note.
    Voice,
    /// Neither, any more.
    Paused,
}

impl Connection {
    /// Encrypts a message and writes it to the socket under `wa_id`.
    ///
    /// `Ok` means written, never sent: the server's answer comes as [`ConnectionEvent::Ack`] and may be a
    /// refusal. The Signal keys it used are durable before it is written.
    ///
    /// The recipient is resolved once: the first send to a phone asks WhatsApp for its LID and its
    /// devices and keys, and the answers are kept, in memory and in the key store, and are
    /// brought up to date by WhatsApp's notifications. Later sends ask nothing. (Only for a phone
    /// without a LID, which WhatsApp's own accounts no longer are, the library asks each time.) The same
    /// goes for who is in a group.
    ///
    /// [`ConnectionEvent::Ack`]: super::event::ConnectionEvent::Ack
    pub async fn send(
        &self,
        to: &Recipient,
        wa_id: &str,
        outgoing: Outgoing<'_>,
    ) -> Result<(), SendError> {
        let to = address(to).ok_or(SendError::Permanent("invalid_recipient"))?;
        if !self.is_connected() {
            return Err(SendError::NotOnWire("not_connected"));
        }
        self.know_properties().await;
        let sides = self.sides(&to, outgoing).await;
        let message =
            wire::message(outgoing, &sides).ok_or(SendError::Permanent("unsupported_content"))?;
        let options = SendOptions::default().with_message_id(wa_id);
        match self
            .client()
            .send_message_with_options(to.clone(), message, options)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if to.is_group() && is_closed(&error) => {
                Err(SendError::Permanent(NOT_IN_GROUP))
            }
            Err(error) => Err(meaning(&error)),
        }
    }

    /// WhatsApp's properties say whether a message must show the privacy token of its recipient. The
    /// library asks for them in the background after it is connected; a message that goes out before
    /// it knows them goes without its token, and WhatsApp may refuse it (463). So the first one waits.
    async fn know_properties(&self) {
        let asking = self.properties().get_or_try_init(|| async {
            match tokio::time::timeout(PROPERTIES, self.client().fetch_props()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        });
        if let Err(error) = asking.await {
            tracing::info!(error, "sending without knowing WhatsApp's properties");
        }
    }

    /// Shows the recipient what this number is at. `Ok` means written; whether a phone shows it, and
    /// for how long, is the phone's.
    pub async fn typing(&self, to: &Recipient, typing: Typing) -> anyhow::Result<()> {
        let to = address(to).context("a recipient with an address")?;
        let to = self.chat_of(to).await;
        let chatstate = self.client().chatstate();
        match typing {
            Typing::Text => chatstate.send_composing(&to).await?,
            Typing::Voice => chatstate.send_recording(&to).await?,
            Typing::Paused => chatstate.send_paused(&to).await?,
        }
        Ok(())
    }

    /// The chat's two sides, looked up only for a message that names another one.
    async fn sides(&self, to: &Jid, outgoing: Outgoing<'_>) -> Sides {
        let names_another =
            outgoing.content.target().is_some() || outgoing.context.reply_to.is_some();
        if !names_another {
            let chat = to.clone();
            return Sides { chat, me: None };
        }
        let chat = self.chat_of(to.clone()).await;
        let me = if chat.is_lid() || self.names_by_lid(&chat).await {
            self.client().lid()
        } else {
            self.client().pn()
        };
        Sides {
            chat,
            me: me.map(|me| me.to_non_ad()),
        }
    }

    /// Whether it is a group that names its members by their LIDs. A send asks the same, once.
    async fn names_by_lid(&self, chat: &Jid) -> bool {
        if !chat.is_group() {
            return false;
        }
        let group = self.client().groups().query_info(chat).await;
        group.is_ok_and(|group| group.addressing_mode == AddressingMode::Lid)
    }

    /// The chat as the server names it. A send does this by itself; typing does not.
    async fn chat_of(&self, to: Jid) -> Jid {
        if !to.is_pn() || !self.client().is_lid_migrated().await {
            return to;
        }
        match self.client().get_lid_pn_entry(&to).await {
            Ok(Some(entry)) => Jid::lid(&*entry.lid),
            _ => to,
        }
    }
}

/// The address to give to the library. The phone where it is known: the library turns it into the
/// LID exactly when the account is addressed by LID, and the server refuses a mix of the two.
fn address(to: &Recipient) -> Option<Jid> {
    match to {
        Recipient::Person(peer) => person(peer),
        Recipient::Group(group) => Some(Jid::group(group.id())),
    }
}

fn person(to: &Peer) -> Option<Jid> {
    if let Some(phone) = &to.phone {
        return Some(Jid::pn(phone.digits()));
    }
    let lid = to.lid.as_deref()?;
    let digits = !lid.is_empty() && lid.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Jid::lid(lid))
}

/// Whether WhatsApp said that there is no such group, or that this number is not in it (whatsmeow,
/// `getGroupInfo`: 404 and 403).
fn is_closed(error: &LibraryError) -> bool {
    matches!(
        error,
        LibraryError::Iq(IqError::ServerError {
            code: 403 | 404,
            ..
        })
    )
}

/// What the library's failure says about the wire. Up to the write everything it does is local or
/// a query: only errors of the write itself leave doubt. (whatsapp-rust 0.7.0, `src/send/mod.rs`,
/// `send_message_impl`: the keys are made durable, then the stanza is written, then nothing fails.)
fn meaning(error: &LibraryError) -> SendError {
    match error {
        LibraryError::Client(error) => meaning_of_client(error),
        LibraryError::NotLoggedIn => SendError::NotOnWire("not_connected"),
        LibraryError::Iq(_) => SendError::NotOnWire("recipient_lookup_failed"),
        LibraryError::InvalidRequest(_) => SendError::Permanent("invalid_recipient"),
        LibraryError::Internal(_) => SendError::NotOnWire("preparation_failed"),
        _ => SendError::Unsure("unknown_error"),
    }
}

fn meaning_of_client(error: &ClientError) -> SendError {
    match error {
        ClientError::NotConnected | ClientError::NotLoggedIn => {
            SendError::NotOnWire("not_connected")
        }
        ClientError::EncryptSend(error) => match error.kind {
            EncryptSendErrorKind::Crypto | EncryptSendErrorKind::Framing => {
                SendError::NotOnWire("preparation_failed")
            }
            _ => SendError::Unsure("connection_lost"),
        },
        ClientError::Iq(_) => SendError::NotOnWire("recipient_lookup_failed"),
        ClientError::Internal(_) => SendError::NotOnWire("preparation_failed"),
        _ => SendError::Unsure("connection_lost"),
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::socket::error::{EncryptSendError, SocketError};

    use super::*;
    use crate::content::{Group, Phone};

    #[test]
    fn the_phone_is_the_address_and_the_lid_only_without_one() {
        let phone = Phone::parse("+491711234567");
        let lid = Some("1234567890".to_owned());
        let both = Peer {
            phone: phone.clone(),
            lid: lid.clone(),
        };
        assert_eq!(
            person(&both).unwrap().to_string(),
            "491711234567@s.whatsapp.net"
        );
        let lid_only = Peer { phone: None, lid };
        assert_eq!(person(&lid_only).unwrap().to_string(), "1234567890@lid");
        let bad = Peer {
            phone: None,
            lid: Some("12@g.us".into()),
        };
        assert_eq!(person(&bad), None);
        assert_eq!(
            person(&Peer {
                phone: None,
                lid: None
            }),
            None
        );
    }

    #[test]
    fn a_group_that_is_closed_to_the_number_is_told_from_a_failing_query() {
        let group = Group::parse("120363041234567890@g.us").unwrap();
        let to = address(&Recipient::Group(group)).unwrap();
        assert!(to.is_group());
        assert_eq!(to.to_string(), "120363041234567890@g.us");
        let refused = |code| {
            LibraryError::Iq(IqError::ServerError {
                code,
                text: String::new(),
                error_type: None,
                backoff: None,
            })
        };
        assert!(is_closed(&refused(403)) && is_closed(&refused(404)));
        assert!(!is_closed(&refused(429)) && !is_closed(&LibraryError::Iq(IqError::Timeout)));
    }

    #[test]
    fn only_a_failing_write_leaves_doubt() {
        let write = EncryptSendError::transport(anyhow::anyhow!("broken pipe"));
        let closed = LibraryError::Client(ClientError::Socket(SocketError::SocketClosed));
        for doubt in [LibraryError::Client(write.into()), closed] {
            assert_eq!(meaning(&doubt), SendError::Unsure("connection_lost"));
        }
        let not_written = [
            LibraryError::Client(ClientError::NotConnected),
            LibraryError::Client(EncryptSendError::crypto(anyhow::anyhow!("key")).into()),
            LibraryError::NotLoggedIn,
            LibraryError::Iq(IqError::Timeout),
            LibraryError::Internal(anyhow::anyhow!("the store is busy")),
        ];
        for error in &not_written {
            assert!(
                matches!(meaning(error), SendError::NotOnWire(_)),
                "{error:?}"
            );
        }
        let invalid = LibraryError::InvalidRequest("no".into());
        assert_eq!(meaning(&invalid), SendError::Permanent("invalid_recipient"));
    }
}

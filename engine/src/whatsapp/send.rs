//! Sends messages: finds the recipient's address, and decides what a failure means for a retry.

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

/// Maximum time to wait for WhatsApp's properties.
const PROPERTIES: Duration = Duration::from_secs(5);

/// Error code for a message to a group that this number is not in, or that no longer exists.
pub const NOT_IN_GROUP: &str = "not_in_group";

/// Why a message was not sent, and whether it may have been sent anyway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was certainly not written. The same message may be sent again.
    #[error("not sent: {0}")]
    NotOnWire(&'static str),
    /// It may have been written. Retry only with the same message id: a phone shows only one
    /// message for an id.
    #[error("may have been sent: {0}")]
    Unsure(&'static str),
    /// It was certainly not written, and a retry cannot help.
    #[error("cannot be sent: {0}")]
    Permanent(&'static str),
}

impl SendError {
    /// Returns the stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOnWire(code) | Self::Unsure(code) | Self::Permanent(code) => code,
        }
    }
}

/// What the chat shows that this number is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Typing {
    /// Typing.
    Text,
    /// Recording a voice note.
    Voice,
    /// Neither of them any more.
    Paused,
}

impl Connection {
    /// Encrypts a message and writes it to the socket, with the message id `wa_id`.
    ///
    /// `Ok` means written, not delivered: the server's answer comes as [`ConnectionEvent::Ack`] and
    /// may be a refusal. The Signal keys that were used are durable before the message is written.
    ///
    /// The first send to a phone asks WhatsApp for its LID, devices and keys. The answers are kept
    /// in memory and in the key store, and WhatsApp's notifications update them, so later sends ask
    /// nothing. The same is true for the members of a group. (For a phone without a LID the library
    /// asks every time, but current accounts all have one.)
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
        let mut options = SendOptions::default().with_message_id(wa_id);
        if let Some(seconds) = outgoing.expires_in {
            options = options.with_ephemeral_expiration(seconds);
        }
        match self
            .client()
            .send_message_with_options(to.clone(), message, options)
            .await
        {
            Ok(_) => {
                self.announced().sent();
                Ok(())
            }
            Err(error) if to.is_group() && is_closed(&error) => {
                Err(SendError::Permanent(NOT_IN_GROUP))
            }
            Err(error) => Err(meaning(&error)),
        }
    }

    /// WhatsApp's properties say whether a message must contain the privacy token of its recipient.
    /// The library asks for them in the background after it has connected. A message sent earlier
    /// has no token, and WhatsApp may refuse it (463). So the first send waits for them.
    async fn know_properties(&self) {
        let asking = self.properties().get_or_try_init(|| async {
            match tokio::time::timeout(PROPERTIES, self.client().fetch_props()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        });
        if let Err(error) = asking.await {
            tracing::info!(
                error,
                "could not fetch WhatsApp's properties; sending without them"
            );
        }
    }

    /// Shows the recipient what this number is doing. `Ok` means that it was written to the socket.
    /// The recipient's phone decides whether and how long to show it. Under [`Presence::PhoneFirst`] the number
    /// shows as online from now until a message is sent, for 15 s at most.
    ///
    /// [`Presence::PhoneFirst`]: super::Presence::PhoneFirst
    pub async fn typing(&self, to: &Recipient, typing: Typing) -> anyhow::Result<()> {
        let to = address(to).context("the recipient has no valid address")?;
        let to = self.chat_of(to).await;
        self.be_available(typing).await;
        let chatstate = self.client().chatstate();
        match typing {
            Typing::Text => chatstate.send_composing(&to).await?,
            Typing::Voice => chatstate.send_recording(&to).await?,
            Typing::Paused => chatstate.send_paused(&to).await?,
        }
        Ok(())
    }

    /// Returns the two sides of the chat. They are looked up only if the message refers to another
    /// one.
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

    /// Returns whether this is a group that names its members by LID. A send needs the same answer,
    /// which is cached.
    async fn names_by_lid(&self, chat: &Jid) -> bool {
        if !chat.is_group() {
            return false;
        }
        let group = self.client().groups().query_info(chat).await;
        group.is_ok_and(|group| group.addressing_mode == AddressingMode::Lid)
    }

    /// Returns the chat's JID as the server uses it. A send converts it by itself; typing does not.
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

/// Returns the JID to give to the library. Prefers the phone: the library converts it to the LID
/// exactly when the account uses LIDs, and the server refuses a mix of both.
pub(super) fn address(to: &Recipient) -> Option<Jid> {
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

/// Returns whether WhatsApp answered that the group does not exist or that this number is not in it
/// (404 and 403, as in whatsmeow's `getGroupInfo`).
fn is_closed(error: &LibraryError) -> bool {
    matches!(
        error,
        LibraryError::Iq(IqError::ServerError {
            code: 403 | 404,
            ..
        })
    )
}

/// Decides from the library's error whether the message was written. Everything before the write is
/// local or a query, so only an error of the write itself leaves doubt. (whatsapp-rust 0.7.0,
/// `send_message_impl` in `src/send/mod.rs`: it makes the keys durable, then writes the stanza;
/// nothing after that can fail.)
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

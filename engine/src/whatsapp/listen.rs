//! Incoming messages: from the library's durability hook to an [`InboundSink`].
//!
//! The hook is called with each decrypted message before WhatsApp is told that it arrived. What
//! this version does not carry (groups, channels, status, what our own other devices wrote) and
//! what is no message to a person (keys, history notices) is left out and so acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use wacore::{
    proto_helpers::MessageExt as _,
    types::{
        events::InboundMessage,
        message::{MessageCategory, MessageInfo},
    },
};
use whatsapp_rust::{
    Client, InboundDurabilityHook, Jid,
    buffa::MessageField,
    waproto::whatsapp::{Message, message::protocol_message::Type as ProtocolType},
};

use super::wire;
use crate::{
    clock::Clock,
    content::{Content, Inbound, Peer, Phone},
    event::InboundSink,
    ids::MediaId,
    media::Remote,
};

/// The longest message id that is kept as it came, in bytes. WhatsApp's clients give 20 to 32.
const ID_MAX: usize = 128;

/// Stands between the library and the sink.
pub(super) struct Hook {
    pub(super) sink: Arc<dyn InboundSink>,
    pub(super) clock: Clock,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    /// The client is asked only for the phone behind a LID, which it answers from memory or the
    /// key store, never over the network.
    async fn on_messages(
        &self,
        client: Arc<Client>,
        batch: &[InboundMessage],
    ) -> anyhow::Result<()> {
        let mut messages = Vec::with_capacity(batch.len());
        for InboundMessage { message, info, .. } in batch {
            let carried = is_one_to_one(info)
                .then(|| content(message, &self.clock))
                .flatten();
            let Some((content, remote)) = carried else {
                continue;
            };
            let from = peer(&client, info).await;
            if from.phone.is_none() && from.lid.is_none() {
                tracing::warn!("left out a message of somebody with neither phone nor LID");
                continue;
            }
            messages.push(inbound(info, from, content, remote));
        }
        let skipped = batch.len() - messages.len();
        if skipped > 0 {
            tracing::debug!(skipped, "left out what is no one-to-one message");
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.sink.commit(messages).await
    }
}

/// Whether a person wrote it to this number alone.
fn is_one_to_one(info: &MessageInfo) -> bool {
    let source = &info.source;
    let person = source.chat.is_pn() || source.chat.is_lid();
    person && !source.is_group && !source.is_from_me && info.category != MessageCategory::Peer
}

fn inbound(info: &MessageInfo, from: Peer, content: Content, remote: Option<Remote>) -> Inbound {
    Inbound {
        chat: info.source.chat.to_non_ad_string(),
        sender: info.source.sender.to_non_ad_string(),
        id: storable(&info.id),
        from,
        content,
        remote,
        at: info.timestamp.timestamp_millis(),
    }
}

/// The sender's client chooses a message's id: one that no database would take, or find again, is
/// known by its digest.
fn storable(id: &str) -> String {
    let plain = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        return id.to_owned();
    }
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(id))
}

/// Phone and LID of the sender, as far as the stanza or an earlier one told them.
async fn peer(client: &Client, info: &MessageInfo) -> Peer {
    let named = [Some(&info.source.sender), info.source.sender_alt.as_ref()];
    let mut peer = own_words(named.into_iter().flatten());
    if peer.phone.is_some() == peer.lid.is_some() {
        return peer;
    }
    if let Ok(Some(entry)) = client
        .get_lid_pn_entry(&info.source.sender.to_non_ad())
        .await
    {
        peer.phone = peer.phone.or_else(|| phone(&entry.phone_number));
        peer.lid.get_or_insert_with(|| entry.lid.to_string());
    }
    peer
}

/// Puts the library's names of one account into ours.
pub(super) fn own_words<'a>(names: impl Iterator<Item = &'a Jid>) -> Peer {
    let mut peer = Peer {
        phone: None,
        lid: None,
    };
    for name in names {
        if name.is_lid() {
            peer.lid = Some(name.user_base().to_owned());
        } else if name.is_pn() {
            peer.phone = phone(name.user_base());
        }
    }
    peer
}

fn phone(digits: &str) -> Option<Phone> {
    Phone::parse(&format!("+{digits}"))
}

/// What the message carries for a person, with where WhatsApp keeps its file; `None` when it is
/// protocol only.
fn content(message: &Message, clock: &Clock) -> Option<(Content, Option<Remote>)> {
    let inner = message.get_base_message();
    if let Some(shown) = wire::media::read(inner, MediaId::new(clock)) {
        return Some((shown.kind.content(shown.media), shown.remote));
    }
    Some((without_file(inner)?, None))
}

fn without_file(inner: &Message) -> Option<Content> {
    let text = inner.text_content().filter(|text| !text.is_empty());
    if let Some(text) = text {
        return Some(Content::Text {
            body: text.to_owned(),
        });
    }
    let kind = kind(inner)?;
    Some(Content::Unsupported { kind: kind.into() })
}

/// The name of the field that carries the content, as in WhatsApp's protobuf definition.
fn kind(message: &Message) -> Option<&'static str> {
    macro_rules! first_set {
        ($($field:ident => $name:literal),* $(,)?) => {
            $(if message.$field.is_set() { return Some($name); })*
        };
    }
    first_set! {
        lottie_sticker_message => "lottieStickerMessage",
        contact_message => "contactMessage",
        contacts_array_message => "contactsArrayMessage",
        location_message => "locationMessage",
        live_location_message => "liveLocationMessage",
        reaction_message => "reactionMessage",
        enc_reaction_message => "encReactionMessage",
        poll_creation_message => "pollCreationMessage",
        poll_creation_message_v2 => "pollCreationMessageV2",
        poll_creation_message_v3 => "pollCreationMessageV3",
        poll_update_message => "pollUpdateMessage",
        event_message => "eventMessage",
        album_message => "albumMessage",
        template_message => "templateMessage",
        template_button_reply_message => "templateButtonReplyMessage",
        list_message => "listMessage",
        list_response_message => "listResponseMessage",
        buttons_message => "buttonsMessage",
        buttons_response_message => "buttonsResponseMessage",
        interactive_message => "interactiveMessage",
        interactive_response_message => "interactiveResponseMessage",
        product_message => "productMessage",
        order_message => "orderMessage",
        invoice_message => "invoiceMessage",
        group_invite_message => "groupInviteMessage",
        pin_in_chat_message => "pinInChatMessage",
        keep_in_chat_message => "keepInChatMessage",
        secret_encrypted_message => "secretEncryptedMessage",
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        // Of the protocol's own notices only these two change what a person sees.
        let visible = matches!(
            protocol.r#type,
            Some(ProtocolType::Revoke | ProtocolType::MessageEdit)
        );
        return visible.then_some("protocolMessage");
    }
    (!carries_nothing(message)).then_some("other")
}

/// Whether nothing is left without keys, context, and an empty text.
fn carries_nothing(message: &Message) -> bool {
    let mut rest = message.clone();
    rest.conversation = None;
    rest.extended_text_message = MessageField::default();
    rest.message_context_info = MessageField::default();
    rest.sender_key_distribution_message = MessageField::default();
    rest.fast_ratchet_key_sender_key_distribution_message = MessageField::default();
    waproto::codec::message_to_vec(&rest).is_empty()
}

#[cfg(test)]
mod tests {
    use wacore::{proto_helpers::MessageBuilderExt as _, types::message::MessageSource};
    use whatsapp_rust::waproto::whatsapp::{MessageContextInfo, message};

    use super::*;

    fn content(message: &Message) -> Option<Content> {
        super::content(message, &Clock::system()).map(|(content, _)| content)
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
    fn text(body: &str) -> Option<Content> {
        Some(Content::Text { body: body.into() })
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
    fn unsupported(kind: &str) -> Option<Content> {
        Some(Content::Unsupported { kind: kind.into() })
    }

    #[test]
    fn an_id_that_no_database_takes_is_known_by_its_digest() {
        assert_eq!(storable("3EB0C0FFEE"), "3EB0C0FFEE");
        for bad in ["", "a\0b", "a b", "ä", &"x".repeat(129)] {
            let kept = storable(bad);
            assert_eq!(kept.len(), 43, "{bad:?} became {kept}");
            assert_eq!(kept, storable(bad));
        }
        assert_ne!(storable("a\0b"), storable("a\0c"));
    }

    #[test]
    fn text_is_read_from_both_fields_that_carry_it() {
        assert_eq!(content(&Message::text("hello")), text("hello"));
        let extended = Message {
            extended_text_message: MessageField::some(message::ExtendedTextMessage {
                text: Some("see https://example.org".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(content(&extended), text("see https://example.org"));
    }

    #[test]
    fn text_in_a_disappearing_message_is_text() {
        let wrapped = Message {
            ephemeral_message: MessageField::some(message::FutureProofMessage {
                message: MessageField::some(Message::text("soon gone")),
            }),
            ..Default::default()
        };
        assert_eq!(content(&wrapped), text("soon gone"));
    }

    #[test]
    fn what_is_not_read_yet_is_told_by_the_name_of_its_field() {
        let image = Message {
            image_message: MessageField::some(message::ImageMessage::default()),
            ..Default::default()
        };
        assert_eq!(content(&image), unsupported("imageMessage"));
        let rare = Message {
            payment_invite_message: MessageField::some(message::PaymentInviteMessage {
                expiry_timestamp: Some(1),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(content(&rare), unsupported("other"));
    }

    #[test]
    fn protocol_notices_and_bare_keys_are_no_messages() {
        let notice = |kind| Message {
            protocol_message: MessageField::some(message::ProtocolMessage {
                r#type: Some(kind),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(content(&notice(ProtocolType::AppStateSyncKeyShare)), None);
        assert_eq!(
            content(&notice(ProtocolType::HistorySyncNotification)),
            None
        );
        assert_eq!(
            content(&notice(ProtocolType::Revoke)),
            unsupported("protocolMessage")
        );
        let keys = Message {
            sender_key_distribution_message: MessageField::some(
                message::SenderKeyDistributionMessage {
                    group_id: Some("1@g.us".into()),
                    ..Default::default()
                },
            ),
            message_context_info: MessageField::some(MessageContextInfo::default()),
            ..Default::default()
        };
        assert_eq!(content(&keys), None);
        assert_eq!(content(&Message::default()), None);
    }

    fn from(chat: Jid) -> MessageInfo {
        MessageInfo {
            source: MessageSource {
                sender: chat.clone(),
                chat,
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn only_what_a_person_wrote_to_this_number_alone_comes_in() {
        let person = from(Jid::pn("491711234567"));
        assert!(is_one_to_one(&person));
        assert!(is_one_to_one(&from(Jid::lid_device("1234567890", 3))));
        assert!(!is_one_to_one(&from(Jid::group("120363000000000000"))));
        assert!(!is_one_to_one(&from(Jid::status_broadcast())));
        assert!(!is_one_to_one(&from(Jid::newsletter("120363000000000001"))));
        let mut own = person.clone();
        own.source.is_from_me = true;
        assert!(!is_one_to_one(&own));
        let mut peer = person;
        peer.category = MessageCategory::Peer;
        assert!(!is_one_to_one(&peer));
    }

    #[test]
    fn chat_and_sender_are_named_without_the_device() {
        let info = from(Jid::lid_device("1234567890", 3));
        let lid = own_words([&info.source.sender].into_iter());
        let message = inbound(&info, lid, Content::Text { body: "x".into() }, None);
        assert_eq!(message.chat, "1234567890@lid");
        assert_eq!(message.sender, "1234567890@lid");
        assert_eq!(message.from.lid.as_deref(), Some("1234567890"));
        assert_eq!(message.from.phone, None);
    }
}

//! Disappearing messages: how long the messages of a chat stay, as a message says it.

use wacore::proto_helpers::MessageExt as _;
use whatsapp_rust::waproto::whatsapp::{Message, message::protocol_message::Type as ProtocolType};

use super::wrappers::peel;

/// The longest time that is believed, in seconds. Phones offer up to 90 days.
const LONGEST: u32 = 366 * 24 * 3600;

/// Returns the seconds after which the message disappears. `None` if it stays.
pub(crate) fn carried(message: &Message) -> Option<u32> {
    let seconds = peel(message).message.get_ephemeral_expiration();
    seconds.filter(|seconds| *seconds <= LONGEST)
}

/// Returns the seconds, unless they are more than any phone offers.
pub(crate) fn believed(seconds: u32) -> Option<u32> {
    (seconds <= LONGEST).then_some(seconds)
}

/// Returns whether the message carries no time at all.
pub(crate) fn is_without(message: &Message) -> bool {
    let seconds = peel(message).message.get_ephemeral_expiration();
    seconds.is_none()
}

/// Reads a notice that only sets the chat's time. 0 means that messages stay.
pub(crate) fn setting(message: &Message) -> Option<u32> {
    let notice = peel(message).message.protocol_message.as_option()?;
    let is_setting = notice.r#type == Some(ProtocolType::EphemeralSetting);
    let seconds = notice.ephemeral_expiration.unwrap_or(0);
    (is_setting && seconds <= LONGEST).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::{
        ContextInfo,
        message::{ExtendedTextMessage, ProtocolMessage},
    };

    use super::*;

    fn text(expiration: Option<u32>) -> Message {
        let text = ExtendedTextMessage {
            context_info: MessageField::some(ContextInfo {
                expiration,
                ..Default::default()
            }),
            ..Default::default()
        };
        Message {
            extended_text_message: MessageField::some(text),
            ..Default::default()
        }
    }

    fn notice(kind: ProtocolType, seconds: Option<u32>) -> Message {
        let notice = ProtocolMessage {
            r#type: Some(kind),
            ephemeral_expiration: seconds,
            ..Default::default()
        };
        Message {
            protocol_message: MessageField::some(notice),
            ..Default::default()
        }
    }

    #[test]
    fn a_message_and_a_notice_say_how_long_messages_stay() {
        assert_eq!(carried(&text(Some(86_400))), Some(86_400));
        assert_eq!(setting(&text(Some(86_400))), None);
        for stays in [Some(0), None] {
            assert_eq!(carried(&text(stays)), None);
            assert!(is_without(&text(stays)));
        }
        let odd = text(Some(u32::MAX));
        assert_eq!((carried(&odd), is_without(&odd)), (None, false));
        let set = |seconds| setting(&notice(ProtocolType::EphemeralSetting, seconds));
        assert_eq!(set(Some(604_800)), Some(604_800));
        assert_eq!((set(Some(0)), set(None)), (Some(0), Some(0)));
        assert_eq!(set(Some(u32::MAX)), None);
        assert_eq!(setting(&notice(ProtocolType::Revoke, Some(1))), None);
    }
}

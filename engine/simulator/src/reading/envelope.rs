//! The envelopes around some messages.

use waproto::whatsapp::Message;

/// Removes the envelopes of disappearing, view-once and captioned messages. Also returns whether it
/// is a view-once message.
pub(crate) fn unwrapped(message: &Message) -> (&Message, bool) {
    let (mut inner, mut once) = (message, false);
    loop {
        let layers = [
            (&inner.ephemeral_message, false),
            (&inner.document_with_caption_message, false),
            (&inner.view_once_message, true),
            (&inner.view_once_message_v2, true),
            (&inner.view_once_message_v2_extension, true),
        ];
        let next = layers.into_iter().find_map(|(layer, marks)| {
            let within = layer.as_option()?.message.as_option()?;
            Some((within, marks))
        });
        match next {
            Some((within, marks)) => {
                inner = within;
                once |= marks;
            }
            None => return (inner, once),
        }
    }
}

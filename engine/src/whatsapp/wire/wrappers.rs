//! Wrappers: messages that carry nothing but another message. A client may put any of them into any
//! other.

use whatsapp_rust::waproto::whatsapp::{Message, MessageContextInfo};

/// How many wrappers are removed. Known clients write at most four.
const DEPTH: usize = 8;

/// A message without its wrappers.
pub(super) struct Peeled<'m> {
    pub(super) message: &'m Message,
    /// The names of the wrappers, the outermost first.
    pub(super) via: Vec<&'static str>,
    /// The context infos of the message and its wrappers, the outermost first.
    infos: Vec<&'m MessageContextInfo>,
    /// The name of a wrapper that was not removed, because [`DEPTH`] others are around it.
    pub(super) too_deep: Option<&'static str>,
}

impl<'m> Peeled<'m> {
    /// Returns the first value that `find` finds in a context info.
    pub(super) fn find<T>(&self, find: impl Fn(&'m MessageContextInfo) -> Option<T>) -> Option<T> {
        self.infos.iter().find_map(|info| find(info))
    }
}

/// Removes the wrappers around a message, in any order.
pub(super) fn peel(outer: &Message) -> Peeled<'_> {
    let mut peeled = Peeled {
        message: outer,
        via: Vec::new(),
        infos: outer.message_context_info.as_option().into_iter().collect(),
        too_deep: None,
    };
    while let Some((name, inner)) = outermost(peeled.message) {
        if peeled.via.len() == DEPTH {
            peeled.too_deep = Some(name);
            break;
        }
        peeled.via.push(name);
        peeled.message = inner;
        peeled.infos.extend(inner.message_context_info.as_option());
    }
    peeled
}

macro_rules! wrappers {
    ($($field:ident => $name:literal),* $(,)?) => {
        /// Returns the name of the outermost wrapper and what is in it.
        fn outermost(message: &Message) -> Option<(&'static str, &Message)> {
            $(
                let wrapper = message.$field.as_option();
                if let Some(inner) = wrapper.and_then(|wrapper| wrapper.message.as_option()) {
                    return Some(($name, inner));
                }
            )*
            None
        }
    };
}

// Every field of `Message` whose type is `FutureProofMessage`, and two more that have a `message`
// (waproto 0.7.0, `whatsapp.proto`).
wrappers! {
    device_sent_message => "deviceSentMessage",
    ephemeral_message => "ephemeralMessage",
    view_once_message => "viewOnceMessage",
    view_once_message_v2 => "viewOnceMessageV2",
    view_once_message_v2_extension => "viewOnceMessageV2Extension",
    document_with_caption_message => "documentWithCaptionMessage",
    edited_message => "editedMessage",
    group_mentioned_message => "groupMentionedMessage",
    bot_invoke_message => "botInvokeMessage",
    bot_task_message => "botTaskMessage",
    bot_forwarded_message => "botForwardedMessage",
    lottie_sticker_message => "lottieStickerMessage",
    associated_child_message => "associatedChildMessage",
    comment_message => "commentMessage",
    event_cover_image => "eventCoverImage",
    poll_creation_message_v4 => "pollCreationMessageV4",
    poll_creation_option_image_message => "pollCreationOptionImageMessage",
    question_message => "questionMessage",
    question_reply_message => "questionReplyMessage",
    spoiler_message => "spoilerMessage",
    limit_sharing_message => "limitSharingMessage",
    status_mention_message => "statusMentionMessage",
    status_add_yours => "statusAddYours",
    group_status_message => "groupStatusMessage",
    group_status_message_v2 => "groupStatusMessageV2",
    group_status_mention_message => "groupStatusMentionMessage",
    newsletter_admin_profile_message => "newsletterAdminProfileMessage",
    newsletter_admin_profile_message_v2 => "newsletterAdminProfileMessageV2",
    newsletter_admin_profile_status_message => "newsletterAdminProfileStatusMessage",
}

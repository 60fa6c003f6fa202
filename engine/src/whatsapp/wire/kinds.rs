//! The names of contents, and what becomes of one that this version does not read. Nothing that a person
//! would see is dropped.

use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        Message,
        message::{ProtocolMessage, protocol_message::Type as ProtocolType},
    },
};

use super::text::limited;
use crate::content::{Content, TEXT_MAX};

/// The kind of a message whose only field is one that this version's schema does not have.
const UNKNOWN: &str = "unknown";

/// Reports a content that is not read. Returns `None` for what is only for the protocol. `wrapper` is the name
/// of the innermost wrapper around it.
pub(super) fn unsupported(message: &Message, wrapper: Option<&'static str>) -> Option<Content> {
    let kind = match kind(message) {
        Some(kind) => kind,
        None if message.protocol_message.is_set() => {
            visible_notice(message.protocol_message.as_option()?)?
        }
        None => match wrapper {
            Some(wrapper) => wrapper,
            None if has_keys(message) && carries_nothing(message) => return None,
            None => UNKNOWN,
        },
    };
    Some(Content::Unsupported {
        kind: kind.to_owned(),
        text: readable(message),
    })
}

/// Returns the name of a protocol notice that says something to a person. The others are for devices, or
/// change the settings of a chat. One of a type that the schema does not have could be of any sort.
fn visible_notice(notice: &ProtocolMessage) -> Option<&'static str> {
    use ProtocolType as Type;
    let is_for_devices = matches!(
        notice.r#type,
        Some(
            Type::EphemeralSetting
                | Type::EphemeralSyncResponse
                | Type::HistorySyncNotification
                | Type::AppStateSyncKeyShare
                | Type::AppStateSyncKeyRequest
                | Type::MsgFanoutBackfillRequest
                | Type::InitialSecurityNotificationSettingSync
                | Type::AppStateFatalExceptionNotification
                | Type::PeerDataOperationRequestMessage
                | Type::PeerDataOperationRequestResponseMessage
                | Type::RequestWelcomeMessage
                | Type::BotFeedbackMessage
                | Type::MediaNotifyMessage
                | Type::CloudApiThreadControlNotification
                | Type::LidMigrationMappingSync
                | Type::BotMemuOnboardingMessage
                | Type::StopGenerationMessage
                | Type::LimitSharing
                | Type::AiPsiMetadata
                | Type::AiQueryFanout
                | Type::GroupMemberLabelChange
                | Type::AiMediaCollectionMessage
                | Type::ChatThemeSetting
                | Type::AiMetadataOperation
        )
    );
    (!is_for_devices).then_some("protocolMessage")
}

/// Returns whether the message distributes keys.
pub(super) fn has_keys(message: &Message) -> bool {
    message.sender_key_distribution_message.is_set()
        || message
            .fast_ratchet_key_sender_key_distribution_message
            .is_set()
        || message.group_root_key_share.is_set()
        || message.root_secret_distribute_message.is_set()
}

/// Returns whether the message has nothing except keys, context and an empty text.
fn carries_nothing(message: &Message) -> bool {
    let mut rest = message.clone();
    rest.conversation = rest.conversation.filter(|text| !text.is_empty());
    rest.message_context_info = MessageField::default();
    rest.group_root_key_share = MessageField::default();
    rest.root_secret_distribute_message = MessageField::default();
    rest.sender_key_distribution_message = MessageField::default();
    rest.fast_ratchet_key_sender_key_distribution_message = MessageField::default();
    waproto::codec::message_encoded_len(&rest) == 0
}

/// Reads what can be read of a content that has no type of its own.
fn readable(message: &Message) -> Option<String> {
    let event = message.event_message.as_option();
    let event = event.map(|event| [event.name.as_ref(), event.description.as_ref()]);
    let invite = message.group_invite_message.as_option();
    let invite = invite.map(|invite| [invite.group_name.as_ref(), invite.caption.as_ref()]);
    let pack = message.sticker_pack_message.as_option();
    let pack = pack.map(|pack| [pack.name.as_ref(), pack.caption.as_ref()]);
    let invoice = message.invoice_message.as_option();
    let invoice = invoice.map(|invoice| [invoice.note.as_ref(), None]);
    let result = message.poll_result_snapshot_message.as_option();
    let result = result.or(message.poll_result_snapshot_message_v3.as_option());
    let result = result.map(|result| [result.name.as_ref(), None]);
    let answer = message.question_response_message.as_option();
    let answer = answer.map(|answer| [answer.text.as_ref(), None]);
    let sent = message.send_payment_message.as_option();
    let asked = message.request_payment_message.as_option();
    let note = sent.and_then(|sent| sent.note_message.as_option());
    let note = note.or(asked.and_then(|asked| asked.note_message.as_option()));
    let note = note.map(|note| {
        let extended = note.extended_text_message.as_option();
        let extended = extended.and_then(|text| text.text.as_ref());
        [note.conversation.as_ref().or(extended), None]
    });
    let words = event
        .or(invite)
        .or(pack)
        .or(invoice)
        .or(result)
        .or(answer)
        .or(note)?;
    let words = words.into_iter().flatten().filter(|text| !text.is_empty());
    let text = words.cloned().collect::<Vec<_>>().join("\n");
    limited(Some(&text), TEXT_MAX)
}

macro_rules! kinds {
    ($($field:ident => $name:literal),* $(,)?) => {
        /// Returns the name of the field that carries the content, as in WhatsApp's protobuf definition. `None`
        /// if there is only a text, a protocol notice, keys, or nothing that the schema knows.
        pub(super) fn kind(message: &Message) -> Option<&'static str> {
            $(if message.$field.is_set() { return Some($name); })*
            None
        }
    };
}

// Every field of `Message` but those of texts, keys and notices, in the order of the schema; wrappers
// are last, because a wrapper that was not removed is empty or too deep.
kinds! {
    image_message => "imageMessage",
    video_message => "videoMessage",
    ptv_message => "ptvMessage",
    audio_message => "audioMessage",
    document_message => "documentMessage",
    sticker_message => "stickerMessage",
    contact_message => "contactMessage",
    location_message => "locationMessage",
    call => "call",
    chat => "chat",
    contacts_array_message => "contactsArrayMessage",
    highly_structured_message => "highlyStructuredMessage",
    send_payment_message => "sendPaymentMessage",
    live_location_message => "liveLocationMessage",
    request_payment_message => "requestPaymentMessage",
    decline_payment_request_message => "declinePaymentRequestMessage",
    cancel_payment_request_message => "cancelPaymentRequestMessage",
    template_message => "templateMessage",
    group_invite_message => "groupInviteMessage",
    template_button_reply_message => "templateButtonReplyMessage",
    product_message => "productMessage",
    list_message => "listMessage",
    order_message => "orderMessage",
    list_response_message => "listResponseMessage",
    invoice_message => "invoiceMessage",
    buttons_message => "buttonsMessage",
    buttons_response_message => "buttonsResponseMessage",
    payment_invite_message => "paymentInviteMessage",
    interactive_message => "interactiveMessage",
    reaction_message => "reactionMessage",
    sticker_sync_rmr_message => "stickerSyncRmrMessage",
    interactive_response_message => "interactiveResponseMessage",
    poll_creation_message => "pollCreationMessage",
    poll_update_message => "pollUpdateMessage",
    keep_in_chat_message => "keepInChatMessage",
    request_phone_number_message => "requestPhoneNumberMessage",
    enc_reaction_message => "encReactionMessage",
    poll_creation_message_v2 => "pollCreationMessageV2",
    scheduled_call_creation_message => "scheduledCallCreationMessage",
    pin_in_chat_message => "pinInChatMessage",
    poll_creation_message_v3 => "pollCreationMessageV3",
    scheduled_call_edit_message => "scheduledCallEditMessage",
    call_log_messsage => "callLogMesssage",
    message_history_bundle => "messageHistoryBundle",
    enc_comment_message => "encCommentMessage",
    bcall_message => "bcallMessage",
    event_message => "eventMessage",
    enc_event_response_message => "encEventResponseMessage",
    newsletter_admin_invite_message => "newsletterAdminInviteMessage",
    placeholder_message => "placeholderMessage",
    secret_encrypted_message => "secretEncryptedMessage",
    album_message => "albumMessage",
    sticker_pack_message => "stickerPackMessage",
    poll_result_snapshot_message => "pollResultSnapshotMessage",
    rich_response_message => "richResponseMessage",
    status_notification_message => "statusNotificationMessage",
    message_history_notice => "messageHistoryNotice",
    status_question_answer_message => "statusQuestionAnswerMessage",
    question_response_message => "questionResponseMessage",
    status_quoted_message => "statusQuotedMessage",
    status_sticker_interaction_message => "statusStickerInteractionMessage",
    poll_creation_message_v5 => "pollCreationMessageV5",
    newsletter_follower_invite_message_v2 => "newsletterFollowerInviteMessageV2",
    poll_result_snapshot_message_v3 => "pollResultSnapshotMessageV3",
    poll_creation_message_v6 => "pollCreationMessageV6",
    conditional_reveal_message => "conditionalRevealMessage",
    poll_add_option_message => "pollAddOptionMessage",
    event_invite_message => "eventInviteMessage",
    payment_reminder_message => "paymentReminderMessage",
    split_payment_message => "splitPaymentMessage",
    device_sent_message => "deviceSentMessage",
    view_once_message => "viewOnceMessage",
    ephemeral_message => "ephemeralMessage",
    document_with_caption_message => "documentWithCaptionMessage",
    view_once_message_v2 => "viewOnceMessageV2",
    edited_message => "editedMessage",
    view_once_message_v2_extension => "viewOnceMessageV2Extension",
    group_mentioned_message => "groupMentionedMessage",
    bot_invoke_message => "botInvokeMessage",
    lottie_sticker_message => "lottieStickerMessage",
    comment_message => "commentMessage",
    event_cover_image => "eventCoverImage",
    status_mention_message => "statusMentionMessage",
    poll_creation_option_image_message => "pollCreationOptionImageMessage",
    associated_child_message => "associatedChildMessage",
    group_status_mention_message => "groupStatusMentionMessage",
    poll_creation_message_v4 => "pollCreationMessageV4",
    status_add_yours => "statusAddYours",
    group_status_message => "groupStatusMessage",
    limit_sharing_message => "limitSharingMessage",
    bot_task_message => "botTaskMessage",
    question_message => "questionMessage",
    group_status_message_v2 => "groupStatusMessageV2",
    bot_forwarded_message => "botForwardedMessage",
    question_reply_message => "questionReplyMessage",
    newsletter_admin_profile_message => "newsletterAdminProfileMessage",
    newsletter_admin_profile_message_v2 => "newsletterAdminProfileMessageV2",
    spoiler_message => "spoilerMessage",
    newsletter_admin_profile_status_message => "newsletterAdminProfileStatusMessage",
}

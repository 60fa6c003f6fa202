use serde_json::json;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, MessageContextInfo, MessageKey,
        message::{
            ButtonsResponseMessage, ImageMessage, OrderMessage, ReactionMessage,
            SenderKeyDistributionMessage, buttons_response_message::Response,
        },
    },
};

use super::*;

fn raw(message: Message) -> Option<Value> {
    RawMessage(Arc::new(message)).json()
}

#[test]
fn fidelity_raw_has_what_the_schema_names_and_no_key_secret_or_thumbnail() {
    let message = Message {
        image_message: MessageField::some(ImageMessage {
            caption: Some("look".into()),
            media_key: Some(vec![1; 32]),
            file_enc_sha256: Some(vec![255, 254]),
            jpeg_thumbnail: Some(vec![2; 90_000]),
            width: Some(640),
            context_info: MessageField::some(ContextInfo {
                stanza_id: Some("3EB0".into()),
                mentioned_jid: vec!["1@lid".into()],
                ..Default::default()
            }),
            ..Default::default()
        }),
        reaction_message: MessageField::some(ReactionMessage {
            key: MessageField::some(MessageKey {
                id: Some("3EB1".into()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        buttons_response_message: MessageField::some(ButtonsResponseMessage {
            response: Some(Response::SelectedDisplayText("Yes".into())),
            ..Default::default()
        }),
        order_message: MessageField::some(OrderMessage {
            token: Some("token".into()),
            order_id: Some("1042".into()),
            ..Default::default()
        }),
        sender_key_distribution_message: MessageField::some(SenderKeyDistributionMessage {
            group_id: Some("1@g.us".into()),
            ..Default::default()
        }),
        message_context_info: MessageField::some(MessageContextInfo {
            message_secret: Some(vec![3; 32]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let expected = json!({
        "imageMessage": { "caption": "look", "fileEncSha256": "//4=", "width": 640,
            "contextInfo": { "stanzaId": "3EB0", "mentionedJid": ["1@lid"] } },
        "reactionMessage": { "key": { "id": "3EB1" } },
        "buttonsResponseMessage": { "selectedDisplayText": "Yes" },
        "orderMessage": { "orderId": "1042" },
        "messageContextInfo": {},
    });
    assert_eq!(raw(message), Some(expected));
}

#[test]
fn fidelity_raw_has_at_most_64_kib() {
    let text = |length: usize| Message {
        conversation: Some("x".repeat(length)),
        ..Default::default()
    };
    assert!(raw(text(60_000)).is_some());
    assert!(raw(text(70_000)).is_none());
    // Each of these characters takes six bytes in JSON.
    let escaped = Message {
        conversation: Some("\u{1}".repeat(20_000)),
        ..Default::default()
    };
    assert!(raw(escaped).is_none());
}

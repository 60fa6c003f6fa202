//! Messages that no client writes: they cost bounded memory, and none is silent.

use wacore::proto_helpers::MessageBuilderExt as _;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, Message,
        message::{
            ButtonsResponseMessage, ContactMessage, ContactsArrayMessage, ListResponseMessage,
            LiveLocationMessage, OrderMessage, PollCreationMessage, PollUpdateMessage,
            ProductMessage, ReactionMessage, poll_creation_message,
        },
    },
};

use super::{field, json, of_bytes, read};
use crate::content::Content;

/// The fields of `Message` that are only for devices: they distribute keys.
const KEYS: [u32; 4] = [2, 15, 123, 127];
/// The field of a text. All others of the schema are messages, and may be empty.
const TEXT: u32 = 1;

/// A message of a later version has a field that the schema does not know, and nothing else that is read.
#[test]
fn no_field_of_the_schema_and_none_of_a_later_one_is_silent() {
    for number in (1..=400).filter(|number| !KEYS.contains(number)) {
        let content = if number == TEXT { "hi" } else { "" };
        let read = of_bytes(&field(number, content.as_bytes()));
        assert!(read.is_some(), "field {number} is silent");
    }
    for number in KEYS {
        assert!(of_bytes(&field(number, b"")).is_none(), "field {number}");
    }
    assert_eq!(of_bytes(b"").unwrap().content.kind(), "unsupported");
}

fn kind(message: &Message) -> String {
    let content = read(message).unwrap().content;
    assert_eq!(content.kind(), "unsupported", "{}", json(&content));
    json(&content)["kind"].as_str().unwrap().to_owned()
}

#[test]
fn a_thousand_mentions_are_told_with_the_text_and_not_looked_up() {
    let named = |count: usize| {
        let info = ContextInfo {
            mentioned_jid: (0..count).map(|n| format!("{}@lid", 1000 + n)).collect(),
            ..Default::default()
        };
        read(&Message::text_with_context("everybody", info)).unwrap()
    };
    let some = named(256);
    assert!(some.content == Content::text("everybody"));
    assert_eq!(some.context.mentions.len(), 256);
    let many = named(1000);
    let content = json(&many.content);
    assert_eq!(content["kind"], "extendedTextMessage");
    assert_eq!(content["text"], "everybody");
    assert!(many.context.mentions.is_empty());
}

#[test]
fn what_is_larger_than_any_client_writes_it_is_told() {
    let options = |count: usize| Message {
        poll_creation_message: MessageField::some(PollCreationMessage {
            options: (0..count)
                .map(|n| poll_creation_message::Option {
                    option_name: Some(n.to_string()),
                    option_hash: None,
                })
                .collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(read(&options(64)).unwrap().content.kind(), "poll");
    assert_eq!(kind(&options(100_000)), "pollCreationMessage");
    let cards = Message {
        contacts_array_message: MessageField::some(ContactsArrayMessage {
            contacts: vec![ContactMessage::default(); 1000],
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(kind(&cards), "contactsArrayMessage");
    let long = Message::text("x".repeat(1_000_000));
    assert_eq!(kind(&long), "conversation");
    assert_eq!(
        json(&read(&long).unwrap().content)["text"]
            .as_str()
            .unwrap()
            .len(),
        65_536
    );
}

#[test]
fn a_content_without_what_identifies_it_is_told_by_its_field() {
    macro_rules! bare {
        ($($field:ident: $kind:ident => $name:literal,)*) => {$({
            let message = Message {
                $field: MessageField::some($kind::default()),
                ..Default::default()
            };
            assert_eq!(kind(&message), $name);
        })*};
    }
    bare! {
        reaction_message: ReactionMessage => "reactionMessage",
        poll_update_message: PollUpdateMessage => "pollUpdateMessage",
        buttons_response_message: ButtonsResponseMessage => "buttonsResponseMessage",
        list_response_message: ListResponseMessage => "listResponseMessage",
        order_message: OrderMessage => "orderMessage",
        product_message: ProductMessage => "productMessage",
        live_location_message: LiveLocationMessage => "liveLocationMessage",
    }
}

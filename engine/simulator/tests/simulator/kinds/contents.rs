//! Places, contact cards and the context of a message.

use serde_json::{Value, json};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, EventMessage, ExtendedTextMessage, FutureProofMessage,
    ImageMessage, LiveLocationMessage, LocationMessage,
};
use waproto::whatsapp::{ContextInfo, Message};

use super::{BOB, OWN, newest, pair, shown, text};
use crate::library::jid;

#[tokio::test]
async fn a_phone_s_places_and_cards_reach_the_library() {
    let (sim, mut library) = pair().await;
    let place = json!({"type": "location", "latitude": 52.5, "longitude": 13.4, "name": "Here"});
    sim.say(BOB, OWN, place).await;
    let got = library.next().await;
    let location = got.message.location_message.as_option().unwrap();
    assert_eq!(location.degrees_latitude, Some(52.5));
    assert_eq!(location.name.as_deref(), Some("Here"));
    let one = json!({"type": "contact", "name": "Ada", "vcard": "BEGIN:VCARD"});
    sim.say(BOB, OWN, one).await;
    let got = library.next().await;
    let contact = got.message.contact_message.as_option().unwrap();
    assert_eq!(contact.vcard.as_deref(), Some("BEGIN:VCARD"));
    let card = json!({"name": "Ada", "vcard": "BEGIN:VCARD"});
    let two = json!({"type": "contacts", "contacts": [card, card]});
    sim.say(BOB, OWN, two).await;
    let got = library.next().await;
    let contacts = got.message.contacts_array_message.as_option().unwrap();
    assert_eq!(contacts.contacts.len(), 2);
    library.stop().await;
}

fn card() -> ContactMessage {
    ContactMessage {
        display_name: Some("Bob".to_owned()),
        vcard: Some("BEGIN:VCARD".to_owned()),
        ..Default::default()
    }
}

/// Builds a message with one part.
macro_rules! message {
    ($field:ident: $kind:ident { $($more:tt)* }) => {
        Message {
            $field: MessageField::some($kind { $($more)* ..Default::default() }),
            ..Default::default()
        }
    };
}

/// Wraps a message in the envelope of disappearing messages.
fn enveloped(message: Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage {
        message: MessageField::some(message),
    })
}

/// Messages without a file that a client may send, and what a phone reads from each.
fn contents() -> Vec<(Message, Value)> {
    let some = |text: &str| Some(text.to_owned());
    let here = message!(location_message: LocationMessage {
        degrees_latitude: Some(1.25), degrees_longitude: Some(-2.5), address: some("Street 1"),
    });
    let moving = message!(live_location_message: LiveLocationMessage {
        degrees_latitude: Some(1.25), degrees_longitude: Some(-2.5), caption: some("on my way"),
    });
    let one = Message {
        contact_message: MessageField::some(card()),
        ..Default::default()
    };
    let two = message!(contacts_array_message: ContactsArrayMessage {
        contacts: vec![card(), card()],
    });
    let link = message!(extended_text_message: ExtendedTextMessage {
        text: some("see https://a.example"), matched_text: some("https://a.example"),
    });
    let vanishing = Message {
        ephemeral_message: enveloped(text("soon gone")),
        ..Default::default()
    };
    let party = message!(event_message: EventMessage { name: some("Party"), });
    let bob = json!({"name": "Bob", "vcard": "BEGIN:VCARD"});
    vec![
        (
            here,
            json!({"type": "location", "latitude": 1.25, "longitude": -2.5, "address": "Street 1"}),
        ),
        (
            moving,
            json!({"type": "live_location", "latitude": 1.25, "longitude": -2.5, "caption": "on my way"}),
        ),
        (one, json!({"type": "contact", "contacts": [bob]})),
        (two, json!({"type": "contacts", "contacts": [bob, bob]})),
        (
            link,
            json!({"type": "text", "text": "see https://a.example", "link": "https://a.example"}),
        ),
        (vanishing, json!({"type": "text", "text": "soon gone"})),
        (party, json!({"type": "unsupported"})),
    ]
}

#[tokio::test]
async fn a_phone_reads_what_has_no_file() {
    let (sim, library) = pair().await;
    for (at, (message, expected)) in contents().into_iter().enumerate() {
        library.send(BOB, message).await;
        assert_eq!(newest(&sim, at + 1).await["message"], expected);
    }
    library.stop().await;
}

#[tokio::test]
async fn a_preview_is_said_and_read() {
    let (sim, mut library) = pair().await;
    let said = json!({"type": "text", "text": "see https://a.example", "link": "https://a.example",
        "title": "A shop", "description": "It sells", "thumbnail_base64": "/9j/"});
    sim.say(BOB, OWN, said).await;
    let got = library.next().await;
    let text = got.message.extended_text_message.as_option().unwrap();
    assert_eq!(text.matched_text.as_deref(), Some("https://a.example"));
    assert_eq!(text.title.as_deref(), Some("A shop"));
    assert_eq!(
        text.jpeg_thumbnail.as_deref(),
        Some(&[0xff, 0xd8, 0xff][..])
    );
    library.send(BOB, Message::clone(&got.message)).await;
    let shown = newest(&sim, 1).await;
    let view = &shown["message"];
    assert_eq!(
        (&view["title"], &view["description"]),
        (&json!("A shop"), &json!("It sells"))
    );
    assert_eq!(
        (&view["link"], &view["thumbnail"]),
        (&json!("https://a.example"), &json!(3))
    );
    library.stop().await;
}

#[tokio::test]
async fn envelopes_are_written_and_read_as_phones_do() {
    let (sim, mut library) = pair().await;
    let once = json!({"type": "image", "size": 9, "view_once": true});
    sim.say(BOB, OWN, once).await;
    let got = library.next().await;
    let once = got.message.view_once_message_v2.as_option().unwrap();
    let image = once.message.as_option().unwrap();
    assert!(image.image_message.is_set());
    let captioned = json!({"type": "document", "size": 9, "caption": "read this"});
    sim.say(BOB, OWN, captioned).await;
    let got = library.next().await;
    let captioned = got.message.document_with_caption_message.as_option();
    let document = captioned.unwrap().message.as_option().unwrap();
    let document = document.document_message.as_option().unwrap();
    assert_eq!(document.caption.as_deref(), Some("read this"));
    let image = message!(image_message: ImageMessage { caption: Some("look".to_owned()), });
    let message = Message {
        view_once_message_v2: enveloped(image),
        ..Default::default()
    };
    library.send(BOB, message).await;
    let shown = newest(&sim, 1).await;
    let view = &shown["message"];
    assert_eq!(view["type"], "image");
    assert_eq!(
        (&view["caption"], &view["view_once"]),
        (&json!("look"), &json!(true))
    );
    library.stop().await;
}

#[tokio::test]
async fn a_phone_s_answer_names_what_it_answers_and_whom() {
    let (sim, mut library) = pair().await;
    let asked = library.send(BOB, text("when?")).await;
    shown(&sim, 1).await;
    let said = json!({
        "to": OWN, "text": "at nine", "quote": asked, "mentions": [OWN], "forwarded": true,
        "expires_seconds": 86400,
    });
    let path = format!("/phones/{BOB}/say");
    sim.post(&path, said).await;
    let got = library.next().await;
    let text = got.message.extended_text_message.as_option().unwrap();
    let context = text.context_info.as_option().unwrap();
    assert_eq!(context.stanza_id.as_deref(), Some(&*asked));
    let quoted = context.quoted_message.as_option().unwrap();
    assert_eq!(quoted.conversation.as_deref(), Some("when?"));
    let own = library.client.lid().unwrap().to_non_ad().to_string();
    assert_eq!(context.mentioned_jid, std::slice::from_ref(&own));
    assert_eq!(context.participant, Some(own));
    assert_eq!(context.is_forwarded, Some(true));
    assert_eq!(context.expiration, Some(86400));
    let unknown = json!({"to": OWN, "text": "?", "quote": "3ANOTHING"});
    assert_eq!(sim.call("POST", &path, Some(unknown)).await.0, 400);
    library.stop().await;
}

#[tokio::test]
async fn a_phone_reads_what_is_answered_and_who_is_named() {
    let (sim, mut library) = pair().await;
    sim.say(BOB, OWN, json!({"type": "text", "text": "at nine"}))
        .await;
    let got = library.next().await;
    let id = got.info.id.clone();
    let around = ContextInfo {
        stanza_id: Some(id.clone()),
        participant: Some(jid(BOB).to_string()),
        quoted_message: MessageField::some(Message::clone(&got.message)),
        mentioned_jid: vec![jid(BOB).to_string()],
        ..Default::default()
    };
    let answer = message!(extended_text_message: ExtendedTextMessage {
        text: Some("good".to_owned()), context_info: MessageField::some(around),
    });
    library.send(BOB, answer).await;
    let shown = newest(&sim, 1).await;
    let quoted = json!({"id": id, "from": BOB, "type": "text"});
    assert_eq!(shown["message"]["quoted"], quoted);
    assert_eq!(shown["message"]["mentions"], json!([BOB]));
    library.stop().await;
}

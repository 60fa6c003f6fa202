//! Every kind of message, both ways, with the library at the other end.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wacore::download::{Downloadable, MediaType};
use wacore::types::presence::ReceiptType;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, ExtendedTextMessage, ImageMessage, LocationMessage,
    StickerMessage, VideoMessage,
};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::{RevokeType, UploadOptions};

use crate::library::{Library, jid};
use crate::raw::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

async fn pair() -> (Sim, Library) {
    let sim = Sim::start();
    sim.post("/phones", json!({"phone": BOB, "name": "Bob"}))
        .await;
    let library = Library::link(&sim, OWN).await;
    (sim, library)
}

/// What Bob's phone has shown, when it is `count` messages.
async fn shown(sim: &Sim, count: usize) -> Vec<Value> {
    sim.shown_by(BOB, count).await
}

/// The newest of them.
async fn newest(sim: &Sim, count: usize) -> Value {
    shown(sim, count).await[count - 1].clone()
}

async fn chat(sim: &Sim, phone: &str, with: &str) -> Vec<Value> {
    let reply = sim
        .get(&format!("/phones/{phone}/chat?with={}", &with[1..]))
        .await;
    reply["messages"].as_array().unwrap().clone()
}

/// The part of a message that has a file.
fn part(message: &Message) -> &dyn Downloadable {
    if let Some(image) = message.image_message.as_option() {
        return image;
    }
    if let Some(video) = message.video_message.as_option() {
        return video;
    }
    if let Some(audio) = message.audio_message.as_option() {
        return audio;
    }
    if let Some(document) = message.document_message.as_option() {
        return document;
    }
    message.sticker_message.as_option().expect("a file")
}

#[tokio::test]
async fn a_phone_s_files_arrive_byte_for_byte() {
    let (sim, mut library) = pair().await;
    let bytes = b"not really a picture".repeat(1000);
    let text = BASE64_STANDARD.encode(&bytes);
    for message in [
        json!({"type": "image", "bytes_base64": text, "caption": "see", "width": 3, "height": 4}),
        json!({"type": "video", "bytes_base64": text, "seconds": 9}),
        json!({"type": "audio", "bytes_base64": text, "mimetype": "audio/mpeg"}),
        json!({"type": "voice", "bytes_base64": text, "seconds": 2, "waveform_base64": "AQIDBA=="}),
        json!({"type": "document", "bytes_base64": text, "file_name": "a.pdf"}),
        json!({"type": "sticker", "bytes_base64": text}),
    ] {
        let said = sim.say(BOB, OWN, message.clone()).await;
        let got = library.next().await;
        assert_eq!(*got.info.id, *said["id"].as_str().unwrap());
        let opened = library.client.download(part(&got.message)).await.unwrap();
        assert_eq!(opened, bytes, "{message}");
        assert_eq!(said["media"]["sha256"], sha256(&bytes));
        assert_eq!(said["media"]["length"], bytes.len());
        let audio = got.message.audio_message.as_option();
        let ptt = audio.and_then(|audio| audio.ptt) == Some(true);
        assert_eq!(ptt, message["type"] == "voice");
        if let Some(image) = got.message.image_message.as_option() {
            assert_eq!(image.caption.as_deref(), Some("see"));
            assert_eq!((image.width, image.height), (Some(3), Some(4)));
        }
    }
    let said = sim.ledger("said", 6).await;
    assert_eq!(said[3]["message"]["waveform"], 4);
    library.stop().await;
}

#[tokio::test]
async fn a_file_may_be_made_from_a_seed_and_be_large() {
    let (sim, mut library) = pair().await;
    let message = json!({"type": "document", "size": 20_000_000, "seed": 7});
    let said = sim.say(BOB, OWN, message).await;
    let got = library.next().await;
    let opened = library.client.download(part(&got.message)).await.unwrap();
    assert_eq!(opened.len(), 20_000_000);
    assert_eq!(said["media"]["sha256"], sha256(&opened));
    library.stop().await;
}

/// A message of a kind around an upload.
fn with_file(kind: &str, up: UploadResponse) -> Message {
    let mut message = Message::default();
    macro_rules! file {
        ($field:ident: $kind:ident { $($more:ident: $value:expr),* $(,)? }) => {
            message.$field = MessageField::some($kind {
                url: Some(up.url),
                direct_path: Some(up.direct_path),
                media_key: Some(up.media_key.to_vec()),
                file_sha256: Some(up.file_sha256.to_vec()),
                file_enc_sha256: Some(up.file_enc_sha256.to_vec()),
                file_length: Some(up.file_length),
                $($more: $value,)*
                ..Default::default()
            })
        };
    }
    let text = |text: &str| Some(text.to_owned());
    match kind {
        "image" => file!(image_message: ImageMessage {
            caption: text("see"), mimetype: text("image/png"), width: Some(3),
            jpeg_thumbnail: Some(vec![1; 50]),
        }),
        "video" => file!(video_message: VideoMessage { seconds: Some(9) }),
        "audio" => file!(audio_message: AudioMessage { seconds: Some(9) }),
        "voice" => file!(audio_message: AudioMessage {
            ptt: Some(true), seconds: Some(9), waveform: Some(vec![5; 64]),
        }),
        "document" => file!(document_message: DocumentMessage { file_name: text("a.pdf") }),
        _ => file!(sticker_message: StickerMessage { mimetype: text("image/webp") }),
    }
    message
}

const FILES: [(&str, MediaType); 6] = [
    ("image", MediaType::Image),
    ("video", MediaType::Video),
    ("audio", MediaType::Audio),
    ("voice", MediaType::Audio),
    ("document", MediaType::Document),
    ("sticker", MediaType::Sticker),
];

async fn uploaded(library: &Library, kind: MediaType, bytes: &[u8]) -> UploadResponse {
    let options = UploadOptions::new();
    let up = library.client.upload(bytes.to_vec(), kind, options).await;
    up.unwrap()
}

#[tokio::test]
async fn a_phone_opens_the_files_it_is_sent() {
    let (sim, library) = pair().await;
    // Above the size from which the library asks first what the server has.
    let bytes = b"sent".repeat(1_500_000);
    for (count, (kind, media)) in FILES.into_iter().enumerate() {
        let up = uploaded(&library, media, &bytes).await;
        let id = library.send(BOB, with_file(kind, up)).await;
        let shown = newest(&sim, count + 1).await;
        assert_eq!((&shown["id"], &shown["type"]), (&json!(id), &json!(kind)));
        let message = &shown["message"];
        assert_eq!(message["media"]["sha256"], sha256(&bytes), "{shown}");
        assert_eq!(message["media"]["length"], bytes.len());
        assert_eq!(message["file_length"], bytes.len());
    }
    let shown = shown(&sim, 6).await;
    let image = &shown[0]["message"];
    assert_eq!(
        (
            &image["caption"],
            &image["mimetype"],
            &image["width"],
            &image["thumbnail"]
        ),
        (&json!("see"), &json!("image/png"), &json!(3), &json!(50))
    );
    let voice = &shown[3]["message"];
    assert_eq!(
        (&voice["ptt"], &voice["waveform"]),
        (&json!(true), &json!(64))
    );
    assert_eq!(shown[4]["message"]["file_name"], "a.pdf");
    library.stop().await;
}

#[tokio::test]
async fn a_phone_says_why_a_file_cannot_be_opened() {
    let (sim, library) = pair().await;
    let good = uploaded(&library, MediaType::Image, b"picture").await;
    let image = |change: fn(&mut ImageMessage)| {
        let mut message = with_file("image", good.clone());
        change(message.image_message.as_option_mut().unwrap());
        message
    };
    type Change = fn(&mut ImageMessage);
    let changes: [(Change, &str); 6] = [
        (
            |one| one.file_sha256 = Some(vec![0; 32]),
            "file_sha256 does not match",
        ),
        (
            |one| one.file_enc_sha256 = Some(vec![0; 32]),
            "file_enc_sha256 does not match",
        ),
        (|one| one.file_length = Some(1), "file_length is 1, not 7"),
        (
            |one| one.media_key = Some(vec![9; 32]),
            "the mac does not match",
        ),
        (
            |one| one.direct_path = Some("/v/none".to_owned()),
            "not on the media server",
        ),
        (|one| one.media_key = None, "no media_key"),
    ];
    let count = changes.len();
    for (at, (change, why)) in changes.into_iter().enumerate() {
        library.send(BOB, image(change)).await;
        let shown = newest(&sim, at + 1).await;
        assert_eq!(shown["message"]["media"]["undecryptable"], why);
        assert_eq!(shown["message"]["media"]["sha256"], Value::Null);
    }
    let gone = json!({"direct_path": good.direct_path, "expire": 410});
    sim.post("/media", gone).await;
    library.send(BOB, image(|_| {})).await;
    let shown = newest(&sim, count + 1).await;
    let why = &shown["message"]["media"]["undecryptable"];
    assert_eq!(why, "the media server answers 410");
    library.stop().await;
}

#[tokio::test]
async fn places_and_cards_go_both_ways() {
    let (sim, mut library) = pair().await;
    let place = json!({"type": "location", "latitude": 52.5, "longitude": 13.4, "name": "Here"});
    sim.say(BOB, OWN, place).await;
    let got = library.next().await;
    let location = got.message.location_message.as_option().unwrap();
    assert_eq!(location.degrees_latitude, Some(52.5));
    assert_eq!(location.name.as_deref(), Some("Here"));
    let card = json!({"name": "Ada", "vcard": "BEGIN:VCARD"});
    let mut one = card.clone();
    one["type"] = "contact".into();
    sim.say(BOB, OWN, one).await;
    let got = library.next().await;
    let contact = got.message.contact_message.as_option().unwrap();
    assert_eq!(contact.vcard.as_deref(), Some("BEGIN:VCARD"));
    sim.say(
        BOB,
        OWN,
        json!({"type": "contacts", "contacts": [card, card]}),
    )
    .await;
    let got = library.next().await;
    let contacts = got.message.contacts_array_message.as_option().unwrap();
    assert_eq!(contacts.contacts.len(), 2);

    let location = LocationMessage {
        degrees_latitude: Some(1.25),
        degrees_longitude: Some(-2.5),
        address: Some("Street 1".to_owned()),
        ..Default::default()
    };
    let message = Message {
        location_message: MessageField::some(location),
        ..Default::default()
    };
    library.send(BOB, message).await;
    let shown = newest(&sim, 1).await;
    let expected =
        json!({"type": "location", "latitude": 1.25, "longitude": -2.5, "address": "Street 1"});
    assert_eq!(shown["message"], expected);
    library.send(BOB, contact_card()).await;
    let shown = newest(&sim, 2).await;
    let expected =
        json!({"type": "contact", "contacts": [{"name": "Bob", "vcard": "BEGIN:VCARD"}]});
    assert_eq!(shown["message"], expected);
    library.stop().await;
}

fn contact_card() -> Message {
    let card = waproto::whatsapp::message::ContactMessage {
        display_name: Some("Bob".to_owned()),
        vcard: Some("BEGIN:VCARD".to_owned()),
        ..Default::default()
    };
    Message {
        contact_message: MessageField::some(card),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_answer_names_what_it_answers_and_whom() {
    let (sim, mut library) = pair().await;
    let asked = library
        .send(
            BOB,
            Message {
                conversation: Some("when?".to_owned()),
                ..Default::default()
            },
        )
        .await;
    shown(&sim, 1).await;
    let said = json!({"to": OWN, "text": "at nine", "quote": asked, "mentions": [OWN], "forwarded": true, "expires_seconds": 86400});
    sim.post(&format!("/phones/{BOB}/say"), said).await;
    let got = library.next().await;
    let text = got.message.extended_text_message.as_option().unwrap();
    let context = text.context_info.as_option().unwrap();
    assert_eq!(context.stanza_id.as_deref(), Some(&*asked));
    let quoted = context.quoted_message.as_option().unwrap();
    assert_eq!(quoted.conversation.as_deref(), Some("when?"));
    assert_eq!(context.mentioned_jid.len(), 1);
    assert_eq!(
        (context.is_forwarded, context.expiration),
        (Some(true), Some(86400))
    );

    let answer = Message {
        extended_text_message: MessageField::some(ExtendedTextMessage {
            text: Some("good".to_owned()),
            context_info: MessageField::some(ContextInfo {
                stanza_id: Some(got.info.id.to_string()),
                participant: Some(jid(BOB).to_string()),
                quoted_message: MessageField::some(Message::clone(&got.message)),
                mentioned_jid: vec![jid(BOB).to_string()],
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    library.send(BOB, answer).await;
    let shown = newest(&sim, 2).await;
    let quoted = json!({"id": got.info.id.to_string(), "from": BOB, "type": "text"});
    assert_eq!(shown["message"]["quoted"], quoted);
    assert_eq!(shown["message"]["mentions"], json!([BOB]));
    let unknown = json!({"to": OWN, "text": "?", "quote": "3ANOTHING"});
    let (status, _) = sim
        .call("POST", &format!("/phones/{BOB}/say"), Some(unknown))
        .await;
    assert_eq!(status, 400);
    library.stop().await;
}

fn key(of: &str, id: &str, from_me: bool) -> MessageKey {
    MessageKey {
        remote_jid: Some(jid(of).to_string()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        ..Default::default()
    }
}

fn text(text: &str) -> Message {
    Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_the_library_changes_changes_on_the_phone_s_screen() {
    let (sim, library) = pair().await;
    let id = library.send(BOB, text("frist")).await;
    let client = &library.client;
    client
        .edit_message(jid(BOB), id.clone(), text("first"))
        .await
        .unwrap();
    client
        .send_reaction(jid(BOB), key(BOB, &id, true), "🎉")
        .await
        .unwrap();
    let shown = shown(&sim, 3).await;
    assert_eq!(
        (&shown[1]["type"], &shown[1]["text"]),
        (&json!("edit"), &json!("first"))
    );
    assert_eq!(shown[1]["message"]["target"], id);
    assert_eq!(
        shown[2]["message"],
        json!({"type": "reaction", "target": id, "text": "🎉", "applied": true})
    );
    let screen = chat(&sim, BOB, OWN).await;
    assert_eq!(screen.len(), 1, "a change is no message of its own");
    assert_eq!(
        (&screen[0]["message"]["text"], &screen[0]["edited"]),
        (&json!("first"), &json!(true))
    );
    assert_eq!(screen[0]["reactions"], json!({OWN: "🎉"}));
    client
        .revoke_message(jid(BOB), id.clone(), RevokeType::Sender)
        .await
        .unwrap();
    let shown = newest(&sim, 4).await;
    assert_eq!(
        (&shown["type"], &shown["message"]["applied"]),
        (&json!("revoke"), &json!(true))
    );
    assert_eq!(chat(&sim, BOB, OWN).await[0]["deleted"], true);
    client
        .edit_message(jid(BOB), "3EB0NOTHING", text("?"))
        .await
        .unwrap();
    assert_eq!(newest(&sim, 5).await["message"]["applied"], false);
    library.stop().await;
}

#[tokio::test]
async fn what_a_phone_changes_reaches_the_library() {
    let (sim, mut library) = pair().await;
    let theirs = library.send(BOB, text("hello")).await;
    shown(&sim, 1).await;
    let said = sim
        .say(BOB, OWN, json!({"type": "text", "text": "helo"}))
        .await;
    let id = said["id"].as_str().unwrap();
    library.next().await;
    sim.say(
        BOB,
        OWN,
        json!({"type": "edit", "target": id, "text": "hello"}),
    )
    .await;
    let got = library.next().await;
    let edit = got.message.protocol_message.as_option().unwrap();
    assert_eq!(edit.key.as_option().unwrap().id.as_deref(), Some(id));
    let edited = edit.edited_message.as_option().unwrap();
    assert_eq!(edited.conversation.as_deref(), Some("hello"));
    sim.say(
        BOB,
        OWN,
        json!({"type": "reaction", "target": theirs, "text": "👍"}),
    )
    .await;
    let got = library.next().await;
    let reaction = got.message.reaction_message.as_option().unwrap();
    assert_eq!(reaction.text.as_deref(), Some("👍"));
    let target = reaction.key.as_option().unwrap();
    assert_eq!(
        (target.id.as_deref(), target.from_me),
        (Some(&*theirs), Some(false))
    );
    sim.say(BOB, OWN, json!({"type": "revoke", "target": id}))
        .await;
    let got = library.next().await;
    let revoke = got.message.protocol_message.as_option().unwrap();
    assert_eq!(revoke.key.as_option().unwrap().id.as_deref(), Some(id));
    // The own phone of the number shows the chat, too.
    let own = chat(&sim, OWN, BOB).await;
    assert_eq!(own[0]["from"], OWN);
    assert_eq!(own[0]["reactions"], json!({BOB: "👍"}));
    assert_eq!(own[1]["deleted"], true);
    for wrong in [
        json!({"type": "edit", "target": theirs, "text": "mine now"}),
        json!({"type": "revoke", "target": theirs}),
        json!({"type": "reaction", "target": "3ANOTHING", "text": "?"}),
    ] {
        let body = json!({"to": OWN, "message": wrong});
        let (status, _) = sim
            .call("POST", &format!("/phones/{BOB}/say"), Some(body))
            .await;
        assert_eq!(status, 400, "{wrong}");
    }
    library.stop().await;
}

#[tokio::test]
async fn polls_and_votes_go_both_ways() {
    let (sim, mut library) = pair().await;
    let options = ["yes".to_owned(), "no".to_owned()];
    let client = std::sync::Arc::clone(&library.client);
    let polls = client.polls();
    let (sent, secret) = polls.create(jid(BOB), "Well?", &options, 1).await.unwrap();
    let shown = newest(&sim, 1).await;
    let poll = json!({"name": "Well?", "options": options, "selectable": 1});
    assert_eq!(shown["message"]["poll"], poll);
    let vote = json!({"type": "poll_vote", "target": sent.message_id, "options": ["no"]});
    sim.say(BOB, OWN, vote).await;
    let got = library.next().await;
    let update = got.message.poll_update_message.as_option().unwrap();
    let vote = update.vote.as_option().unwrap();
    let (voter, own) = (
        got.info.source.sender.to_non_ad(),
        library.client.lid().unwrap(),
    );
    let cipher = wacore::poll::PollVoteCiphertext {
        enc_payload: vote.enc_payload.as_deref().unwrap(),
        enc_iv: vote.enc_iv.as_deref().unwrap(),
    };
    let chosen = wacore::poll::decrypt_poll_vote_with_secret(
        cipher,
        &secret,
        &sent.message_id,
        &own.to_non_ad().to_string(),
        &voter.to_string(),
    );
    let no = wacore::poll::compute_option_hash("no").to_vec();
    assert_eq!(chosen.unwrap(), [no]);

    let poll = json!({"type": "poll", "name": "Where?", "options": ["here", "there"]});
    let said = sim.say(BOB, OWN, poll).await;
    let got = library.next().await;
    let secret = got.message.message_context_info.as_option().unwrap();
    let secret = secret.message_secret.clone().unwrap();
    let id = said["id"].as_str().unwrap();
    let creator = got.info.source.sender.to_non_ad();
    let here = ["here".to_owned()];
    polls
        .vote(jid(BOB), id, &creator, &secret, &here)
        .await
        .unwrap();
    let shown = newest(&sim, 2).await;
    assert_eq!(shown["message"]["options"], json!(["here"]), "{shown}");
    let screen = chat(&sim, BOB, OWN).await;
    assert_eq!(screen[1]["votes"], json!({OWN: ["here"]}));
    library.stop().await;
}

#[tokio::test]
async fn an_unreadable_message_is_asked_for_again_and_may_heal() {
    let (sim, mut library) = pair().await;
    // A session first, so that the noise is not taken for a first message.
    sim.say(BOB, OWN, json!({"type": "text", "text": "before"}))
        .await;
    library.next().await;
    let said = sim.say(BOB, OWN, json!({"type": "undecryptable"})).await;
    assert_eq!(library.unopened().await, said["id"].as_str().unwrap());
    let healing = json!({"type": "undecryptable", "text": "after all"});
    let said = sim.say(BOB, OWN, healing).await;
    let got = library.next().await;
    assert_eq!(*got.info.id, *said["id"].as_str().unwrap());
    assert_eq!(got.message.conversation.as_deref(), Some("after all"));
    sim.say(BOB, OWN, json!({"type": "event", "name": "Party"}))
        .await;
    let got = library.next().await;
    assert!(got.message.event_message.is_set());
    library.stop().await;
}

#[tokio::test]
async fn a_voice_note_is_read_and_played() {
    let (sim, mut library) = pair().await;
    let up = uploaded(&library, MediaType::Audio, b"la la").await;
    let id = library.send(BOB, with_file("voice", up)).await;
    library
        .receipt(&id, |receipt| receipt.r#type == ReceiptType::Read)
        .await;
    let body = json!({"from": OWN, "ids": [id]});
    sim.post(&format!("/phones/{BOB}/played"), body).await;
    library
        .receipt(&id, |receipt| receipt.r#type == ReceiptType::Played)
        .await;
    library.stop().await;
}

#[tokio::test]
async fn an_echo_of_a_file_is_the_same_file() {
    let (sim, mut library) = pair().await;
    sim.post("/phones", json!({"phone": BOB, "echo": true}))
        .await;
    let up = uploaded(&library, MediaType::Image, b"picture").await;
    library.send(BOB, with_file("image", up)).await;
    let got = library.next().await;
    let opened = library.client.download(part(&got.message)).await.unwrap();
    assert_eq!(opened, b"picture");
    let image = got.message.image_message.as_option().unwrap();
    assert_eq!(image.caption.as_deref(), Some("see"));
    library.stop().await;
}

#[tokio::test]
async fn lost_media_is_put_up_again_when_asked_for() {
    use whatsapp_rust::features::{MediaRetryResult, MediaReuploadRequest};
    let (sim, mut library) = pair().await;
    let image = json!({"type": "image", "size": 5000, "seed": 1});
    let said = sim.say(BOB, OWN, image).await;
    let got = library.next().await;
    let path = &said["media"]["direct_path"];
    sim.post("/media", json!({"direct_path": path, "expire": 410}))
        .await;
    assert!(library.client.download(part(&got.message)).await.is_err());
    let mut image = got.message.image_message.as_option().unwrap().clone();
    let key = image.media_key.clone().unwrap();
    let ask = async |key: &[u8]| {
        let request = MediaReuploadRequest {
            msg_id: &got.info.id,
            chat_jid: &got.info.source.chat,
            media_key: key,
            is_from_me: false,
            participant: None,
        };
        library
            .client
            .media_reupload()
            .request(&request)
            .await
            .unwrap()
    };
    let MediaRetryResult::Success { direct_path } = ask(&key).await else {
        panic!("it is there");
    };
    assert_ne!(&json!(direct_path), path);
    image.direct_path = Some(direct_path);
    let opened = library.client.download(&image).await.unwrap();
    assert_eq!(said["media"]["sha256"], sha256(&opened));
    assert!(matches!(
        ask(&[0; 32]).await,
        MediaRetryResult::DecryptionError
    ));
    sim.post("/media", json!({"direct_path": path, "lost": true}))
        .await;
    assert!(matches!(ask(&key).await, MediaRetryResult::NotFound));
    library.stop().await;
}

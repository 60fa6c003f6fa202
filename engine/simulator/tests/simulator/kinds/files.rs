//! Files, byte for byte, and why a file cannot be opened.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wacore::download::MediaType;
use waproto::whatsapp::message::ImageMessage;

use super::{BOB, OWN, newest, pair, part, sha256, shown, uploaded, with_file};

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

const FILES: [(&str, MediaType); 6] = [
    ("image", MediaType::Image),
    ("video", MediaType::Video),
    ("audio", MediaType::Audio),
    ("voice", MediaType::Audio),
    ("document", MediaType::Document),
    ("sticker", MediaType::Sticker),
];

#[tokio::test]
async fn a_phone_opens_the_files_it_is_sent() {
    let (sim, library) = pair().await;
    // Above this size the library first asks what the server has.
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

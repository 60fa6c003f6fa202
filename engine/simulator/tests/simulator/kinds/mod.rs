//! Every kind of message in both directions, with the library as the other client.

mod changes;
mod contents;
mod files;
mod odd;
mod polls;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wacore::download::{Downloadable, MediaType};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage,
};
use whatsapp_rust::UploadOptions;
use whatsapp_rust::upload::UploadResponse;

use crate::library::Library;
use crate::sim::Sim;

const OWN: &str = "+491510000001";
const BOB: &str = "+491510000002";

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
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

/// Returns what Bob's phone has shown, when it is `count` messages.
async fn shown(sim: &Sim, count: usize) -> Vec<Value> {
    sim.shown_by(BOB, count).await
}

/// Returns the newest of them.
async fn newest(sim: &Sim, count: usize) -> Value {
    shown(sim, count).await[count - 1].clone()
}

async fn chat(sim: &Sim, phone: &str, with: &str) -> Vec<Value> {
    let reply = sim
        .get(&format!("/phones/{phone}/chat?with={}", &with[1..]))
        .await;
    reply["messages"].as_array().unwrap().clone()
}

fn text(text: &str) -> Message {
    Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    }
}

/// Returns the part of a message that has a file.
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

/// Returns a message of a kind with an uploaded file.
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

async fn uploaded(library: &Library, kind: MediaType, bytes: &[u8]) -> UploadResponse {
    let options = UploadOptions::new();
    let up = library.client.upload(bytes.to_vec(), kind, options).await;
    up.unwrap()
}

//! What a message says about its file, and the result of downloading it.

use waproto::whatsapp::Message;

use super::attachment::Attachment;
use crate::media::cipher::Sums;
use crate::state::view::{Media, View};

pub(super) fn file(message: &Message) -> Option<View> {
    image(message)
        .or_else(|| video(message))
        .or_else(|| sound(message))
        .or_else(|| document(message))
        .or_else(|| sticker(message))
}

fn image(message: &Message) -> Option<View> {
    let image = message.image_message.as_option()?;
    Some(View {
        caption: image.caption.clone(),
        mimetype: image.mimetype.clone(),
        width: image.width,
        height: image.height,
        file_length: image.file_length,
        thumbnail: size(image.jpeg_thumbnail.as_ref()),
        ..View::of("image")
    })
}

fn video(message: &Message) -> Option<View> {
    let video = message.video_message.as_option()?;
    Some(View {
        caption: video.caption.clone(),
        mimetype: video.mimetype.clone(),
        width: video.width,
        height: video.height,
        seconds: video.seconds,
        file_length: video.file_length,
        thumbnail: size(video.jpeg_thumbnail.as_ref()),
        gif: video.gif_playback.filter(|gif| *gif),
        ..View::of("video")
    })
}

fn sound(message: &Message) -> Option<View> {
    let audio = message.audio_message.as_option()?;
    let ptt = audio.ptt == Some(true);
    Some(View {
        mimetype: audio.mimetype.clone(),
        seconds: audio.seconds,
        file_length: audio.file_length,
        ptt: Some(ptt),
        waveform: size(audio.waveform.as_ref()),
        ..View::of(if ptt { "voice" } else { "audio" })
    })
}

fn document(message: &Message) -> Option<View> {
    let document = message.document_message.as_option()?;
    Some(View {
        caption: document.caption.clone(),
        mimetype: document.mimetype.clone(),
        file_name: document.file_name.clone(),
        title: document.title.clone(),
        pages: document.page_count,
        file_length: document.file_length,
        thumbnail: size(document.jpeg_thumbnail.as_ref()),
        ..View::of("document")
    })
}

fn sticker(message: &Message) -> Option<View> {
    let sticker = message.sticker_message.as_option()?;
    Some(View {
        mimetype: sticker.mimetype.clone(),
        width: sticker.width,
        height: sticker.height,
        file_length: sticker.file_length,
        animated: sticker.is_animated,
        thumbnail: size(sticker.png_thumbnail.as_ref()),
        ..View::of("sticker")
    })
}

/// Returns the number of bytes.
pub(super) fn size(bytes: Option<&Vec<u8>>) -> Option<usize> {
    bytes.map(Vec::len)
}

/// Returns the result of a download, as the ledger shows it.
pub(crate) fn media_view(attachment: &Attachment, outcome: &Result<Sums, String>) -> Media {
    let mut media = Media {
        direct_path: attachment.direct_path.clone(),
        ..Media::default()
    };
    match outcome {
        Ok(sums) => {
            media.sha256 = Some(hex::encode(sums.plain));
            media.enc_sha256 = Some(hex::encode(sums.sealed));
            media.length = Some(sums.length);
        }
        Err(reason) => media.undecryptable = Some(reason.clone()),
    }
    media
}

//! What a message says of its file, and what a phone made of it.

use waproto::whatsapp::Message;

use super::{Attachment, Media, Opened, View, of};
use crate::media::hex;

pub(super) fn file(message: &Message) -> Option<View> {
    image(message)
        .or_else(|| video(message))
        .or_else(|| sound(message))
        .or_else(|| document(message))
        .or_else(|| sticker(message))
}

fn image(message: &Message) -> Option<View> {
    let image = message.image_message.as_option()?;
    let mut view = of("image");
    view.caption = image.caption.clone();
    view.mimetype = image.mimetype.clone();
    (view.width, view.height) = (image.width, image.height);
    view.file_length = image.file_length;
    view.thumbnail = size(image.jpeg_thumbnail.as_ref());
    Some(view)
}

fn video(message: &Message) -> Option<View> {
    let video = message.video_message.as_option()?;
    let mut view = of("video");
    view.caption = video.caption.clone();
    view.mimetype = video.mimetype.clone();
    (view.width, view.height) = (video.width, video.height);
    view.seconds = video.seconds;
    view.file_length = video.file_length;
    view.thumbnail = size(video.jpeg_thumbnail.as_ref());
    view.gif = video.gif_playback.filter(|gif| *gif);
    Some(view)
}

fn sound(message: &Message) -> Option<View> {
    let audio = message.audio_message.as_option()?;
    let ptt = audio.ptt == Some(true);
    let mut view = of(if ptt { "voice" } else { "audio" });
    view.mimetype = audio.mimetype.clone();
    view.seconds = audio.seconds;
    view.file_length = audio.file_length;
    view.ptt = Some(ptt);
    view.waveform = size(audio.waveform.as_ref());
    Some(view)
}

fn document(message: &Message) -> Option<View> {
    let document = message.document_message.as_option()?;
    let mut view = of("document");
    view.caption = document.caption.clone();
    view.mimetype = document.mimetype.clone();
    view.file_name = document.file_name.clone();
    view.title = document.title.clone();
    view.pages = document.page_count;
    view.file_length = document.file_length;
    view.thumbnail = size(document.jpeg_thumbnail.as_ref());
    Some(view)
}

fn sticker(message: &Message) -> Option<View> {
    let sticker = message.sticker_message.as_option()?;
    let mut view = of("sticker");
    view.mimetype = sticker.mimetype.clone();
    (view.width, view.height) = (sticker.width, sticker.height);
    view.file_length = sticker.file_length;
    view.animated = sticker.is_animated;
    view.thumbnail = size(sticker.png_thumbnail.as_ref());
    Some(view)
}

/// Bytes of a part.
pub(super) fn size(bytes: Option<&Vec<u8>>) -> Option<usize> {
    bytes.map(Vec::len)
}

/// What a phone made of a file, for the ledger.
pub(crate) fn media_view(attachment: &Attachment, outcome: &Result<Opened, String>) -> Media {
    let mut media = Media {
        direct_path: attachment.direct_path.clone(),
        ..Media::default()
    };
    match outcome {
        Ok(opened) => {
            media.sha256 = Some(hex(&opened.sums.plain));
            media.enc_sha256 = Some(hex(&opened.sums.sealed));
            media.length = Some(opened.sums.length);
        }
        Err(reason) => media.undecryptable = Some(reason.clone()),
    }
    media
}

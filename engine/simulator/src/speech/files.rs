//! Messages with a file: images, videos, audio, documents and stickers.

use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, FutureProofMessage, ImageMessage, StickerMessage, VideoMessage,
};

use super::attach::UploadedFile;
use super::kinds::{MessageContext, bytes, field};
use crate::media::MediaKind;
use crate::state::content::{Document, FileContent, Picture, Sound, Sticker};

/// Returns the kind of media that a file's keys are for.
pub(super) fn kind(shape: &FileContent) -> MediaKind {
    match shape {
        FileContent::Image(_) | FileContent::Sticker(_) => MediaKind::Image,
        FileContent::Video(_) => MediaKind::Video,
        FileContent::Audio(_) | FileContent::Voice(_) => MediaKind::Audio,
        FileContent::Document(_) => MediaKind::Document,
    }
}

/// Returns a message with a file.
pub(super) fn file(
    shape: FileContent,
    file: &UploadedFile,
    context: MessageContext,
) -> Result<Message, String> {
    match shape {
        FileContent::Image(picture) => image(picture, file, context),
        FileContent::Video(picture) => video(picture, file, context),
        FileContent::Audio(sound) => audio(sound, file, context, false),
        FileContent::Voice(sound) => audio(sound, file, context, true),
        FileContent::Document(body) => document(body, file, context),
        FileContent::Sticker(body) => Ok(sticker(body, file, context)),
    }
}

/// Fills in the fields that every kind of file has.
macro_rules! filed {
    ($kind:ident, $file:ident, $context:ident, { $($field:ident: $value:expr,)* }) => {
        $kind {
            url: Some($file.url.clone()),
            direct_path: Some($file.direct_path.clone()),
            media_key: Some($file.media_key.to_vec()),
            media_key_timestamp: i64::try_from($file.now).ok(),
            file_sha256: Some($file.sums.plain.to_vec()),
            file_enc_sha256: Some($file.sums.sealed.to_vec()),
            file_length: Some($file.sums.length),
            context_info: field($context),
            $($field: $value,)*
            ..Default::default()
        }
    };
}

fn image(body: Picture, file: &UploadedFile, context: MessageContext) -> Result<Message, String> {
    let image = filed!(ImageMessage, file, context, {
        mimetype: body.mimetype.or_else(|| Some("image/jpeg".to_owned())),
        caption: body.caption,
        width: body.width,
        height: body.height,
        jpeg_thumbnail: bytes(body.thumbnail_base64.as_ref())?,
        view_once: body.view_once.then_some(true),
    });
    let message = Message {
        image_message: MessageField::some(image),
        ..Default::default()
    };
    Ok(once(message, body.view_once))
}

fn video(body: Picture, file: &UploadedFile, context: MessageContext) -> Result<Message, String> {
    let video = filed!(VideoMessage, file, context, {
        mimetype: body.mimetype.or_else(|| Some("video/mp4".to_owned())),
        caption: body.caption,
        width: body.width,
        height: body.height,
        seconds: body.seconds,
        gif_playback: body.gif.then_some(true),
        jpeg_thumbnail: bytes(body.thumbnail_base64.as_ref())?,
        view_once: body.view_once.then_some(true),
    });
    let message = Message {
        video_message: MessageField::some(video),
        ..Default::default()
    };
    Ok(once(message, body.view_once))
}

/// Wraps a message in the view-once envelope.
fn once(message: Message, wrap: bool) -> Message {
    if !wrap {
        return message;
    }
    Message {
        view_once_message_v2: MessageField::some(FutureProofMessage {
            message: MessageField::some(message),
        }),
        ..Default::default()
    }
}

fn audio(
    body: Sound,
    file: &UploadedFile,
    context: MessageContext,
    ptt: bool,
) -> Result<Message, String> {
    let usual = if ptt {
        "audio/ogg; codecs=opus"
    } else {
        "audio/mp4"
    };
    let audio = filed!(AudioMessage, file, context, {
        mimetype: body.mimetype.or_else(|| Some(usual.to_owned())),
        seconds: body.seconds,
        ptt: Some(ptt),
        waveform: bytes(body.waveform_base64.as_ref())?,
    });
    Ok(Message {
        audio_message: MessageField::some(audio),
        ..Default::default()
    })
}

/// Returns a document message. Phones wrap a document with a caption in an envelope.
fn document(
    body: Document,
    file: &UploadedFile,
    context: MessageContext,
) -> Result<Message, String> {
    let captioned = body.caption.is_some();
    let document = filed!(DocumentMessage, file, context, {
        mimetype: body.mimetype.or_else(|| Some("application/pdf".to_owned())),
        title: body.title.or_else(|| body.file_name.clone()),
        file_name: body.file_name,
        caption: body.caption,
        page_count: body.pages,
        jpeg_thumbnail: bytes(body.thumbnail_base64.as_ref())?,
    });
    let message = Message {
        document_message: MessageField::some(document),
        ..Default::default()
    };
    if !captioned {
        return Ok(message);
    }
    Ok(Message {
        document_with_caption_message: MessageField::some(FutureProofMessage {
            message: MessageField::some(message),
        }),
        ..Default::default()
    })
}

fn sticker(body: Sticker, file: &UploadedFile, context: MessageContext) -> Message {
    let sticker = filed!(StickerMessage, file, context, {
        mimetype: body.mimetype.or_else(|| Some("image/webp".to_owned())),
        width: Some(body.width.unwrap_or(512)),
        height: Some(body.height.unwrap_or(512)),
        is_animated: Some(body.animated),
    });
    Message {
        sticker_message: MessageField::some(sticker),
        ..Default::default()
    }
}

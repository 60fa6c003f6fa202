//! The kinds of message that carry a file: the source of the file, its caption and its name.

use passerelle_jobs::{
    clean_file_name,
    clock::Clock,
    content::{Media, MediaKind},
    ids::MediaId,
    media::{INLINE_MAX, MediaSource, clean_media_type},
};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use super::kinds::{Parsed, Shape};
use crate::{flaws::Flaws, problem::Code, spelling::base64, types::Id};

/// The longest caption, in bytes of UTF-8.
pub(crate) const CAPTION_MAX: usize = 4096;
/// The longest file name, in bytes.
const FILE_NAME_MAX: usize = 1024;

/// A file in a request.
struct Given {
    media_id: Option<Id<MediaId>>,
    url: Option<String>,
    base64: Option<String>,
    caption: Option<String>,
    file_name: Option<String>,
    mime_type: Option<String>,
}

macro_rules! carrying {
    ($($(#[$doc:meta])* $name:ident $word:literal $kind:ident
       { $($(#[$field_doc:meta])* $field:ident),* } { $($absent:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize, Object)]
        #[serde(deny_unknown_fields)]
        #[oai(skip_serializing_if_is_none)]
        pub struct $name {
            /// The id of a file that you uploaded as this kind. Give exactly one of `media_id`, `url` and `base64`.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub media_id: Option<Id<MediaId>>,
            /// A public `http` or `https` URL. The gateway fetches the file while the message is queued, with
            /// at most 3 redirects and within 30 seconds. If this fails, the message fails.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub url: Option<String>,
            /// The content of the file, at most 5 MiB, in base64 (RFC 4648): with or without padding and line breaks, in the
            /// usual alphabet or the one for URLs, or as a data URI. The type in a data URI counts as `document.mime_type` does.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub base64: Option<String>,
            $($(#[$field_doc])*
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub $field: Option<String>,)*
        }

        impl Shape for $name {
            fn content(self, flaws: &mut Flaws) -> Parsed {
                let given = Given {
                    media_id: self.media_id,
                    url: self.url,
                    base64: self.base64,
                    $($field: self.$field,)*
                    $($absent: None,)*
                };
                given.parse(MediaKind::$kind, flaws)
            }
        }
    )*};
}

carrying! {
    /// An image to send: JPEG, PNG or WebP, at most 16 MiB, and 64 MiB when it is decoded. A larger JPEG becomes smaller.
    NewImage "image" Image {
        /// The caption, at most 4096 bytes of UTF-8.
        caption
    } { file_name, mime_type }
    /// A video to send, at most 64 MiB: MP4 with H.264 and AAC. If ffmpeg is installed, the gateway converts MOV, WebM,
    /// Matroska, AVI, MPEG, FLV, WMV and MP4 with other codecs, to at most 1280 pixels on the longer side.
    NewVideo "video" Video {
        /// The caption, at most 4096 bytes of UTF-8.
        caption
    } { file_name, mime_type }
    /// An audio file to send: AAC, M4A, 3GP, MP3, AMR or Ogg with Opus, at most 16 MiB. Opus is taken out of WebM.
    NewAudio "audio" Audio {} { caption, file_name, mime_type }
    /// A voice note to send, at most 16 MiB and 15 minutes: Ogg with Opus. The gateway converts MP3, M4A, 3GP, AAC, FLAC,
    /// WAV, AIFF, CAF, WebM and Ogg with Vorbis.
    NewVoice "voice" Voice {} { caption, file_name, mime_type }
    /// Any file to send, at most 2 GiB.
    NewDocument "document" Document {
        /// The caption, at most 4096 bytes of UTF-8.
        caption,
        /// The name of the file on the phone. Folders and control characters are removed. Without it the name is taken from
        /// the `url` or made of the date.
        file_name,
        /// The media type, such as `text/csv`, at most 127 characters. It counts where the content does not say it: for
        /// text, archives and bytes of an unknown structure. Without it the extension of the name counts.
        mime_type
    } {}
    /// A sticker to send: WebP of 512 by 512 pixels, at most 100 KiB, or 500 KiB if it is animated.
    NewSticker "sticker" Sticker {} { caption, file_name, mime_type }
}

impl Given {
    fn parse(self, kind: MediaKind, flaws: &mut Flaws) -> Parsed {
        let at = |field: &str| format!("/{}/{field}", kind.as_str());
        let caption = self.caption.as_deref().map_or(0, str::len);
        let wanted = "at most 4096 bytes of UTF-8";
        flaws.unless(
            caption <= CAPTION_MAX,
            Code::TextTooLong,
            at("caption"),
            wanted,
        );
        let given = self.file_name.as_deref();
        let file_name = given.filter(|name| name.len() <= FILE_NAME_MAX);
        let file_name = file_name.and_then(clean_file_name);
        let holds = given.is_none() || file_name.is_some();
        let wanted = "a file name of at most 1024 bytes";
        flaws.unless(holds, Code::InvalidName, at("file_name"), wanted);
        let given = self.mime_type.as_deref();
        let mime_type = given.and_then(clean_media_type);
        let holds = given.is_none() || mime_type.is_some();
        let wanted = "a media type such as text/csv";
        flaws.unless(holds, Code::InvalidMimeType, at("mime_type"), wanted);
        // The id of the stored file replaces this one.
        let mut media = Media::new(MediaId::new(&Clock::system()));
        media.caption = self.caption.filter(|caption| !caption.is_empty());
        media.file_name = file_name;
        media.mime_type = mime_type;
        let source = match (self.media_id, self.url, self.base64) {
            (Some(id), None, None) => Some(MediaSource::Kept(id.0)),
            (None, Some(url), None) => Some(MediaSource::Url(url)),
            (None, None, Some(text)) => {
                let bytes = decode(&text, at("base64"), &mut media, flaws);
                bytes.map(MediaSource::Bytes)
            }
            _ => {
                let wanted = "exactly one of media_id, url and base64";
                flaws.unless(
                    false,
                    Code::MediaSource,
                    format!("/{}", kind.as_str()),
                    wanted,
                );
                None
            }
        };
        Parsed {
            content: kind.content(media),
            source,
        }
    }
}

/// Decodes the file. The type in a data URI counts as `mime_type` does, if that is absent.
fn decode(text: &str, pointer: String, media: &mut Media, flaws: &mut Flaws) -> Option<Vec<u8>> {
    let decoded = base64::decode(text);
    let (code, is_base64) = (Code::InvalidBase64, decoded.is_some());
    flaws.unless(is_base64, code, &*pointer, base64::WANTED);
    let base64::Decoded { bytes, media_type } = decoded?;
    let wanted = "at most 5 MiB; upload a larger file with POST /v1/media";
    let holds = bytes.len() <= INLINE_MAX;
    flaws.unless(holds, Code::MediaTooLarge, pointer, wanted);
    if media.mime_type.is_none() {
        media.mime_type = media_type.as_deref().and_then(clean_media_type);
    }
    Some(bytes)
}

/// The file of a message. Fields that are not known yet, or do not apply, are absent.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct MessageMedia {
    /// The id of the file. Read the file by this id until it expires.
    pub media_id: Id<MediaId>,
    /// The caption.
    pub caption: Option<String>,
    /// The name of the file.
    pub file_name: Option<String>,
    /// The media type, such as `image/jpeg`. For an inbound message it is what the sender declared.
    pub mime_type: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
    /// SHA-256 of the content, 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// The width in pixels.
    pub width: Option<u32>,
    /// The height in pixels.
    pub height: Option<u32>,
    /// The duration in seconds.
    pub seconds: Option<u32>,
    /// The number of pages: counted for a PDF that you send, declared by the sender for an inbound document.
    pub pages: Option<u32>,
}

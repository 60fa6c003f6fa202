//! The kinds of a message that carry a file: where the file is, and what stands beside it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use passerelle_jobs::{
    clean_file_name,
    clock::Clock,
    content::{Media, MediaKind},
    ids::MediaId,
    media::{INLINE_MAX, MediaSource},
};
use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use super::kinds::{Parsed, Shape};
use crate::{flaws::Flaws, problem::Code, types::Id};

/// The longest caption, in bytes of UTF-8.
const CAPTION_MAX: usize = 4096;
/// The longest name that is given, in bytes; a longer one is no name.
const FILE_NAME_MAX: usize = 1024;

/// Where a file is, as a request says it.
struct Given {
    media_id: Option<Id<MediaId>>,
    url: Option<String>,
    base64: Option<String>,
    caption: Option<String>,
    file_name: Option<String>,
}

macro_rules! carrying {
    ($($(#[$doc:meta])* $name:ident $word:literal $kind:ident
       { $($(#[$field_doc:meta])* $field:ident),* } { $($absent:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize, Object)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// A file that you uploaded as this kind. Exactly one of `media_id`, `url` and `base64`.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub media_id: Option<Id<MediaId>>,
            /// A public address, http or https, from which the file is fetched while the message waits its
            /// turn: at most 3 redirects and 30 seconds. If it cannot be had, the message fails.
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub url: Option<String>,
            /// The file itself, at most 5 MiB, in base64 with padding (RFC 4648, section 4).
            #[oai(skip_serializing_if_is_none)]
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub base64: Option<String>,
            $($(#[$field_doc])*
            #[oai(skip_serializing_if_is_none)]
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
    /// A picture to send: JPEG, PNG or WebP, at most 16 MiB and 50 million pixels.
    NewImage "image" Image {
        /// The text below it, at most 4096 bytes of UTF-8.
        caption
    } { file_name }
    /// A film to send, at most 64 MiB: MP4 with H.264 and AAC. Where ffmpeg is installed, MOV, WebM, Matroska, AVI, MPEG,
    /// FLV, WMV and MP4 with other codecs become one, at most 1280 pixels on the longer side.
    NewVideo "video" Video {
        /// The text below it, at most 4096 bytes of UTF-8.
        caption
    } { file_name }
    /// A recording to send as a file that plays: AAC, M4A, MP3, AMR or Ogg with Opus, at most 16 MiB.
    NewAudio "audio" Audio {} { caption, file_name }
    /// A voice note to send, at most 16 MiB and 15 minutes: Ogg with Opus; MP3, M4A, AAC, FLAC, WAV and Ogg with Vorbis
    /// become one.
    NewVoice "voice" Voice {} { caption, file_name }
    /// Any file to send, at most 2 GiB.
    NewDocument "document" Document {
        /// The text below it, at most 4096 bytes of UTF-8.
        caption,
        /// Its name on the phone. What is no part of a name is taken out: folders, control characters.
        file_name
    } {}
    /// A sticker to send: WebP of 512 by 512 pixels, at most 100 KiB, or 500 KiB when it moves.
    NewSticker "sticker" Sticker {} { caption, file_name }
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
        flaws.unless(holds, Code::InvalidName, at("file_name"), "a file's name");
        // What is known of the file takes the place of this id.
        let mut media = Media::new(MediaId::new(&Clock::system()));
        media.caption = self.caption.filter(|caption| !caption.is_empty());
        media.file_name = file_name;
        let source = match (self.media_id, self.url, self.base64) {
            (Some(id), None, None) => Some(MediaSource::Kept(id.0)),
            (None, Some(url), None) => Some(MediaSource::Url(url)),
            (None, None, Some(text)) => decode(&text, at("base64"), flaws).map(MediaSource::Bytes),
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

fn decode(text: &str, pointer: String, flaws: &mut Flaws) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(text).ok();
    let wanted = "base64 with padding";
    flaws.unless(bytes.is_some(), Code::InvalidBase64, &*pointer, wanted);
    let size = bytes.as_ref().map_or(0, Vec::len);
    let wanted = "at most 5 MiB; upload what is larger";
    flaws.unless(size <= INLINE_MAX, Code::MediaTooLarge, pointer, wanted);
    bytes
}

/// The file of a message as it is answered. What is not known yet, or does not apply, is absent.
#[derive(Debug, Serialize, Object)]
pub struct MessageMedia {
    /// The file: read it by this id as long as it is kept.
    pub media_id: Id<MediaId>,
    /// The text below it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Its name.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its type, such as `image/jpeg`; of a message that came in, as its sender says.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its size in bytes.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Pixels from left to right.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels from top to bottom.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How long it plays.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// How many pages it has: of a PDF that you send, counted; of a document that came in, as its sender says.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
}

//! Messages with a file.

use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, Message,
        message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage},
    },
};

use super::text::{cut, limited};
use crate::{
    content::{Media, MediaKind},
    media::{FileKey, MediaClass, Remote, SealedFile, is_direct_path},
    whatsapp::outgoing::Attached,
};

/// Sets the fields that all messages with a file have.
macro_rules! with_file {
    ($type:ident { $($own:tt)* }, $attached:expr, $beside:expr) => {{
        let Attached { file, looks, uploaded, .. } = $attached;
        $type {
            url: Some(uploaded.url.clone()),
            direct_path: Some(uploaded.direct_path.clone()),
            mimetype: Some(looks.mime_type.clone()),
            media_key: Some(file.key.bytes().to_vec()),
            file_sha256: Some(file.sha256.clone()),
            file_enc_sha256: Some(file.enc_sha256.clone()),
            file_length: Some(file.size),
            media_key_timestamp: Some(uploaded.key_at),
            context_info: $beside.into(),
            $($own)*
            ..Default::default()
        }
    }};
}

type Beside = Option<ContextInfo>;

/// Builds the message that shows `attached` as `kind`.
pub(super) fn build(
    kind: MediaKind,
    media: &Media,
    attached: &Attached,
    beside: Beside,
) -> Message {
    let mut message = Message::default();
    match kind {
        MediaKind::Image => message.image_message = image(media, attached, beside).into(),
        MediaKind::Video => message.video_message = video(media, attached, beside).into(),
        MediaKind::Audio => message.audio_message = audio(attached, false, beside).into(),
        MediaKind::Voice => message.audio_message = audio(attached, true, beside).into(),
        MediaKind::Document => message.document_message = document(media, attached, beside).into(),
        MediaKind::Sticker => message.sticker_message = sticker(attached, beside).into(),
    }
    message
}

fn filled(bytes: &[u8]) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then(|| bytes.to_vec())
}

fn image(media: &Media, attached: &Attached, beside: Beside) -> ImageMessage {
    let looks = &attached.looks;
    with_file!(
        ImageMessage {
            caption: media.caption.clone(),
            width: looks.width,
            height: looks.height,
            jpeg_thumbnail: filled(&looks.thumbnail),
        },
        attached,
        beside
    )
}

fn video(media: &Media, attached: &Attached, beside: Beside) -> VideoMessage {
    let looks = &attached.looks;
    with_file!(
        VideoMessage {
            caption: media.caption.clone(),
            width: looks.width,
            height: looks.height,
            seconds: looks.seconds,
            gif_playback: looks.gif.then_some(true),
            jpeg_thumbnail: filled(&looks.thumbnail),
            streaming_sidecar: filled(&attached.file.sidecar),
        },
        attached,
        beside
    )
}

fn audio(attached: &Attached, ptt: bool, beside: Beside) -> AudioMessage {
    let looks = &attached.looks;
    with_file!(
        AudioMessage {
            seconds: looks.seconds,
            ptt: Some(ptt),
            waveform: filled(&looks.waveform),
            streaming_sidecar: filled(&attached.file.sidecar),
        },
        attached,
        beside
    )
}

fn document(media: &Media, attached: &Attached, beside: Beside) -> DocumentMessage {
    let looks = &attached.looks;
    let name = media.file_name.as_ref().or(attached.file_name.as_ref());
    with_file!(
        DocumentMessage {
            caption: media.caption.clone(),
            title: name.cloned(),
            file_name: name.cloned(),
            page_count: looks.pages,
        },
        attached,
        beside
    )
}

fn sticker(attached: &Attached, beside: Beside) -> StickerMessage {
    let looks = &attached.looks;
    with_file!(
        StickerMessage {
            width: looks.width,
            height: looks.height,
        },
        attached,
        beside
    )
}

/// What a message with a file shows, and where the file is.
pub(super) struct Shown {
    pub(super) kind: MediaKind,
    pub(super) media: Media,
    pub(super) remote: Option<Remote>,
}

/// Reads the fields that all messages with a file have.
macro_rules! shown {
    ($message:expr, $kind:expr, $id:expr) => {{
        let message = $message;
        let mut media = Media::new($id);
        media.mime_type = message.mimetype.clone().map(|mime| cut(mime, 255));
        media.size = message.file_length;
        media.sha256 = message.file_sha256.as_deref().and_then(digest);
        let remote = remote(
            $kind,
            [
                &message.media_key,
                &message.file_sha256,
                &message.file_enc_sha256,
            ],
            message.direct_path.as_deref(),
            message.file_length,
            message.media_key_timestamp,
        );
        Shown {
            kind: $kind,
            media,
            remote,
        }
    }};
}

/// Reads the message if it has a file. `id` is the id that the file gets.
pub(super) fn read(message: &Message, id: crate::ids::MediaId) -> Option<Shown> {
    if let Some(image) = message.image_message.as_option() {
        return Some(image_shown(image, id));
    }
    let video = [&message.video_message, &message.ptv_message];
    if let Some(video) = video.into_iter().find_map(MessageField::as_option) {
        return Some(video_shown(video, id));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let voice = audio.ptt == Some(true);
        let kind = if voice {
            MediaKind::Voice
        } else {
            MediaKind::Audio
        };
        let mut shown = shown!(audio, kind, id);
        shown.media.seconds = audio.seconds;
        return Some(shown);
    }
    if let Some(document) = message.document_message.as_option() {
        return Some(document_shown(document, id));
    }
    let sticker = message.sticker_message.as_option()?;
    let mut shown = shown!(sticker, MediaKind::Sticker, id);
    (shown.media.width, shown.media.height) = (sticker.width, sticker.height);
    Some(shown)
}

/// Reads an image.
pub(super) fn image_shown(image: &ImageMessage, id: crate::ids::MediaId) -> Shown {
    let mut shown = shown!(image, MediaKind::Image, id);
    shown.media.caption = limited(image.caption.as_ref(), CAPTION_MAX);
    (shown.media.width, shown.media.height) = (image.width, image.height);
    shown
}

/// Reads a video.
pub(super) fn video_shown(video: &VideoMessage, id: crate::ids::MediaId) -> Shown {
    let mut shown = shown!(video, MediaKind::Video, id);
    shown.media.caption = limited(video.caption.as_ref(), CAPTION_MAX);
    (shown.media.width, shown.media.height) = (video.width, video.height);
    shown.media.seconds = video.seconds;
    shown.media.gif = video.gif_playback.unwrap_or(false);
    shown
}

/// Reads a document.
pub(super) fn document_shown(document: &DocumentMessage, id: crate::ids::MediaId) -> Shown {
    let mut shown = shown!(document, MediaKind::Document, id);
    shown.media.caption = limited(document.caption.as_ref(), CAPTION_MAX);
    let name = document.file_name.as_ref().or(document.title.as_ref());
    shown.media.file_name = name.and_then(|name| clean_file_name(name));
    shown.media.pages = document.page_count;
    shown
}

/// Maximum length of a caption that is kept, in bytes. A phone allows far less.
const CAPTION_MAX: usize = crate::content::TEXT_MAX;

fn digest(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

/// Returns `None` if something is missing that a download needs.
fn remote(
    kind: MediaKind,
    [key, sha256, enc_sha256]: [&Option<Vec<u8>>; 3],
    direct_path: Option<&str>,
    size: Option<u64>,
    key_at: Option<i64>,
) -> Option<Remote> {
    let digest = |bytes: &Option<Vec<u8>>| bytes.clone().filter(|bytes| bytes.len() == 32);
    Some(Remote {
        direct_path: direct_path.filter(|path| is_direct_path(path))?.to_owned(),
        file: SealedFile {
            class: MediaClass::from(kind),
            key: FileKey::new(key.as_deref()?)?,
            sha256: digest(sha256)?,
            enc_sha256: digest(enc_sha256)?,
            size: size.unwrap_or(0),
            sidecar: Vec::new(),
        },
        key_at: key_at.unwrap_or(0),
    })
}

/// Maximum length of a file name, in bytes.
const FILE_NAME_MAX: usize = 255;
/// The longest extension that a name keeps when it is cut, in bytes.
const EXTENSION_MAX: usize = 16;

/// Cleans a file name: removes folders, control characters, and characters that change the reading
/// direction. A name that is too long keeps its extension. Returns `None` if nothing is left.
pub fn clean_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .collect();
    let plain = plain.trim().trim_start_matches('.');
    (!plain.is_empty()).then(|| shortened(plain))
}

fn shortened(name: &str) -> String {
    if name.len() <= FILE_NAME_MAX {
        return name.to_owned();
    }
    let parts = name.rsplit_once('.');
    let parts = parts.filter(|(_, extension)| (1..=EXTENSION_MAX).contains(&extension.len()));
    let (stem, extension) = parts.unwrap_or((name, ""));
    let dot = if extension.is_empty() { "" } else { "." };
    let room = FILE_NAME_MAX - dot.len() - extension.len();
    let stem = cut(stem.to_owned(), room);
    format!("{}{dot}{extension}", stem.trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::Clock,
        ids::MediaId,
        media::{Looks, Sealer},
        whatsapp::outgoing::Uploaded,
    };

    fn attached(kind: MediaKind) -> Attached {
        let mut sealer = Sealer::new(kind.into());
        sealer.update(b"the bytes of a file");
        Attached {
            file_name: None,
            file: sealer.finish().1,
            looks: Looks {
                mime_type: "application/octet-stream".into(),
                width: Some(640),
                height: Some(480),
                seconds: Some(12),
                pages: Some(3),
                thumbnail: vec![1],
                waveform: vec![2; 64],
                gif: true,
            },
            uploaded: Uploaded {
                url: "https://mmg.whatsapp.net/v/1".into(),
                direct_path: "/v/1".into(),
                key_at: 1_700_000_000,
            },
        }
    }

    #[test]
    fn what_is_built_reads_back() {
        for &kind in MediaKind::ALL {
            let mut media = Media::new(MediaId::new(&Clock::system()));
            media.caption = Some("look".into());
            media.file_name = Some("invoice.pdf".into());
            let attached = attached(kind);
            let read = read(&build(kind, &media, &attached, None), media.media_id).unwrap();
            assert_eq!(read.kind, kind);
            assert_eq!(read.media.size, Some(19));
            let captioned = matches!(
                kind,
                MediaKind::Image | MediaKind::Video | MediaKind::Document
            );
            assert_eq!(read.media.caption.is_some(), captioned, "{kind:?}");
            assert_eq!(read.media.file_name.is_some(), kind == MediaKind::Document);
            assert_eq!(read.media.gif, kind == MediaKind::Video);
            assert_eq!(read.media.pages, (kind == MediaKind::Document).then_some(3));
            let remote = read.remote.unwrap();
            assert_eq!(remote.direct_path, "/v/1");
            assert_eq!(remote.file.key, attached.file.key);
            assert_eq!(remote.file.sha256, attached.file.sha256);
        }
    }

    #[test]
    fn a_file_that_cannot_be_had_is_shown_all_the_same() {
        let mut message = build(
            MediaKind::Image,
            &Media::new(MediaId::new(&Clock::system())),
            &attached(MediaKind::Image),
            None,
        );
        let image = message.image_message.as_option_mut().unwrap();
        image.media_key = Some(vec![1; 31]);
        let id = MediaId::new(&Clock::system());
        let shown = read(&message, id).unwrap();
        assert_eq!(shown.media.media_id, id);
        assert_eq!(shown.remote, None);
    }

    #[test]
    fn a_file_name_is_no_path_and_hides_nothing() {
        let clean = |name| clean_file_name(name);
        assert_eq!(clean("a b.pdf").as_deref(), Some("a b.pdf"));
        assert_eq!(clean("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(clean("C:\\x\\y.doc").as_deref(), Some("y.doc"));
        assert_eq!(clean("inv\u{202e}fdp.exe").as_deref(), Some("invfdp.exe"));
        assert_eq!(clean(".htaccess").as_deref(), Some("htaccess"));
        for nothing in ["", "..", "/", " ", "\u{0}\n"] {
            assert_eq!(clean(nothing), None);
        }
    }

    #[test]
    fn fidelity_a_name_that_is_too_long_keeps_its_extension() {
        let long = "ä".repeat(300);
        for (extension, kept) in [(".pdf", true), (".docx", true), ("", false)] {
            let name = clean_file_name(&format!("{long}{extension}")).unwrap();
            assert!((FILE_NAME_MAX - 1..=FILE_NAME_MAX).contains(&name.len()));
            assert!(name.ends_with(if kept { extension } else { "ä" }), "{name}");
        }
        // What follows this dot is no extension.
        let sentence = format!("A. {long}");
        assert!(clean_file_name(&sentence).unwrap().ends_with('ä'));
    }

    proptest! {
        #[test]
        fn a_clean_name_stays_as_it_is(name in any::<String>()) {
            if let Some(clean) = clean_file_name(&name) {
                prop_assert!(clean.len() <= FILE_NAME_MAX);
                prop_assert!(!clean.contains(['/', '\\', '\0']));
            }
        }
    }
}

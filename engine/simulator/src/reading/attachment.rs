//! The file of a message: where it is, and whether it can be downloaded and decrypted.

use std::fs::File;
use std::io;

use waproto::whatsapp::Message;

use super::envelope::unwrapped;
use crate::media::cipher::Sums;
use crate::media::{MediaKind, cipher};
use crate::state::media_store::MediaStore;

/// What a message says about its file.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) kind: MediaKind,
    pub(crate) direct_path: Option<String>,
    pub(crate) media_key: Option<Vec<u8>>,
    sha256: Option<Vec<u8>>,
    enc_sha256: Option<Vec<u8>>,
    length: Option<u64>,
}

/// Returns the file of a message, if its kind has one.
pub(crate) fn attachment(message: &Message) -> Option<Attachment> {
    let (message, _) = unwrapped(message);
    macro_rules! first {
        ($($field:ident: $kind:ident),+ $(,)?) => {
            $(
                if let Some(part) = message.$field.as_option() {
                    return Some(Attachment {
                        kind: MediaKind::$kind,
                        direct_path: part.direct_path.clone(),
                        media_key: part.media_key.clone(),
                        sha256: part.file_sha256.clone(),
                        enc_sha256: part.file_enc_sha256.clone(),
                        length: part.file_length,
                    });
                }
            )+
        };
    }
    first!(
        image_message: Image,
        video_message: Video,
        audio_message: Audio,
        document_message: Document,
        sticker_message: Image,
    );
    None
}

/// Downloads and decrypts the file, as an official app does. Every hash and length in the message
/// must match. It reads files and blocks, so run it on a blocking thread.
pub(crate) fn open_file(store: &MediaStore, attachment: &Attachment) -> Result<Sums, String> {
    let path = attachment.direct_path.as_deref().ok_or("no direct_path")?;
    let key = attachment.media_key.as_deref().ok_or("no media_key")?;
    if key.len() != 32 {
        return Err(format!("media_key has {} bytes, not 32", key.len()));
    }
    let object = store.find(path).ok_or("not on the media server")?;
    if let Some(status) = object.expired_status {
        return Err(format!("the media server answers {status}"));
    }
    if object.corrupt {
        return Err("the mac does not match".to_owned());
    }
    let file = File::open(&object.file).map_err(|error| error.to_string())?;
    let sums = cipher::open(key, attachment.kind, file, object.length, io::sink())
        .map_err(|error| error.to_string())?;
    check(
        "file_enc_sha256",
        attachment.enc_sha256.as_deref(),
        &sums.sealed,
    )?;
    check("file_sha256", attachment.sha256.as_deref(), &sums.plain)?;
    match attachment.length {
        Some(length) if length == sums.length => Ok(sums),
        Some(length) => Err(format!("file_length is {length}, not {}", sums.length)),
        None => Err("no file_length".to_owned()),
    }
}

fn check(name: &str, said: Option<&[u8]>, is: &[u8]) -> Result<(), String> {
    match said {
        Some(said) if said == is => Ok(()),
        Some(_) => Err(format!("{name} does not match")),
        None => Err(format!("no {name}")),
    }
}

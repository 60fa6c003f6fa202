//! Files: bring one in, read it, give it to somebody by a link.
//!
//! | page | what it holds |
//! |---|---|
//! | here | the operations |
//! | `incoming` | the two forms in which bytes come in |
//! | `content` | bytes as they go out, whole or in part |

mod content;
mod incoming;

use passerelle_jobs::{
    Services, clean_file_name,
    content::MediaKind,
    ids::{MediaId, MessageId, SessionId},
    media::{self, Upload, View},
    model::MediaFile,
};
use poem::{Request, web::Data};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
};
use serde::Serialize;

use self::{
    content::Content,
    incoming::{Form, Raw, Stream},
};
use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Created, Found, Gone},
    problem::{Code, Problem},
    types::{Id, Timestamp, same_variants},
};

/// As what a file is sent.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "MediaKind", rename_all = "snake_case")]
pub enum Kind {
    /// A picture: JPEG, PNG or WebP, at most 16 MiB.
    Image,
    /// A film, at most 64 MiB: MP4 with H.264 and AAC. Where ffmpeg is installed, MOV, WebM, Matroska, AVI, MPEG, FLV, WMV
    /// and MP4 with other codecs become one, at most 1280 pixels on the longer side.
    Video,
    /// A file that plays: AAC, M4A, MP3, AMR or Ogg with Opus, at most 16 MiB.
    Audio,
    /// A voice note, at most 16 MiB and 15 minutes: Ogg with Opus; MP3, M4A, AAC, FLAC, WAV and Ogg with Vorbis become
    /// one.
    Voice,
    /// Any file, at most 2 GiB.
    Document,
    /// A sticker: WebP, 512 by 512 pixels, at most 500 KiB.
    Sticker,
}

same_variants!(Kind => MediaKind: Image Video Audio Voice Document Sticker);

/// Why a file is not here.
#[derive(Debug, Serialize, Object)]
pub struct MediaError {
    /// Stable.
    pub code: String,
}

/// A file. What is not known yet, or does not apply, is absent.
#[derive(Debug, Serialize, Object)]
pub struct Media {
    /// Its id.
    pub id: Id<MediaId>,
    /// Always `media`.
    pub object: String,
    /// Through which session it came in.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id<SessionId>>,
    /// The message that it came in with.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Id<MessageId>>,
    /// `image`, `video`, `audio`, `voice`, `document` or `sticker`.
    pub kind: String,
    /// `pending` (it is being fetched), `deferred` (it is fetched as soon as the disk has room),
    /// `available`, `failed`, or `expired` (WhatsApp keeps it no longer).
    pub status: String,
    /// Why it failed.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MediaError>,
    /// Its name.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its type, told by its bytes.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its size in bytes. A picture may have become smaller on its way in.
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
    /// Where it can be read without an API key; whoever has this address may read it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Until when.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_expires_at: Option<Timestamp>,
    /// The file itself, in an event to an endpoint that wants small files there.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// When it was brought in, or announced.
    pub created_at: Timestamp,
    /// It is deleted after this. A message that waits for it keeps it longer.
    pub expires_at: Timestamp,
}

impl From<View> for Media {
    fn from(view: View) -> Self {
        let (url, until) = view.link.unzip();
        let facts = view.facts;
        Self {
            id: Id(view.id),
            object: "media".to_owned(),
            session_id: view.session.map(Id),
            message_id: view.message.map(Id),
            kind: view.kind.as_str().to_owned(),
            status: view.status.shown().to_owned(),
            error: view.error.map(|code| MediaError { code }),
            file_name: facts.as_ref().and_then(|facts| facts.file_name.clone()),
            mime_type: facts.as_ref().and_then(|facts| facts.mime_type.clone()),
            size: facts.as_ref().and_then(|facts| facts.size),
            sha256: facts.as_ref().and_then(|facts| facts.sha256.clone()),
            width: facts.as_ref().and_then(|facts| facts.width),
            height: facts.as_ref().and_then(|facts| facts.height),
            seconds: facts.as_ref().and_then(|facts| facts.seconds),
            pages: facts.as_ref().and_then(|facts| facts.pages),
            url,
            url_expires_at: until.map(Timestamp),
            base64: None,
            created_at: Timestamp(view.created_at),
            expires_at: Timestamp(view.delete_at),
        }
    }
}

/// Files.
pub struct MediaFiles;

#[OpenApi(prefix_path = "/v1/media", tag = "Group::Media")]
impl MediaFiles {
    /// Upload a file, as a form.
    ///
    /// It is checked and made ready for its kind now: its type is told by its bytes, a picture loses
    /// what its camera wrote about it and is turned upright, a film that a phone would not play is
    /// converted. A message of the same type may name it then.
    #[oai(path = "/", method = "post", operation_id = "upload_media")]
    async fn upload_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// As what it will be sent.
        kind: Query<Kind>,
        /// Its name, in place of the form's.
        file_name: Query<Option<String>>,
        body: Form,
    ) -> Result<Created<Media>, Problem> {
        let (bytes, named) = body.open().await?;
        let name = file_name.0.or(named);
        take(&services, caller, kind.0, name, bytes).await
    }

    /// Upload a file, as it is.
    ///
    /// The same for a body that is the file and nothing else, whatever `Content-Type` it has.
    #[oai(path = "/stream", method = "post", operation_id = "stream_media")]
    async fn stream_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// As what it will be sent.
        kind: Query<Kind>,
        /// Its name.
        file_name: Query<Option<String>>,
        body: Raw,
    ) -> Result<Created<Media>, Problem> {
        take(&services, caller, kind.0, file_name.0, body.open()).await
    }

    /// Read what is known of a file.
    #[oai(path = "/:id", method = "get", operation_id = "read_media")]
    async fn read_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The file.
        id: Path<Id<MediaId>>,
    ) -> Result<Found<Media>, Problem> {
        let file = media::read(&services, caller.0.org, id.0.0).await?;
        let file = file.ok_or_else(not_found)?;
        Ok(Found::of(media::view(&services, file).await?.into()))
    }

    /// Read a file's bytes.
    ///
    /// `Range` is honoured. While the file is being fetched the answer is `media_pending`.
    #[oai(
        path = "/:id/content",
        method = "get",
        operation_id = "read_media_content"
    )]
    async fn read_media_content(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The file.
        id: Path<Id<MediaId>>,
        request: &Request,
    ) -> Result<Content, Problem> {
        let file = media::read(&services, caller.0.org, id.0.0).await?;
        content::of(&services, file.ok_or_else(not_found)?, request).await
    }

    /// Delete a file.
    ///
    /// Messages that carried it stay as they are; one that still waits for it fails.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_media")]
    async fn delete_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The file.
        id: Path<Id<MediaId>>,
    ) -> Result<Gone, Problem> {
        let deleted = media::delete(&services, caller.0.org, id.0.0).await?;
        deleted.then_some(Gone).ok_or_else(not_found)
    }
}

/// Files by link.
pub struct MediaLinks;

#[OpenApi(prefix_path = "/media", tag = "Group::Media")]
impl MediaLinks {
    /// Read a file's bytes by a link.
    ///
    /// The `url` of a file: it needs no API key, opens this file alone, and ends.
    #[oai(path = "/:link", method = "get", operation_id = "open_media_link")]
    async fn open_media_link(
        &self,
        services: Data<&Services>,
        /// The link's last part.
        link: Path<String>,
        request: &Request,
    ) -> Result<Content, Problem> {
        let link = media::open_link(&services, &link.0).await?;
        let link = link.ok_or_else(not_found)?;
        let file = media::read(&services, link.org, link.media).await?;
        content::of(&services, file.ok_or_else(not_found)?, request).await
    }
}

async fn take(
    services: &Services,
    caller: Caller,
    kind: Kind,
    file_name: Option<String>,
    bytes: Stream,
) -> Result<Created<Media>, Problem> {
    let file_name = file_name.as_deref().and_then(clean_file_name);
    let upload = Upload {
        kind: kind.into(),
        file_name,
    };
    let file: MediaFile = media::ingest(services, caller.0.org, upload, bytes).await?;
    Ok(Created::of(media::view(services, file).await?.into()))
}

impl From<media::IngestError> for Problem {
    fn from(error: media::IngestError) -> Self {
        use media::IngestError;
        match error {
            IngestError::Bad(bad) => of_file(&bad),
            IngestError::BrokenOff => Self::new(Code::IncompleteBody),
            IngestError::Busy => Self::new(Code::Overloaded),
            IngestError::Full => Self::new(Code::StorageFull),
            IngestError::Stopping => Self::new(Code::ShuttingDown),
            IngestError::Objects(error) => {
                tracing::error!(%error, "the object store failed");
                Self::new(Code::DependencyDown)
            }
            IngestError::Fault(fault) => fault.into(),
        }
    }
}

/// Why the bytes are no file of their kind.
pub(super) fn of_file(bad: &media::BadMedia) -> Problem {
    use media::BadMedia;
    let code = match bad {
        BadMedia::Empty => Code::MediaEmpty,
        BadMedia::TooLarge(_) => Code::MediaTooLarge,
        BadMedia::Type(_) => Code::MediaTypeNotSupported,
        BadMedia::Transcoding(_) => Code::TranscodingUnavailable,
        BadMedia::TooCostly(_) => Code::TranscodingLimit,
        BadMedia::Damaged => Code::MediaDamaged,
        BadMedia::TooLong(_) => Code::MediaTooLong,
        BadMedia::Dimensions => Code::MediaDimensions,
    };
    let mut detail = bad.to_string();
    detail[..1].make_ascii_uppercase();
    Problem::new(code).detail(format!("{detail}."))
}

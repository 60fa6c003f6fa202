//! Files: upload, read, delete, and open by a link.
//!
//! | page | what it holds |
//! |---|---|
//! | here | the operations |
//! | `incoming` | the two forms of an upload |
//! | `content` | the bytes of a file, whole or in part |

mod content;
mod incoming;

use passerelle_jobs::{
    Services, clean_file_name,
    content::MediaKind,
    ids::{MediaId, MessageId, SessionId},
    media::{self, Requested, Upload, View, clean_media_type},
    model::MediaFile,
    services::{UPLOADS, UPLOADS_OF_ONE},
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
    body::{Created, Gone, Success},
    problem::{Code, Problem},
    types::{Id, Timestamp, same_variants},
};

/// The kind of message that a file is for.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename = "MediaKind", rename_all = "snake_case")]
pub enum Kind {
    /// An image: JPEG, PNG or WebP, at most 16 MiB.
    Image,
    /// A video, at most 64 MiB: MP4 with H.264 and AAC. If ffmpeg is installed, the gateway converts MOV, WebM, Matroska,
    /// AVI, MPEG, FLV, WMV and MP4 with other codecs, to at most 1280 pixels on the longer side.
    Video,
    /// An audio file: AAC, M4A, 3GP, MP3, AMR or Ogg with Opus, at most 16 MiB. Opus is taken out of WebM.
    Audio,
    /// A voice note, at most 16 MiB and 15 minutes: Ogg with Opus. The gateway converts MP3, M4A, 3GP, AAC, FLAC, WAV,
    /// AIFF, CAF, WebM and Ogg with Vorbis.
    Voice,
    /// Any file, at most 2 GiB.
    Document,
    /// A sticker: WebP, 512 by 512 pixels, at most 500 KiB.
    Sticker,
}

same_variants!(Kind => MediaKind: Image Video Audio Voice Document Sticker);

/// Why a file is not available.
#[derive(Debug, Serialize, Object)]
pub struct MediaError {
    /// Stable code of the reason.
    pub code: String,
}

/// A file. Fields that are not known yet, or do not apply, are absent.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Media {
    /// Its id.
    pub id: Id<MediaId>,
    /// Always `media`.
    pub object: String,
    /// The session that received it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id<SessionId>>,
    /// The inbound message that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Id<MessageId>>,
    /// `image`, `video`, `audio`, `voice`, `document` or `sticker`.
    pub kind: String,
    /// `pending` (it is being fetched), `deferred` (it will be fetched when the disk has room),
    /// `available`, `failed`, or `expired` (WhatsApp no longer has it).
    pub status: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MediaError>,
    /// The name of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The media type, detected from the content. Where the content does not say it, it is what the sender or the name
    /// of the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The size in bytes. An image can be smaller than the upload, because metadata is stripped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the content, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// The number of pages: counted for a PDF that you send, declared by the sender for an inbound document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// A URL of the content that needs no API key. Anyone who has the URL can read the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When `url` expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_expires_at: Option<Timestamp>,
    /// The content in base64, only in an event to an endpoint with `inline_media`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// When it was uploaded or announced.
    pub created_at: Timestamp,
    /// When it is deleted. A queued message that needs the file keeps it longer.
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
    /// Upload a file as a form.
    ///
    /// The file is checked and prepared for its kind during the upload: the type is detected from the content,
    /// EXIF, XMP and GPS metadata is stripped from images and they are rotated upright, and a video that phones do
    /// not play is converted. Messages of the same kind can then use the file by its id.
    #[oai(path = "/", method = "post", operation_id = "upload_media")]
    async fn upload_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The kind of message that the file is for.
        kind: Query<Kind>,
        /// The name of the file, instead of the name in the form.
        file_name: Query<Option<String>>,
        /// The media type of a document, instead of the type in the form. It counts where the content does not say it.
        mime_type: Query<Option<String>>,
        body: Form,
    ) -> Result<Created<Media>, Problem> {
        let given = given(mime_type.0.as_deref())?;
        let part = body.open().await?;
        let upload = Upload {
            kind: kind.0.into(),
            size: part.size,
            file_name: file_name.0.or(part.file_name),
            mime_type: given.or(part.mime_type),
        };
        take(&services, caller, upload, part.bytes).await
    }

    /// Upload a file as the body.
    ///
    /// The body is the file itself, with any `Content-Type`. Everything else is as for `upload_media`.
    #[oai(path = "/stream", method = "post", operation_id = "stream_media")]
    async fn stream_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The kind of message that the file is for.
        kind: Query<Kind>,
        /// The name of the file.
        file_name: Query<Option<String>>,
        /// The media type of a document. It counts where the content does not say it.
        mime_type: Query<Option<String>>,
        body: Raw,
    ) -> Result<Created<Media>, Problem> {
        let upload = Upload {
            kind: kind.0.into(),
            size: body.size,
            file_name: file_name.0,
            mime_type: given(mime_type.0.as_deref())?,
        };
        take(&services, caller, upload, body.open()).await
    }

    /// Read the description of a file.
    #[oai(path = "/:id", method = "get", operation_id = "read_media")]
    async fn read_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The file.
        id: Path<Id<MediaId>>,
    ) -> Result<Success<Media>, Problem> {
        let file = media::read(&services, caller.0.org, id.0.0).await?;
        let file = file.ok_or_else(not_found)?;
        Ok(Success::of(media::view(&services, file).await?.into()))
    }

    /// Read the content of a file.
    ///
    /// The header `Range` is supported. While the file is being fetched the answer is `media_pending`.
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

    /// Fetch a file that was left at WhatsApp.
    ///
    /// A file that came in and is larger than the gateway fetches by itself has failed with `media_too_large`; one for
    /// which the organisation had no room has failed with `media_quota_reached`. This fetches it, up to 2 GiB, while
    /// WhatsApp still has it. `media.available` or `media.failed` follows.
    #[oai(path = "/:id/fetch", method = "post", operation_id = "fetch_media")]
    async fn fetch_media(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The file.
        id: Path<Id<MediaId>>,
    ) -> Result<Success<Media>, Problem> {
        let requested = media::request(&services, caller.0.org, id.0.0).await?;
        let file = match requested {
            Requested::Due(file) => file,
            Requested::NotFound => return Err(not_found()),
            Requested::Nothing => return Err(Problem::new(Code::MediaNotFetchable)),
        };
        Ok(Success::of(media::view(&services, *file).await?.into()))
    }

    /// Delete a file.
    ///
    /// Messages that were sent with it do not change. A queued message that needs it fails.
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

/// The links to files.
pub struct MediaLinks;

#[OpenApi(prefix_path = "/media", tag = "Group::Media")]
impl MediaLinks {
    /// Read the content of a file by a link.
    ///
    /// This is the `url` of a file. It needs no API key, opens only this file, and expires.
    #[oai(path = "/:link", method = "get", operation_id = "open_media_link")]
    async fn open_media_link(
        &self,
        services: Data<&Services>,
        /// The last part of the link.
        link: Path<String>,
        request: &Request,
    ) -> Result<Content, Problem> {
        let link = media::open_link(&services, &link.0).await?;
        let link = link.ok_or_else(not_found)?;
        let file = media::read(&services, link.org, link.media).await?;
        content::of(&services, file.ok_or_else(not_found)?, request).await
    }
}

/// Returns the media type of the request, if it has one.
fn given(mime_type: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = mime_type else {
        return Ok(None);
    };
    let clean = clean_media_type(text).ok_or_else(|| {
        let code = Code::InvalidMimeType;
        Problem::new(code).parameter("mime_type", code.as_str(), "a media type such as text/csv")
    })?;
    Ok(Some(clean))
}

async fn take(
    services: &Services,
    caller: Caller,
    upload: Upload,
    bytes: Stream,
) -> Result<Created<Media>, Problem> {
    let upload = Upload {
        file_name: upload.file_name.as_deref().and_then(clean_file_name),
        ..upload
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
            IngestError::Busy => Self::overloaded(format!(
                "An organisation may upload {UPLOADS_OF_ONE} files at once, and all together {UPLOADS}. These limits are fixed."
            )),
            IngestError::Full(most) => Self::new(Code::StorageFull).detail(format!(
                "The disk of the files may be {most} % full (--media-disk-max). Delete files, or ask the operator for room."
            )),
            IngestError::Quota(most) => Self::new(Code::MediaQuotaReached).detail(format!(
                "An organisation may have {most} bytes of files (--media-quota). Delete some (DELETE /v1/media/{{id}}), or ask the operator to keep them for a shorter time (PUT /v1/organisations/{{id}}/media-retention)."
            )),
            IngestError::Unconfined => Self::new(Code::DecodingUnavailable).detail(
                "The kernel or the container of this gateway does not let it confine the process that decodes files. No flag \
                 changes this; the operator finds the reason in the log.",
            ),
            IngestError::Stopping => Self::new(Code::ShuttingDown),
            IngestError::Objects(error) => {
                tracing::error!(%error, "the object store failed");
                Self::new(Code::DependencyDown)
            }
            IngestError::Fault(fault) => fault.into(),
        }
    }
}

/// Returns the problem for bytes that are not a valid file of their kind.
pub(super) fn of_file(bad: &media::BadFile) -> Problem {
    use media::BadMedia;
    let code = match bad.why {
        BadMedia::Empty => Code::MediaEmpty,
        BadMedia::TooLarge(_) => Code::MediaTooLarge,
        BadMedia::Type | BadMedia::Codec => Code::MediaTypeNotSupported,
        BadMedia::Mixed => Code::MediaMixed,
        BadMedia::Transcoding(_) | BadMedia::NotConfined(_) => Code::TranscodingUnavailable,
        BadMedia::TooCostly(_) => Code::TranscodingLimit,
        BadMedia::Damaged => Code::MediaDamaged,
        BadMedia::TooLong(_) => Code::MediaTooLong,
        BadMedia::Dimensions => Code::MediaDimensions,
    };
    let mut detail = bad.to_string();
    detail[..1].make_ascii_uppercase();
    let problem = Problem::new(code).detail(format!("{detail}."));
    match &bad.detected {
        Some(found) => problem.detected(found),
        None => problem,
    }
}

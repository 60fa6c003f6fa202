//! The two forms of an upload: an HTML form, and a body that is the file. Both are streamed, not held in memory.

#[cfg(test)]
mod tests;

use std::{error::Error, io};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use passerelle_jobs::media::clean_media_type;
use poem::{Body, Request, RequestBody, Result, http::header, web::Multipart};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};

use crate::{
    limits::FORM_HEAD_MAX,
    problem::{Code, Problem},
};

/// The bytes of a file as they arrive.
pub(super) type Stream = BoxStream<'static, io::Result<Bytes>>;

/// The field of a form that holds the file.
const FIELD: &str = "file";
/// A form is read in pieces of at most this size, in bytes.
const PIECE: usize = 4 << 10;

/// A body that is a form with a file.
pub(super) struct Form {
    parts: Multipart,
    /// Cancelled once the file's header is read. Until then the body may have [`FORM_HEAD_MAX`] bytes.
    opened: CancellationToken,
    /// The size of the form in bytes, which is about that of its file, if the request says it.
    size: Option<u64>,
}

/// The file in a form.
pub(super) struct Part {
    pub(super) bytes: Stream,
    /// About its size in bytes, if it is known.
    pub(super) size: Option<u64>,
    pub(super) file_name: Option<String>,
    /// What the form says that it is.
    pub(super) mime_type: Option<String>,
}

impl Form {
    /// Returns the file.
    pub(super) async fn open(mut self) -> Result<Part, Problem> {
        while let Some(field) = self
            .parts
            .next_field()
            .await
            .map_err(|error| broken(&error))?
        {
            if field.name() == Some(FIELD) {
                self.opened.cancel();
                let file_name = field.file_name().map(str::to_owned);
                let mime_type = field.content_type().and_then(clean_media_type);
                let form = self.parts;
                let bytes = ReaderStream::new(field.into_async_read());
                // The form must stay open while its field is read.
                let bytes = bytes.map(move |chunk| {
                    let _open = &form;
                    chunk
                });
                return Ok(Part {
                    bytes: bytes.boxed(),
                    size: self.size,
                    file_name,
                    mime_type,
                });
            }
        }
        let wanted = "the form has no field `file`";
        Err(Problem::new(Code::ValidationFailed).at("/file", "required", wanted))
    }
}

/// Why a form could not be read: it breaks off, or its file does not begin in time.
fn broken(error: &(dyn Error + 'static)) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<HeadTooLarge>() {
            return Problem::new(Code::BodyTooLarge).detail(HeadTooLarge.to_string());
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    Problem::new(Code::IncompleteBody)
}

#[derive(Debug, thiserror::Error)]
#[error(
    "The field `file` must begin within the first {FORM_HEAD_MAX} bytes of the form. This limit is fixed."
)]
struct HeadTooLarge;

/// Ends a body with an error if it has too many bytes before `opened`. The parser of forms would hold all of
/// them, and search them again with each chunk.
fn bounded(body: Body, opened: CancellationToken) -> Body {
    let pieces = body.into_bytes_stream().flat_map(|chunk| {
        let pieces: Vec<_> = match chunk {
            Ok(mut chunk) => std::iter::from_fn(|| {
                let size = chunk.len().min(PIECE);
                (size > 0).then(|| Ok(chunk.split_to(size)))
            })
            .collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(pieces)
    });
    let bounded = pieces.scan(0, move |seen, piece| {
        *seen += piece.as_ref().map_or(0, Bytes::len);
        let waits = !opened.is_cancelled() && *seen > FORM_HEAD_MAX + PIECE;
        let refused = || Err(io::Error::other(HeadTooLarge));
        std::future::ready(Some(if waits { refused() } else { piece }))
    });
    Body::from_bytes_stream(bounded)
}

/// A body that is a file.
pub(super) struct Raw {
    body: Body,
    /// Its size in bytes, if the request says it.
    pub(super) size: Option<u64>,
}

impl Raw {
    pub(super) fn open(self) -> Stream {
        self.body.into_bytes_stream().boxed()
    }
}

/// Returns the size of the body in bytes, if the request says it.
fn size(request: &Request) -> Option<u64> {
    request.header(header::CONTENT_LENGTH)?.parse().ok()
}

fn binary() -> MetaSchema {
    MetaSchema::new_with_format("string", "binary")
}

fn takes(content_type: &'static str, schema: MetaSchema) -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType {
            content_type,
            schema: MetaSchemaRef::Inline(Box::new(schema)),
        }],
        required: true,
    }
}

impl<'a> ApiExtractor<'a> for Form {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let form = MetaSchema {
            required: vec![FIELD],
            properties: vec![(FIELD, MetaSchemaRef::Inline(Box::new(binary())))],
            ..MetaSchema::new("object")
        };
        Some(takes("multipart/form-data", form))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let opened = CancellationToken::new();
        let mut bounded = RequestBody::new(bounded(body.take()?, opened.clone()));
        let form = <Multipart as poem::FromRequest>::from_request(request, &mut bounded).await;
        let form = form.map_err(|_| {
            Problem::new(Code::UnsupportedMediaType)
                .detail("The body must be multipart/form-data with a boundary.")
        })?;
        Ok(Self {
            parts: form,
            opened,
            size: size(request),
        })
    }
}

impl<'a> ApiExtractor<'a> for Raw {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        Some(takes("application/octet-stream", binary()))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self {
            body: body.take()?,
            size: size(request),
        })
    }
}

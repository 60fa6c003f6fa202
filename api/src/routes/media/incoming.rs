//! The two forms of an upload: an HTML form, and a body that is the file. Both are streamed, not held in memory.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use passerelle_jobs::media::clean_media_type;
use poem::{Request, RequestBody, Result, web::Multipart};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
};
use tokio_util::io::ReaderStream;

use crate::problem::{Code, Problem};

/// The bytes of a file as they arrive.
pub(super) type Stream = BoxStream<'static, io::Result<Bytes>>;

/// The field of a form that holds the file.
const FIELD: &str = "file";

/// A body that is a form with a file.
pub(super) struct Form(Multipart);

/// The file in a form.
pub(super) struct Part {
    pub(super) bytes: Stream,
    pub(super) file_name: Option<String>,
    /// What the form says that it is.
    pub(super) mime_type: Option<String>,
}

impl Form {
    /// Returns the file.
    pub(super) async fn open(mut self) -> Result<Part, Problem> {
        let broken = |_| Problem::new(Code::IncompleteBody);
        while let Some(field) = self.0.next_field().await.map_err(broken)? {
            if field.name() == Some(FIELD) {
                let file_name = field.file_name().map(str::to_owned);
                let mime_type = field.content_type().and_then(clean_media_type);
                let form = self.0;
                let bytes = ReaderStream::new(field.into_async_read());
                // The form must stay open while its field is read.
                let bytes = bytes.map(move |chunk| {
                    let _open = &form;
                    chunk
                });
                return Ok(Part {
                    bytes: bytes.boxed(),
                    file_name,
                    mime_type,
                });
            }
        }
        let wanted = "the form has no field `file`";
        Err(Problem::new(Code::ValidationFailed).at("/file", "required", wanted))
    }
}

/// A body that is a file.
pub(super) struct Raw(poem::Body);

impl Raw {
    pub(super) fn open(self) -> Stream {
        self.0.into_bytes_stream().boxed()
    }
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
        let form = <Multipart as poem::FromRequest>::from_request(request, body).await;
        Ok(Self(form.map_err(|_| {
            Problem::new(Code::UnsupportedMediaType)
                .detail("The body must be multipart/form-data with a boundary.")
        })?))
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
        _: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(body.take()?))
    }
}

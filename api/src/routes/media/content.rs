//! The content of a file: whole, or the part that `Range` requests (RFC 9110, section 14), decrypted while it
//! is sent. Always as a download, so that a browser saves the file and never runs it.

use std::{io, ops::Range};

use futures_util::TryStreamExt as _;
use http_range::{HttpRange, HttpRangeParseError};
use passerelle_jobs::{
    Services,
    media::{self, ObjectsError},
    model::{MediaFile, MediaStatus, StoredFile},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
};

use crate::problem::{Code, Problem};

/// The bytes of a file.
pub(super) struct Content {
    bytes: Body,
    size: u64,
    /// `None` means the whole file.
    part: Option<Range<u64>>,
    mime_type: String,
    disposition: String,
    etag: String,
}

/// Returns the bytes that the request asks for.
pub(super) async fn of(
    services: &Services,
    file: MediaFile,
    request: &Request,
) -> Result<Content, Problem> {
    let stored = here(&file)?;
    let size = stored.file.size;
    let part = wanted(request, size)?;
    let range = part.clone().unwrap_or(0..size);
    let bytes = media::bytes(services, &file, stored, range).await;
    let bytes = bytes.map_err(|error| match error {
        ObjectsError::NotFound => Problem::new(Code::MediaUnavailable),
        error => {
            tracing::error!(media.id = %file.id, %error, "a file could not be read");
            Problem::new(Code::DependencyDown)
        }
    })?;
    Ok(Content {
        bytes: Body::from_bytes_stream(bytes.map_err(io::Error::other)),
        size,
        part,
        mime_type: stored.looks.mime_type.clone(),
        disposition: disposition(stored.file_name.as_deref()),
        etag: format!("\"{}\"", media::sha256(stored)),
    })
}

fn here(file: &MediaFile) -> Result<&StoredFile, Problem> {
    match (file.status, &file.stored) {
        (MediaStatus::Available, Some(stored)) => Ok(stored),
        (status, _) if status.is_awaited() => {
            let soon = HeaderValue::from_static("1");
            Err(Problem::new(Code::MediaPending).header(header::RETRY_AFTER, soon))
        }
        _ => Err(Problem::new(Code::MediaUnavailable)),
    }
}

/// Returns the requested part. Several parts, or a header that is not a range, mean the whole file.
fn wanted(request: &Request, size: u64) -> Result<Option<Range<u64>>, Problem> {
    let Some(asked) = request.headers().get(header::RANGE) else {
        return Ok(None);
    };
    match HttpRange::parse_bytes(asked.as_bytes(), size).as_deref() {
        Ok([HttpRange { length: 0, .. }]) | Err(HttpRangeParseError::NoOverlap) => {
            Err(not_satisfiable(size))
        }
        Ok([HttpRange { start, length }]) => Ok(Some(*start..start + length)),
        Ok(_) | Err(HttpRangeParseError::InvalidRange) => Ok(None),
    }
}

fn not_satisfiable(size: u64) -> Problem {
    let whole = HeaderValue::try_from(format!("bytes */{size}")).expect("digits are plain ASCII");
    Problem::new(Code::RangeNotSatisfiable).header(header::CONTENT_RANGE, whole)
}

/// Returns the header of RFC 6266, with the name as in RFC 8187.
fn disposition(file_name: Option<&str>) -> String {
    file_name.map_or_else(
        || "attachment".to_owned(),
        |name| {
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            format!("attachment; filename*=UTF-8''{name}")
        },
    )
}

impl IntoResponse for Content {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .header(header::CONTENT_TYPE, self.mime_type)
            .header(header::CONTENT_DISPOSITION, self.disposition)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, self.etag)
            // A browser must not run anything in it.
            .header(
                header::CONTENT_SECURITY_POLICY,
                "sandbox; default-src 'none'",
            );
        let length = match &self.part {
            None => self.size,
            Some(part) => {
                let Range { start, end } = *part;
                let place = format!("bytes {start}-{}/{}", end - 1, self.size);
                response = response
                    .status(StatusCode::PARTIAL_CONTENT)
                    .header(header::CONTENT_RANGE, place);
                end - start
            }
        };
        response
            .header(header::CONTENT_LENGTH, length)
            .body(self.bytes)
    }
}

impl ApiResponse for Content {
    fn meta() -> MetaResponses {
        let bytes = || MetaMediaType {
            content_type: "application/octet-stream",
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format(
                "string", "binary",
            ))),
        };
        let answer = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![bytes()],
            headers: vec![],
        };
        MetaResponses {
            responses: vec![
                answer(200, "The file, with its own `Content-Type`"),
                answer(206, "The part that `Range` asked for"),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: &str) -> Result<Option<Range<u64>>, Code> {
        let request = Request::builder().header("range", range).finish();
        wanted(&request, 100).map_err(|problem| problem.code())
    }

    #[test]
    fn a_range_is_read_as_the_standard_has_it() {
        assert_eq!(part("bytes=0-9"), Ok(Some(0..10)));
        assert_eq!(part("bytes=90-"), Ok(Some(90..100)));
        assert_eq!(part("bytes=-10"), Ok(Some(90..100)));
        assert_eq!(part("bytes=90-1000"), Ok(Some(90..100)));
        assert_eq!(part("bytes=-1000"), Ok(Some(0..100)));
        for whole in ["pages=1-2", "bytes=x", "bytes=0-1,5-6", ""] {
            assert_eq!(part(whole), Ok(None), "{whole}");
        }
        for none in ["bytes=100-", "bytes=200-300", "bytes=-0"] {
            assert_eq!(part(none), Err(Code::RangeNotSatisfiable), "{none}");
        }
    }

    #[test]
    fn a_name_stands_in_its_header_and_breaks_out_of_nothing() {
        assert_eq!(disposition(None), "attachment");
        assert_eq!(
            disposition(Some("Zoë \"x\".pdf")),
            "attachment; filename*=UTF-8''Zo%C3%AB%20%22x%22%2Epdf"
        );
    }
}

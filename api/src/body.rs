//! JSON in and out: one payload type, strict on the way in.
//!
//! [`Json`] reads a request with serde, and every request type has `deny_unknown_fields`: so a field
//! that is unknown or stands twice is refused, with its place. poem-openapi's derive gives only the schema.

use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions,
    payload::{ParsePayload, Payload},
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::Type,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    json::Json,
    problem::{Code, Problem},
};

/// A JSON body of a request.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: Type> Payload for Body<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// A type that a body can be read as.
pub trait Read: Type + Sized {
    /// Reads it strictly.
    fn read(json: &Json<'_>) -> std::result::Result<Self, Problem>;
}

impl<T: Type + DeserializeOwned> Read for T {
    fn read(json: &Json<'_>) -> std::result::Result<Self, Problem> {
        json.read()
    }
}

impl<T: Read> ParsePayload for Body<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = <Vec<u8> as poem::FromRequest>::from_request(request, body).await?;
        Ok(Self(T::read(&Json::parse(&bytes)?)?))
    }
}

/// Used where an answer has several formats. All other answers are an [`Answer`].
impl<T: Serialize + Send> IntoResponse for Body<T> {
    fn into_response(self) -> Response {
        Success::of(self.0).into_response()
    }
}

impl<'a, T: Read> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: Self::CONTENT_TYPE,
                schema: Self::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> Result<Self> {
        if !request.content_type().is_some_and(Self::check_content_type) {
            return Err(Problem::new(Code::UnsupportedMediaType).into());
        }
        <Self as ParsePayload>::from_request(request, body).await
    }
}

/// A JSON answer of status `STATUS`.
#[derive(Debug)]
pub struct Answer<T, const STATUS: u16>(pub T);

impl<T, const STATUS: u16> Answer<T, STATUS> {
    /// Creates an answer with this status.
    pub fn of(body: T) -> Self {
        Self(body)
    }
}

/// 200.
pub type Success<T> = Answer<T, 200>;
/// 201.
pub type Created<T> = Answer<T, 201>;
/// 202.
pub type Accepted<T> = Answer<T, 202>;

impl<T: Serialize + Send, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).expect("answers have text keys and plain values");
        let status = poem::http::StatusCode::from_u16(STATUS).expect("a literal status");
        Response::builder()
            .status(status)
            .content_type("application/json")
            .body(body)
    }
}

impl<T: Type + Serialize, const STATUS: u16> ApiResponse for Answer<T, STATUS> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(STATUS),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: "application/json",
                    schema: T::schema_ref(),
                }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 204.
#[derive(Debug)]
pub struct Gone;

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        poem::http::StatusCode::NO_CONTENT.into()
    }
}

impl ApiResponse for Gone {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(204),
                status_range: None,
                content: vec![],
                headers: vec![],
            }],
        }
    }

    fn register(_registry: &mut Registry) {}
}

//! JSON in and out: one payload type, strict on the way in.
//!
//! Parsing is serde's, with `deny_unknown_fields` on every request type, because it refuses
//! duplicate keys and tells where a fault stands; poem-openapi's derive gives the schema alone.

use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions,
    payload::{ParsePayload, Payload},
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::{ParseFromJSON, Type},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::{Code, Problem};

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

/// What a body is read as.
pub trait Read: Type + Sized {
    /// Reads it to the letter.
    fn read(bytes: &[u8]) -> std::result::Result<Self, Problem>;
}

impl<T: ParseFromJSON + DeserializeOwned> Read for T {
    fn read(bytes: &[u8]) -> std::result::Result<Self, Problem> {
        parse(bytes)
    }
}

impl<T: Read> ParsePayload for Body<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = <Vec<u8> as poem::FromRequest>::from_request(request, body).await?;
        Ok(Self(T::read(&bytes)?))
    }
}

/// As one form of several in an answer; elsewhere an answer is an [`Answer`].
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

/// Parses a body to the letter; the problem names the place and repeats nothing of the value.
///
/// The text is read twice. First for its JSON, so that what is malformed anywhere, or nested beyond
/// 128 levels, is told as that. Then for its type, which also refuses a field that stands twice.
pub(crate) fn parse<T: ParseFromJSON + DeserializeOwned>(
    bytes: &[u8],
) -> std::result::Result<T, Problem> {
    let json = json(bytes)?;
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut source).map_err(|error| {
        let pointer = pointer(error.path());
        refusal(error.inner(), &pointer)
    })?;
    // serde also takes an array of an object's values in its place; the schema does not.
    T::parse_from_json(Some(json)).map_err(|_| Problem::new(Code::ValidationFailed))?;
    Ok(value)
}

/// The body's JSON.
pub(crate) fn json(bytes: &[u8]) -> std::result::Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(Code::MalformedJson).detail(format!(
        "The body is not valid JSON (line {line}, column {column})."
    ))
}

/// What [`crate::types::Id`] says of a text that is not one.
pub(crate) const WRONG_ID: &str = "expected an id of this kind";

fn refusal(error: &serde_json::Error, pointer: &str) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    // serde's text repeats what was found; only what was expected, which is ours, is passed on.
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(head, _)| head);
    let expected = text
        .rsplit_once("expected ")
        .map(|(_, tail)| {
            if tail.starts_with("struct ") {
                "an object"
            } else {
                tail
            }
        })
        .map(|tail| format!("expected {tail}"));
    if text == WRONG_ID {
        return Problem::new(Code::InvalidId).at(pointer, "invalid_id", WRONG_ID);
    }
    if text.starts_with("unknown field") {
        let detail = expected.unwrap_or_else(|| "this object has no fields".to_owned());
        return Problem::new(Code::UnknownField).at(pointer, "unknown_field", detail);
    }
    let problem = Problem::new(Code::ValidationFailed);
    if let Some(field) = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        return problem.at(
            &format!("{pointer}/{field}"),
            "required",
            "this field is required",
        );
    }
    if text.starts_with("duplicate field") {
        return problem.at(pointer, "duplicate_field", "this field stands here twice");
    }
    if text.starts_with("unknown variant") {
        return problem.at(pointer, "unknown_value", expected.unwrap_or_default());
    }
    problem.at(
        pointer,
        "wrong_type",
        expected.unwrap_or_else(|| "not of the right form".to_owned()),
    )
}

/// As a JSON Pointer (RFC 6901). A field name that could not be one of ours is left out: callers
/// now and then put values where names belong.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } if plain(key) => key.clone(),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => break,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}

fn plain(key: &str) -> bool {
    key.len() <= 40
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// A JSON answer of status `STATUS`.
#[derive(Debug)]
pub struct Answer<T, const STATUS: u16>(pub T);

impl<T, const STATUS: u16> Answer<T, STATUS> {
    /// An answer of this status.
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

#[cfg(test)]
mod tests {
    use poem_openapi::Object;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Object)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        body: String,
    }

    #[derive(Debug, Deserialize, Object)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        text: Inner,
    }

    fn refused(body: &str) -> (&'static str, String) {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
        (problem.code().as_str(), format!("{problem:?}"))
    }

    #[test]
    fn each_kind_of_bad_body_has_its_code() {
        for (body, code) in [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            (r#"{"text":{"body":"a"}} x"#, "malformed_json"),
            (r#"{"text":{"body":"a"},"more":1}"#, "unknown_field"),
            (r#"{"text":{"body":"a","more":1}}"#, "unknown_field"),
            (r#"{"text":{"body":7}}"#, "validation_failed"),
            (r#"{"text":{}}"#, "validation_failed"),
            ("[]", "validation_failed"),
            ("null", "validation_failed"),
            (r#"[{"body":"a"}]"#, "validation_failed"),
            (r#"{"text":["a"]}"#, "validation_failed"),
            (
                r#"{"text":{"body":"a"},"text":{"body":"b"}}"#,
                "validation_failed",
            ),
        ] {
            assert_eq!(refused(body).0, code, "{body}");
        }
    }

    #[test]
    fn a_fault_names_its_place_and_never_what_was_sent() {
        let (_, shown) = refused(r#"{"text":{"body":{"CANARY":"CANARY"}}}"#);
        assert!(shown.contains("/text/body"), "{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
        let (_, shown) = refused(r#"{"text":{"body":"a"},"CANARY":1}"#);
        assert!(!shown.contains("CANARY"), "{shown}");
        let (_, shown) = refused(r#"{"text":{"CANARY expected CANARY":"a"}}"#);
        assert!(!shown.contains("CANARY"), "{shown}");
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(refused(&deep).0, "malformed_json");
    }
}

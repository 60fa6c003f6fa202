//! The edge: every request and every answer passes through it.
//!
//! It gives each request an id, writes the log and the metrics, and catches panics. Every error, of our code or
//! of the framework, becomes a problem body.

use std::{panic::AssertUnwindSafe, sync::LazyLock};

use futures_util::FutureExt as _;
use passerelle_jobs::{clock::Clock, ids::RequestId};
use poem::{
    Endpoint, Request, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    OperationId,
    error::{
        AuthorizationError, ContentTypeError, ParseParamError, ParsePathError,
        ParseRequestPayloadError,
    },
};
use tracing::Instrument as _;

use crate::{
    auth::Metered,
    limits,
    problem::{Code, Problem},
    spec::Paths,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the door and all routes.
pub struct Edge<E> {
    inner: E,
    clock: Clock,
    /// Made when it is first needed: most processes never are asked for it.
    paths: LazyLock<Paths>,
}

impl<E: Endpoint<Output = Response>> Edge<E> {
    /// Wraps `inner`. `paths` returns the methods of each path, for the `Allow` of a 405.
    pub fn new(inner: E, clock: Clock, paths: fn() -> Paths) -> Self {
        Self {
            inner,
            clock,
            paths: LazyLock::new(paths),
        }
    }

    async fn answer(&self, request: Request) -> (Result<Response, Problem>, Option<OperationId>) {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let calling = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        match calling.await {
            // The panic hook has logged it. The payload may contain user data.
            Err(_panic) => (Err(Problem::new(Code::Internal)), None),
            Ok(Ok(response)) => {
                let operation = response.data::<OperationId>().copied();
                (self.checked(response, &method, &path), operation)
            }
            Ok(Err(error)) => {
                let operation = error.data::<OperationId>().copied();
                (Err(self.problem(&error, &path)), operation)
            }
        }
    }

    /// Turns a plain error response of the framework, such as a bare 404, into a problem.
    fn checked(
        &self,
        response: Response,
        method: &Method,
        path: &str,
    ) -> Result<Response, Problem> {
        let status = response.status();
        if status.as_u16() < 400 || response.content_type().is_some() || *method == Method::HEAD {
            return Ok(response);
        }
        Err(self.of_status(status, path))
    }

    fn problem(&self, error: &poem::Error, path: &str) -> Problem {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return problem.clone();
        }
        if error.is::<NotFoundError>() {
            return Problem::new(Code::NotFound);
        }
        if error.is::<MethodNotAllowedError>() {
            return self.of_status(StatusCode::METHOD_NOT_ALLOWED, path);
        }
        if error.is::<AuthorizationError>() {
            return Problem::new(Code::MissingCredentials)
                .detail("Send `Authorization: Bearer <key>`.");
        }
        if let Some(ParseParamError { name, .. }) = error.downcast_ref() {
            return parameter(name);
        }
        if let Some(ParsePathError { name, .. }) = error.downcast_ref() {
            return Problem::new(Code::InvalidId).parameter(
                name,
                "invalid_id",
                "not an id of this kind",
            );
        }
        if error.is::<ContentTypeError>() {
            return Problem::new(Code::UnsupportedMediaType);
        }
        if error.is::<ParseRequestPayloadError>() {
            return Problem::new(Code::ValidationFailed);
        }
        if error.status().is_server_error() {
            tracing::error!(error = %error, "a request failed");
        }
        self.of_status(error.status(), path)
    }

    fn of_status(&self, status: StatusCode, path: &str) -> Problem {
        match status.as_u16() {
            401 => Problem::new(Code::MissingCredentials),
            404 => Problem::new(Code::NotFound),
            405 => {
                let allow = HeaderValue::try_from(self.paths.methods(path).join(", "));
                let allow = allow.unwrap_or(HeaderValue::from_static("GET"));
                Problem::new(Code::MethodNotAllowed).header(header::ALLOW, allow)
            }
            406 => Problem::new(Code::NotAcceptable),
            413 => Problem::new(Code::BodyTooLarge),
            415 => Problem::new(Code::UnsupportedMediaType),
            400..=499 => Problem::new(Code::ValidationFailed),
            _ => Problem::new(Code::Internal),
        }
    }
}

/// Returns the path without the signatures of links to files: anyone who has one may read the file. A link is
/// a long segment: three parts and its signature, with dots between them. Something may stand before or after
/// it, in the path or in the segment, because of a proxy or a typing error.
fn without_signature(path: &str) -> String {
    const LONG: usize = 40;
    let shown = |segment: &str| {
        let parts: Vec<_> = segment.split(['.', '%']).collect();
        let kept = parts.len().saturating_sub(1).min(3);
        if kept == 0 || segment.len() <= LONG {
            return segment.to_owned();
        }
        format!("{}.[signature]", parts[..kept].join("."))
    };
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}

fn parameter(name: &str) -> Problem {
    let code = match name {
        "cursor" => Code::InvalidCursor,
        name if name.ends_with("_id") => Code::InvalidId,
        _ => Code::ValidationFailed,
    };
    let flaw = if code == Code::ValidationFailed {
        "invalid"
    } else {
        code.as_str()
    };
    Problem::new(code).parameter(name, flaw, "missing, or of the wrong type")
}

impl<E: Endpoint<Output = Response>> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = self.clock.monotonic();
        let id = RequestId::new(&self.clock).to_string();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        // The query may have a cursor, so it is not logged.
        let shown = without_signature(&path);
        let span = tracing::info_span!("http.request", request.id = %id, http.method = %method, http.path = %shown);
        let metered = Metered::default();
        request.set_data(metered.clone());
        let (answer, operation) = self.answer(request).instrument(span.clone()).await;
        let mut response = answer.unwrap_or_else(|problem| {
            span.in_scope(|| tracing::debug!(problem.code = problem.code().as_str(), "refused"));
            problem.response(&shown, &id)
        });
        let id = HeaderValue::try_from(id).expect("an id is plain ASCII");
        response.headers_mut().insert(REQUEST_ID, id);
        let nosniff = HeaderValue::from_static("nosniff");
        response
            .headers_mut()
            .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if let Some(standing) = metered.standing() {
            standing.tell(response.headers_mut());
        }
        if path.starts_with("/v1/") || path.starts_with("/media/") {
            // Answers contain messages and sometimes a key, so no cache may keep them.
            let no_store = HeaderValue::from_static("no-store");
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, no_store);
        }
        let operation = operation.map_or("none", |id| id.0);
        let status = response.status().as_u16();
        if status == 429 {
            let since = self.clock.monotonic() - started;
            tokio::time::sleep(limits::REFUSAL_AFTER.saturating_sub(since)).await;
        }
        let took = self.clock.monotonic() - started;
        span.in_scope(|| {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(
                http.status = status,
                took_ms,
                operation,
                "answered {status} in {took_ms} ms"
            );
        });
        metrics::counter!("passerelle_http_requests_total", "operation" => operation, "status" => status.to_string()).increment(1);
        metrics::histogram!("passerelle_http_request_seconds", "operation" => operation)
            .record(took.as_secs_f64());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use poem::{Body, EndpointExt as _, IntoEndpoint as _, Route, endpoint::make_sync};

    use super::*;
    use crate::problem::ProblemBody;

    async fn ask(request: Request) -> (Response, Option<ProblemBody>) {
        let route = Route::new()
            .at("/here", poem::get(make_sync(|_| "hello")))
            .at(
                "/panics",
                poem::get(make_sync(|_| -> &'static str { panic!("secret cause") })),
            )
            .at(
                "/too-often",
                poem::get(make_sync(|_| {
                    Err::<(), poem::Error>(Problem::new(Code::RateLimited).into())
                })),
            )
            .into_endpoint()
            .map_to_response();
        let paths = || Paths::new([("/here".to_owned(), vec!["GET".to_owned()])]);
        let edge = Edge::new(route, Clock::system(), paths);
        let response = edge.get_response(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.into_bytes().await.unwrap();
        let problem = serde_json::from_slice(&bytes).ok();
        (Response::from_parts(parts, Body::from(bytes)), problem)
    }

    fn get(path: &'static str) -> Request {
        Request::builder().uri_str(path).finish()
    }

    #[tokio::test]
    async fn who_asks_too_often_waits_for_the_refusal() {
        let began = tokio::time::Instant::now();
        ask(get("/nowhere")).await;
        let (_, problem) = ask(get("/too-often")).await;
        assert_eq!(problem.unwrap().code, "rate_limited");
        assert!(began.elapsed() > limits::REFUSAL_AFTER / 2);
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem_with_the_request_id_of_the_header() {
        let (response, problem) = ask(get("/nowhere")).await;
        let problem = problem.unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (404, "not_found"));
        assert_eq!(
            response.header("x-request-id"),
            Some(problem.request_id.as_str())
        );
        assert!(problem.request_id.starts_with("req_"));
        assert_eq!(problem.instance, "/nowhere");
    }

    #[test]
    fn a_path_is_shown_without_the_signature_of_a_link() {
        let (org, media) = (
            "org_01kaq6h3zve9qbw4r2t8n5c7xd",
            "med_01kaq6h3zve9qbw4r2t8n5c7xd",
        );
        let link = format!("{org}.{media}.1764000000000");
        for before in ["/media/", "/media//", "/gateway/media/", "/"] {
            let shown = without_signature(&format!("{before}{link}.c2VjcmV0"));
            assert_eq!(shown, format!("{before}{link}.[signature]"));
            for after in [".", ".jpg", "%2E"] {
                let shown = without_signature(&format!("{before}{link}.c2VjcmV0{after}"));
                assert_eq!(shown, format!("{before}{link}.[signature]"), "{after}");
            }
        }
        for plain in [
            "/",
            "/docs/index.html",
            "/v1/sessions/ses_01kaq6h3zve9qbw4r2t8n5c7xd/qr.png",
        ] {
            assert_eq!(without_signature(plain), plain);
        }
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let request = Request::builder()
            .uri_str("/here")
            .method(Method::DELETE)
            .finish();
        let (response, problem) = ask(request).await;
        assert_eq!(problem.unwrap().code, "method_not_allowed");
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let (response, problem) = ask(get("/panics")).await;
        let problem = problem.unwrap();
        assert_eq!(
            (response.status().as_u16(), problem.code.as_str()),
            (500, "internal")
        );
        assert!(!problem.detail.contains("secret"));
    }
}

//! Pages for people, from files in the binary, without any request to another host: `/` leads to all
//! others, `/docs` is Swagger UI, `/docs/problems` lists the error codes. `/openapi.json` is the document, and
//! `/openapi-3.0.json` the same for generators that read only OpenAPI 3.0.
//!
//! None of them is an operation of the document: an SDK made from it would get methods that return HTML.
//!
//! The document and the files of Swagger UI are made when one of them is first asked for: that takes longer
//! than all else at a start, and most processes are never asked.

use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use poem::{
    Endpoint, EndpointExt as _, IntoResponse, Response, Route,
    endpoint::make_sync,
    http::{HeaderValue, header},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    problem::{Code, Problem},
    spec::Documents,
};

/// Allows only files of this server. Images may also be data URLs, and Swagger UI sets styles inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The paths of these pages, which are not in the document.
pub const PATHS: [&str; 8] = [
    "/",
    "/openapi.json",
    "/openapi-3.0.json",
    "/docs",
    "/docs/swagger-ui.js",
    "/docs/swagger-ui.css",
    "/docs/start.js",
    "/docs/problems",
];

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Passerelle API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"#;

const WELCOME: &str = concat!(
    r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Passerelle</title>
<link rel="icon" href="data:,">
<style>body { font-family: sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; line-height: 1.5 }</style>
</head>
<body>
<h1>Passerelle "#,
    env!("CARGO_PKG_VERSION"),
    r#"</h1>
<p>A WhatsApp gateway is running here.</p>
<ul>
<li><a href="/docs">API reference</a>: read about every operation and try it with your API key</li>
<li><a href="/openapi.json">OpenAPI document</a>: to generate a client from</li>
<li><a href="/docs/problems">Problems</a>: every error code and what it means</li>
<li><a href="/healthz">Health</a>, <a href="/readyz">readiness</a>, <a href="/metrics">metrics</a>: for the operator</li>
</ul>
<p>The guide explains installation, sessions, sending, media, webhooks, groups, errors and limits. It is in the folder
<code>docs/guide</code> of Passerelle's source code.</p>
</body>
</html>
"#
);

const START: &str = "SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#ui',
  deepLinking: true,
  filter: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The forms of the document as they are sent.
struct Forms {
    whole: Bytes,
    without_webhooks: Bytes,
    three_zero: Bytes,
}

impl Forms {
    fn of(documents: &Documents) -> Self {
        let json = |document: &Value| {
            Bytes::from(serde_json::to_string(document).expect("JSON serialises"))
        };
        Self {
            whole: json(&documents.whole),
            without_webhooks: json(&documents.without_webhooks),
            three_zero: json(&documents.three_zero),
        }
    }
}

/// The two files of Swagger UI in poem-openapi.
struct Assets {
    script: Bytes,
    style: Bytes,
}

impl Assets {
    fn of_poem() -> Self {
        let page = poem_openapi::OpenApiService::new((), "", "").swagger_ui_html();
        Self::cut(&page).expect("poem-openapi inlines Swagger UI; a test checks it")
    }

    /// Cuts the files out of a page. poem-openapi offers only a page with both inline, which a strict policy
    /// refuses.
    fn cut(page: &str) -> Option<Self> {
        let style = between(page, "<style charset=\"UTF-8\">", "</style>")?;
        let script = between(page, "<script charset=\"UTF-8\">", "</script>\n</head>")?;
        Some(Self {
            script: script.to_owned().into(),
            style: style.to_owned().into(),
        })
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

/// Adds the pages to `route`.
pub fn add(route: Route, documents: fn() -> Documents) -> Route {
    let forms = Arc::new(LazyLock::new(move || Forms::of(&documents())));
    let script = Arc::new(LazyLock::new(Assets::of_poem));
    let style = Arc::clone(&script);
    route
        .at(
            "/openapi.json",
            document(Arc::clone(&forms), |forms, webhooks| {
                if webhooks {
                    &forms.whole
                } else {
                    &forms.without_webhooks
                }
            }),
        )
        .at(
            "/openapi-3.0.json",
            document(forms, |forms, _| &forms.three_zero),
        )
        .at("/docs", page(PAGE.to_owned()))
        .at("/docs/problems", page(problems()))
        .at(
            "/docs/start.js",
            file(SCRIPT, || Bytes::from_static(START.as_bytes())),
        )
        .at(
            "/docs/swagger-ui.js",
            file(SCRIPT, move || script.script.clone()),
        )
        .at(
            "/docs/swagger-ui.css",
            file("text/css; charset=utf-8", move || style.style.clone()),
        )
}

/// Answers `/` before `inner`. It is no route beside the others: poem's router gives `/` to the endpoint that is
/// nested there.
pub fn welcome(
    inner: impl Endpoint<Output = Response> + 'static,
) -> impl Endpoint<Output = Response> {
    let page = Arc::new(page(WELCOME.to_owned()));
    inner.around(move |inner, request| {
        let page = Arc::clone(&page);
        async move {
            match request.uri().path() {
                "/" => page.call(request).await,
                _ => inner.call(request).await,
            }
        }
    })
}

/// What of the document is wanted.
#[derive(Debug, Deserialize)]
struct Wanted {
    webhooks: Option<bool>,
}

/// Answers with the form that `choose` returns. It is told whether webhooks are wanted: `webhooks=false` in the
/// query says no.
fn document(
    forms: Arc<impl Deref<Target = Forms> + Send + Sync + 'static>,
    choose: fn(&Forms, bool) -> &Bytes,
) -> impl Endpoint<Output = Response> + 'static {
    let answer = make_sync(move |request: poem::Request| {
        let Ok(wanted) = request.params::<Wanted>() else {
            let problem = Problem::new(Code::ValidationFailed);
            return Err(problem.parameter("webhooks", "invalid", "`true` or `false`"));
        };
        let document = choose(&forms, wanted.webhooks.unwrap_or(true));
        Ok(no_cache("application/json", document.clone()))
    });
    poem::RouteMethod::new().get(answer)
}

fn no_cache(kind: &'static str, content: Bytes) -> Response {
    Response::builder()
        .content_type(kind)
        .header(header::CACHE_CONTROL, "no-cache")
        .body(content)
}

fn file(
    kind: &'static str,
    content: impl Fn() -> Bytes + Send + Sync + 'static,
) -> impl Endpoint<Output = Response> + 'static {
    poem::RouteMethod::new().get(make_sync(move |_| no_cache(kind, content())))
}

fn page(content: String) -> impl Endpoint<Output = Response> + 'static {
    let answer = make_sync(move |_| {
        let policy = HeaderValue::from_static(POLICY);
        poem::web::Html(content.clone())
            .with_header(header::CONTENT_SECURITY_POLICY, policy)
            .into_response()
    });
    poem::RouteMethod::new().get(answer)
}

fn row(code: Code) -> String {
    let (name, status, title) = (code.as_str(), code.status(), code.title());
    format!(
        "<tr id=\"{name}\"><td><code>{name}</code></td><td>{status}</td><td>{title}</td></tr>\n"
    )
}

fn problems() -> String {
    let rows: Vec<_> = Code::ALL.iter().copied().map(row).collect();
    let rows = rows.concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Problems</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n</head>\n<body>\n<h1>Problems</h1>\n<p>Every error has a body of type \
         <code>application/problem+json</code> (RFC 9457). Branch on <code>code</code>: its meaning never changes.</p>\n\
         <table>\n<tr><th>code</th><th>status</th><th>meaning</th></tr>\n{rows}</table>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_cut_out_whole() {
        let assets = Assets::of_poem();
        let text = |file: &Bytes| String::from_utf8(file.to_vec()).unwrap();
        let (script, style) = (text(&assets.script), text(&assets.style));
        assert!(script.contains("SwaggerUIBundle"));
        assert!(script.len() > 500_000, "{}", script.len());
        assert!(!script.contains("<div id=\"ui\">"));
        assert!(style.contains(".swagger-ui"));
    }

    #[test]
    fn every_code_has_its_anchor_on_the_problems_page() {
        let page = problems();
        for code in Code::ALL {
            assert!(page.contains(&format!("<tr id=\"{}\">", code.as_str())));
        }
    }
}

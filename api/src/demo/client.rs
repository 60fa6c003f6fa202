//! HTTP as an outside user speaks it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// One server and what to show it.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub(super) fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        // The demo speaks to this machine alone, so no proxy of the environment may step between.
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build();
        Ok(Self {
            http: http.context("making an HTTP client")?,
            base: base.to_owned(),
            key: key.to_owned(),
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.key.is_empty() {
            request
        } else {
            request.bearer_auth(&self.key)
        }
    }

    /// Posts a body, or nothing when it is null; any answer but 2xx is an error.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        let (status, answer) = answer(request).await?;
        good(path, status, answer)
    }

    /// Any answer but 2xx is an error.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = answer(self.request(Method::GET, path)).await?;
        good(path, status, answer)
    }

    /// None while the answer is 409: not yet.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (status, answer) = answer(self.request(Method::GET, path)).await?;
        if status == StatusCode::CONFLICT {
            return Ok(None);
        }
        good(path, status, answer).map(Some)
    }
}

async fn answer(request: RequestBuilder) -> anyhow::Result<(StatusCode, Value)> {
    let response = request.send().await.context("calling")?;
    let status = response.status();
    let bytes = response.bytes().await.context("reading the answer")?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
}

fn good(path: &str, status: StatusCode, answer: Value) -> anyhow::Result<Value> {
    if status.is_success() {
        return Ok(answer);
    }
    bail!("{path} answered {status}: {answer}")
}

/// A text field that must be there.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    value[field]
        .as_str()
        .with_context(|| format!("the answer has no `{field}`"))
}

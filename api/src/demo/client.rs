//! An HTTP client, as an outside user would write it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// A server and the key for it.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub(super) fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        // The demo talks only to this machine, so a proxy from the environment must not be used.
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

    /// Posts a body, or nothing if it is null. Any answer but 2xx is an error.
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

    /// Replaces a resource. Any answer but 2xx is an error.
    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = answer(self.request(Method::PUT, path).json(body)).await?;
        good(path, status, answer)
    }

    /// Deletes a resource. Any answer but 2xx is an error.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = answer(self.request(Method::DELETE, path)).await?;
        good(path, status, answer)
    }

    /// Gets a resource. Any answer but 2xx is an error.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = answer(self.request(Method::GET, path)).await?;
        good(path, status, answer)
    }

    /// Gets a resource. Returns `None` if the answer is 409, which means "not yet".
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

/// Returns a text field. It is an error if it is missing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    value[field]
        .as_str()
        .with_context(|| format!("the answer has no `{field}`"))
}

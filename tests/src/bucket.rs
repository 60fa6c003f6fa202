//! An independent S3 server (moto) with one bucket.

use anyhow::{Context as _, Result};
use std::{path::Path, process::Stdio};
use tokio::process::{Child, Command};

use crate::{port, wait::soon, world::install_tls};

/// The server accepts any signature, but refuses to show objects without one.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, \
    SignedHeaders=host, Signature=0";

/// The server and its bucket. Dropping this stops the server.
#[derive(Debug)]
pub struct Bucket {
    port: u16,
    http: reqwest::Client,
    _process: Child,
}

impl Bucket {
    /// Starts the server on a free port and makes the bucket; its log goes to `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        install_tls();
        let program = std::env::var("PASSERELLE_TEST_MOTO")
            .context("PASSERELLE_TEST_MOTO is not set: start the tests with tests/run")?;
        let port = port::free()?;
        let log = std::fs::File::create(folder.join("bucket.log"))?;
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting moto_server: start the tests with tests/run")?;
        let bucket = Self {
            port,
            http: reqwest::Client::builder().no_proxy().build()?,
            _process: process,
        };
        soon("the server has made the bucket", async || {
            let made = bucket
                .http
                .put(format!("{}/files", bucket.url()))
                .send()
                .await;
            Ok(made
                .is_ok_and(|made| made.status().is_success())
                .then_some(()))
        })
        .await?;
        Ok(bucket)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the value of `--media-store`.
    pub fn place(&self) -> &'static str {
        "s3://files/kept"
    }

    /// Returns the environment variables that this store needs.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.url();
        let pairs = [
            ("AWS_ACCESS_KEY_ID", "tests"),
            ("AWS_SECRET_ACCESS_KEY", "tests"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT", &url),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// Lists the names of the objects.
    pub async fn objects(&self) -> Result<Vec<String>> {
        let list = self.http.get(format!("{}/files?list-type=2", self.url()));
        let list = list.send().await?.text().await?;
        let keys = list.split("<Key>").skip(1);
        Ok(keys
            .filter_map(|key| Some(key.split_once("</Key>")?.0.to_owned()))
            .collect())
    }

    /// Returns the bytes of an object.
    pub async fn object(&self, name: &str) -> Result<Vec<u8>> {
        let object = self.http.get(format!("{}/files/{name}", self.url()));
        let object = object.header("authorization", SIGNED);
        Ok(object
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?
            .to_vec())
    }
}

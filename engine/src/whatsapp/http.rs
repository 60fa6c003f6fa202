//! The library's HTTP client, for media and history. All connections share it.

use std::{io::Read, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
};
use tokio_util::task::TaskTracker;
use wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};

use super::address::ServerAddress;

/// Maximum time to connect to a host.
const CONNECT: Duration = Duration::from_secs(10);
/// Maximum time without progress in a transfer.
const STILL: Duration = Duration::from_secs(30);
/// Size of the chunks that an upload is read in. Up to [`AHEAD`] chunks wait to be sent.
const CHUNK: usize = 64 * 1024;
const AHEAD: usize = 4;
/// Maximum size of an answer that is held in memory as a whole.
const WHOLE_MAX: usize = 64 * 1024 * 1024;

/// The shared clients. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Http {
    clients: Result<Clients, Arc<str>>,
    tasks: TaskTracker,
    /// Maximum time without progress in a transfer.
    still: Duration,
}

/// Uploads need a client without a read timeout: that timeout runs from the request to the answer,
/// and an upload is answered only after its last byte.
#[derive(Clone, Debug)]
struct Clients {
    plain: Client,
    uploads: Client,
}

impl Clients {
    fn over(tls: &rustls::ClientConfig, still: Duration) -> reqwest::Result<Self> {
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .no_proxy()
                // A media host that sends us elsewhere is not obeyed: a path may come from a stranger.
                .redirect(Policy::none())
                .connect_timeout(CONNECT)
                .pool_max_idle_per_host(4)
        };
        Ok(Self {
            plain: builder().read_timeout(still).build()?,
            uploads: builder().build()?,
        })
    }
}

impl Http {
    /// Makes the clients for `address`. If there are no usable root certificates, each request
    /// fails with that reason.
    pub(super) fn new(address: &ServerAddress, tasks: TaskTracker) -> Self {
        let clients =
            super::tls::client_config(address).and_then(|tls| Ok(Clients::over(&tls, STILL)?));
        Self {
            clients: clients.map_err(|error| format!("{error:#}").into()),
            tasks,
            still: STILL,
        }
    }

    /// Clients for plain HTTP. They accept no certificate.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self::hasty(STILL)
    }

    /// As [`Http::plain`], with a shorter limit for a transfer without progress.
    #[cfg(test)]
    fn hasty(still: Duration) -> Self {
        let provider = rustls::crypto::ring::default_provider().into();
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Self {
            clients: Ok(Clients::over(&tls, still).unwrap()),
            tasks: TaskTracker::new(),
            still,
        }
    }

    /// A client that fails every request.
    #[cfg(test)]
    pub(super) fn broken() -> Self {
        Self {
            clients: Err("no roots".into()),
            tasks: TaskTracker::new(),
            still: STILL,
        }
    }

    /// Returns the text of a page of at most `max` bytes. Any status other than 2xx is an error.
    pub(super) async fn page(&self, url: &str, max: usize) -> anyhow::Result<String> {
        let request = HttpRequest::get(url).with_header("sec-fetch-site", "none");
        let reply = sent(self.start(&request)?.timeout(self.still)).await?;
        let status = reply.status();
        anyhow::ensure!(status.is_success(), "the server answered {status}");
        let page = whole(reply, max).await?;
        String::from_utf8(page).context("reading the page as text")
    }

    /// Sends a request. The body of the answer is still to be read.
    pub(super) async fn stream(&self, request: &HttpRequest) -> anyhow::Result<Response> {
        Ok(sent(self.start(request)?).await?)
    }

    fn clients(&self) -> anyhow::Result<&Clients> {
        let clients = self.clients.as_ref();
        clients.map_err(|why| anyhow::anyhow!("no HTTP client: {why}"))
    }

    fn start(&self, request: &HttpRequest) -> anyhow::Result<RequestBuilder> {
        shaped(&self.clients()?.plain, request)
    }
}

fn shaped(client: &Client, request: &HttpRequest) -> anyhow::Result<RequestBuilder> {
    let method = Method::from_bytes(request.method.as_bytes())?;
    let mut builder = client.request(method, &request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    Ok(builder)
}

/// Returns when there was no progress for the time `still`.
async fn stood_still(moved: &Notify, still: Duration) {
    while tokio::time::timeout(still, moved.notified()).await.is_ok() {}
}

/// An answer is `Ok` whatever its status is: the library handles 401 and 404 itself.
#[async_trait]
impl HttpClient for Http {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let mut builder = self.start(&request)?;
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        answer(sent(builder).await?).await
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let runtime = Handle::try_current()?;
        let reply = runtime.block_on(sent(self.start(&request)?))?;
        Ok(StreamingHttpResponse {
            status_code: reply.status().as_u16(),
            body: Box::new(Download {
                runtime,
                reply,
                chunk: Bytes::new(),
            }),
        })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    /// The request runs as a separate task, while this thread reads `body` and passes it on.
    fn execute_upload(
        &self,
        request: HttpRequest,
        mut body: UploadBody,
        content_length: u64,
    ) -> anyhow::Result<HttpResponse> {
        let runtime = Handle::try_current()?;
        let (give, mut take) = mpsc::channel::<std::io::Result<Bytes>>(AHEAD);
        let (moved, still) = (Arc::new(Notify::new()), self.still);
        let moves = Arc::clone(&moved);
        let chunks = futures_util::stream::poll_fn(move |cx| {
            moves.notify_one();
            take.poll_recv(cx)
        });
        let request = shaped(&self.clients()?.uploads, &request)?
            .header(reqwest::header::CONTENT_LENGTH, content_length)
            .body(reqwest::Body::wrap_stream(chunks));
        let sending = async move {
            tokio::select! {
                reply = async { answer(sent(request).await?).await } => reply,
                () = stood_still(&moved, still) => bail!("the upload made no progress"),
            }
        };
        let reply = self.tasks.spawn_on(sending, &runtime);
        feed(&mut body, &give);
        drop(give);
        runtime.block_on(reply)?
    }
}

/// Passes the body on, chunk by chunk, until it ends, fails, or the receiver is gone.
fn feed(body: &mut UploadBody, give: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let chunk = read_chunk(body);
        let failed = chunk.is_err();
        let ended = chunk.as_ref().is_ok_and(Bytes::is_empty);
        if ended || give.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}

fn read_chunk(body: &mut UploadBody) -> std::io::Result<Bytes> {
    let mut chunk = vec![0; CHUNK];
    let read = body.read(&mut chunk)?;
    chunk.truncate(read);
    Ok(chunk.into())
}

/// Sends a request. The URL is removed from errors, because media URLs contain tokens.
async fn sent(request: RequestBuilder) -> reqwest::Result<Response> {
    request.send().await.map_err(reqwest::Error::without_url)
}

async fn answer(reply: Response) -> anyhow::Result<HttpResponse> {
    Ok(HttpResponse {
        status_code: reply.status().as_u16(),
        body: whole(reply, WHOLE_MAX).await?,
    })
}

/// Reads the whole body. Fails before it holds more than `max` bytes.
async fn whole(mut reply: Response, max: usize) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(reqwest::Error::without_url)? {
        anyhow::ensure!(
            body.len() + chunk.len() <= max,
            "the answer is longer than {max} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A body that a blocking thread reads, chunk by chunk.
struct Download {
    runtime: Handle,
    reply: Response,
    chunk: Bytes,
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            let next = self.runtime.block_on(self.reply.chunk());
            match next.map_err(|error| std::io::Error::other(error.without_url()))? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let n = into.len().min(self.chunk.len());
        into[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::spawn_blocking,
    };

    use super::*;

    /// Reads one request, answers it, and returns its head and body.
    async fn serve_one(listener: TcpListener, reply: Vec<u8>) -> (String, Vec<u8>) {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
        socket.read_exact(&mut body).await.unwrap();
        socket.write_all(&reply).await.unwrap();
        (head, body)
    }

    fn reply(status: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mms/image", listener.local_addr().unwrap());
        (listener, url)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn an_upload_is_streamed_with_its_exact_length() {
        let (listener, url) = listen().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (http, body) = (Http::plain(), sent.clone());
        let upload = spawn_blocking(move || {
            let reader = Box::new(std::io::Cursor::new(body));
            http.execute_upload(HttpRequest::post(url), reader, 1_000_000)
        });
        let served = serve_one(listener, reply("200 OK", b"{}"));
        let ((head, got), uploaded) = tokio::join!(served, upload);
        assert!(
            !head.contains("transfer-encoding"),
            "WhatsApp refuses chunks"
        );
        assert!(got == sent);
        assert_eq!(uploaded.unwrap().unwrap().body, b"{}");
    }

    /// A body that arrives slowly.
    struct Slow(usize);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(Duration::from_millis(100));
            let n = self.0.min(1);
            self.0 -= n;
            into[..n].fill(b'x');
            Ok(n)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn an_upload_may_be_slow_but_not_stand_still() {
        let http = Http::hasty(Duration::from_millis(500));
        let upload = |url| {
            let http = http.clone();
            spawn_blocking(move || {
                http.execute_upload(HttpRequest::post(url), Box::new(Slow(10)), 10)
            })
        };
        // The upload takes twice as long as it may go without progress.
        let (listener, url) = listen().await;
        let served = serve_one(listener, reply("200 OK", b"{}"));
        let ((_, body), uploaded) = tokio::join!(served, upload(url));
        assert_eq!(
            (body.len(), uploaded.unwrap().unwrap().status_code),
            (10, 200)
        );
        // The body is read completely, and no answer is sent.
        let (listener, url) = listen().await;
        let upload = upload(url);
        let (mut socket, _) = listener.accept().await.unwrap();
        let error = upload.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("no progress"), "{error:#}");
        // The connection is closed, too.
        let mut all = Vec::new();
        let read = socket.read_to_end(&mut all);
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert!(ended.is_ok() && all.ends_with(b"xxxxxxxxxx"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_download_is_read_as_it_comes() {
        let (listener, url) = listen().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let http = Http::plain();
        let download = spawn_blocking(move || {
            let mut reply = http.execute_streaming(HttpRequest::get(url)).unwrap();
            let mut body = Vec::new();
            reply.body.read_to_end(&mut body).unwrap();
            (reply.status_code, body)
        });
        let (_, download) = tokio::join!(serve_one(listener, reply("206 x", &sent)), download);
        assert!(download.unwrap() == (206, sent));
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_no_error() {
        let (listener, url) = listen().await;
        let http = Http::plain();
        let request = http.execute(HttpRequest::get(url));
        let (_, answer) = tokio::join!(serve_one(listener, reply("401 no", b"stale")), request);
        let answer = answer.unwrap();
        assert_eq!((answer.status_code, &*answer.body), (401, &b"stale"[..]));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let (elsewhere, target) = listen().await;
        let (listener, url) = listen().await;
        let moved = format!("HTTP/1.1 302 x\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let http = Http::plain();
        let request = http.execute(HttpRequest::get(url));
        let served = serve_one(listener, moved.into_bytes());
        let (_, answer) = tokio::join!(served, request);
        assert_eq!(answer.unwrap().status_code, 302);
        let followed = std::future::poll_fn(|cx| elsewhere.poll_accept(cx));
        let followed = futures_util::FutureExt::now_or_never(followed);
        assert!(followed.is_none(), "the redirect was followed");
    }

    #[tokio::test]
    async fn a_failure_does_not_name_the_address() {
        let request = HttpRequest::get("http://127.0.0.1:1/mms/image?auth=secret");
        let error = Http::plain().execute(request).await.unwrap_err();
        assert!(!format!("{error:#}").contains("secret"));
    }
}

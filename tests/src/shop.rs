//! A web server for the files that a tenant's addresses point to, with faults on demand.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use poem::{
    Body, Endpoint, Request, Response, Server,
    http::{StatusCode, header},
    listener::{Acceptor as _, Listener as _, TcpListener},
};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How the shop answers for a path.
#[derive(Debug, Clone)]
pub enum Page {
    /// 200 with this body and this `Content-Type`, which may be wrong.
    File(&'static str, Vec<u8>),
    /// 200 with this `Content-Disposition` and this body.
    Named(&'static str, Vec<u8>),
    /// 200 with this body, without `Content-Length`.
    Chunked(Vec<u8>),
    /// This status.
    Status(u16),
    /// 302 to this address.
    Moved(String),
    /// 200 and half of this body. Then the connection breaks.
    Broken(Vec<u8>),
    /// No answer, not even a status.
    Silent,
    /// 200 without any byte of the body.
    Hanging,
    /// 200 and one byte of this body per second.
    Trickling(Vec<u8>),
    /// 200 with fewer bytes than `Content-Length` says.
    Short(Vec<u8>),
    /// 200 with an endless body.
    Endless,
    /// This page, for an agent whose `User-Agent` begins so; 403 for others.
    For(&'static str, Box<Page>),
}

/// The server.
pub struct Shop {
    base: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    _serving: AbortOnDropHandle<()>,
}

type Pages = Arc<Mutex<HashMap<String, Page>>>;

impl Shop {
    /// Starts on a free port.
    pub async fn open() -> Result<Self> {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
        let address = acceptor.local_addr().into_iter().next();
        let address = address.context("it is listening")?;
        let address = *address.as_socket_addr().context("it is listening on TCP")?;
        let (pages, asked) = (Pages::default(), Arc::default());
        let till = Till {
            pages: Arc::clone(&pages),
            asked: Arc::clone(&asked),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = async move {
            let grace = Some(Duration::from_millis(10));
            let server = Server::new_with_acceptor(acceptor);
            server
                .run_with_graceful_shutdown(till, stopped, grace)
                .await
                .ok();
        };
        #[expect(clippy::disallowed_methods, reason = "aborted with the shop")]
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        Ok(Self {
            base: format!("http://{address}"),
            pages,
            asked,
            stop,
            _serving: serving,
        })
    }

    /// Sets the page of a path and returns its address.
    pub fn put(&self, path: &str, page: Page) -> String {
        lock(&self.pages).insert(path.to_owned(), page);
        format!("{}{path}", self.base)
    }

    /// Returns how often a path was requested.
    pub fn asked(&self, path: &str) -> usize {
        let asked = lock(&self.asked);
        asked.iter().filter(|one| *one == path).count()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Till {
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Endpoint for Till {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let page = lock(&self.pages).get(&path).cloned();
        lock(&self.asked).push(path);
        if matches!(page, Some(Page::Silent)) {
            return std::future::pending().await;
        }
        let agent = request.header(header::USER_AGENT).unwrap_or_default();
        Ok(match page {
            Some(Page::For(known, page)) if agent.starts_with(known) => answer(*page),
            page => answer(page.unwrap_or(Page::Status(404))),
        })
    }
}

fn answer(page: Page) -> Response {
    let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
    match page {
        Page::File(kind, body) => Response::builder().content_type(kind).body(body),
        Page::Named(disposition, body) => Response::builder()
            .header(header::CONTENT_DISPOSITION, disposition)
            .body(body),
        Page::Chunked(body) => {
            let all = stream::iter([Ok::<_, io::Error>(Bytes::from(body))]);
            Response::builder().body(Body::from_bytes_stream(all))
        }
        Page::Status(code) => Response::builder().status(status(code)).finish(),
        Page::For(..) => Response::builder().status(StatusCode::FORBIDDEN).finish(),
        Page::Moved(to) => Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, to)
            .finish(),
        Page::Broken(body) => {
            let half = Bytes::from(body[..body.len() / 2].to_vec());
            let chunks = stream::iter([Ok(half), Err(broken())]);
            let response = Response::builder().header(header::CONTENT_LENGTH, body.len());
            response.body(Body::from_bytes_stream(chunks))
        }
        Page::Silent | Page::Hanging => {
            let never = stream::pending::<io::Result<Bytes>>();
            Response::builder().body(Body::from_bytes_stream(never))
        }
        Page::Trickling(body) => {
            let drops = stream::iter(body).then(async |byte| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, io::Error>(Bytes::from(vec![byte]))
            });
            Response::builder().body(Body::from_bytes_stream(drops))
        }
        Page::Short(body) => {
            let response = Response::builder().header(header::CONTENT_LENGTH, body.len() + 1000);
            let all = stream::iter([Ok::<_, io::Error>(Bytes::from(body))]);
            response.body(Body::from_bytes_stream(all))
        }
        Page::Endless => {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let chunks = stream::repeat(chunk).map(Ok::<_, io::Error>);
            Response::builder().body(Body::from_bytes_stream(chunks))
        }
    }
}

//! Redis: the server that the tests share, and one of a test's own, which may be emptied and killed.

use anyhow::{Context as _, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use tokio_util::task::AbortOnDropHandle;

use crate::wait::soon;

/// The server that no test may empty or stop.
pub fn shared() -> Result<String> {
    std::env::var("PASSERELLE_TEST_REDIS")
        .context("PASSERELLE_TEST_REDIS names no server: start the tests with tests/run")
}

/// A server of the test's own, empty at every start. It ends with this.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    folder: PathBuf,
    process: Child,
}

impl Redis {
    /// Starts one on a free port; its files go to `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let free = TcpListener::bind("127.0.0.1:0").await?;
        let port = free.local_addr()?.port();
        drop(free);
        let redis = Self {
            port,
            folder: folder.to_owned(),
            process: spawn(port, folder)?,
        };
        redis.answers().await?;
        Ok(redis)
    }

    /// What `--redis-url` is given.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Forgets all it holds.
    pub async fn empty(&self) -> Result<()> {
        let answer = self.ask("FLUSHALL").await?;
        ensure!(answer.starts_with("+OK"), "FLUSHALL: {answer}");
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Starts it again after a kill.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.port, &self.folder)?;
        self.answers().await
    }

    /// Hears every command from now on, with all that it carries.
    pub async fn overhear(&self) -> Result<Overheard> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.write_all(b"MONITOR\r\n").await?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        #[expect(clippy::disallowed_methods, reason = "aborted with what it heard")]
        let listening = tokio::spawn(async move {
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = socket.read(&mut chunk).await {
                let mut heard = hearing.lock().unwrap_or_else(PoisonError::into_inner);
                heard.extend_from_slice(&chunk[..read]);
            }
        });
        Ok(Overheard {
            heard,
            _listening: AbortOnDropHandle::new(listening),
        })
    }

    /// Sends one line, as the protocol allows, and reads the start of the answer.
    async fn ask(&self, line: &str) -> Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.write_all(format!("{line}\r\n").as_bytes()).await?;
        let mut answer = [0; 64];
        let read = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut answer)).await??;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    async fn answers(&self) -> Result<()> {
        soon("Redis answers", async || {
            let answer = self.ask("PING").await.unwrap_or_default();
            Ok(answer.starts_with("+PONG").then_some(()))
        })
        .await
    }
}

/// What was said to a Redis.
#[derive(Debug)]
pub struct Overheard {
    heard: Arc<Mutex<Vec<u8>>>,
    _listening: AbortOnDropHandle<()>,
}

impl Overheard {
    /// All of it so far.
    pub fn bytes(&self) -> Vec<u8> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }
}

fn spawn(port: u16, folder: &Path) -> Result<Child> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting redis-server: start the tests with tests/run")
}

//! Redis: the server that all tests share, and one for a single test, which can be flushed and killed.

use anyhow::{Context as _, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{authority::Certificate, port, process::signal, wait::soon};

/// Returns the shared server. Tests must not flush or stop it.
pub fn shared() -> Result<String> {
    std::env::var("PASSERELLE_TEST_REDIS")
        .context("PASSERELLE_TEST_REDIS is not set: start the tests with tests/run")
}

/// A server for one test, empty at every start. Dropping this stops it.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    folder: PathBuf,
    process: Child,
}

impl Redis {
    /// Starts one on a free port. Its files are written to `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let port = port::free()?;
        let redis = Self {
            port,
            folder: folder.to_owned(),
            process: spawn(port, folder)?,
        };
        redis.answers().await?;
        Ok(redis)
    }

    /// Speaks TLS with this certificate from now on, on another port. Returns that port.
    pub async fn certify(&self, certificate: &Certificate) -> Result<u16> {
        let port = port::free()?;
        let [file, key] = ["redis.crt", "redis.key"].map(|name| self.folder.join(name));
        std::fs::write(&file, &certificate.certificate)?;
        std::fs::write(&key, &certificate.key)?;
        let (file, key) = (file.display(), key.display());
        // The port of TLS is the last, because it begins to listen at once.
        self.told("CONFIG SET tls-auth-clients no").await?;
        self.told(&format!(
            "CONFIG SET tls-cert-file {file} tls-key-file {key} tls-ca-cert-file {file} tls-port {port}"
        ))
        .await?;
        Ok(port)
    }

    /// Returns the value of `--redis-url`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Records every command that it receives from now on.
    pub async fn overhear(&self) -> Result<Overheard> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.write_all(b"MONITOR\r\n").await?;
        let heard = Overheard::default();
        let said = Arc::clone(&heard.0);
        #[expect(clippy::disallowed_methods, reason = "it ends with the server")]
        tokio::spawn(async move {
            let mut chunk = vec![0; 16 << 10];
            while let Ok(read @ 1..) = socket.read(&mut chunk).await {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend(&chunk[..read]);
            }
        });
        Ok(heard)
    }

    /// Flushes all its data.
    pub async fn empty(&self) -> Result<()> {
        self.told("FLUSHALL").await
    }

    /// Kills it, like a power cut.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }

    /// Starts it again after a kill.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.port, &self.folder)?;
        self.answers().await
    }

    /// Pauses it for this long. Its connections stay open.
    pub async fn halt(&self, time: Duration) -> Result<()> {
        let pid = self.process.id().context("Redis is running")?;
        signal(pid, "STOP")?;
        tokio::time::sleep(time).await;
        signal(pid, "CONT")
    }

    /// Makes its memory full, or not full again.
    pub async fn fill(&self, full: bool) -> Result<()> {
        let most = if full { "1" } else { "0" };
        self.told(&format!("CONFIG SET maxmemory {most}")).await
    }

    /// Runs a command and checks that it succeeded.
    pub(crate) async fn told(&self, line: &str) -> Result<()> {
        let answer = self.ask(line).await?;
        ensure!(!answer.starts_with('-'), "{line}: {answer}");
        Ok(())
    }

    /// Returns the channels that somebody listens to.
    pub async fn channels(&self) -> Result<Vec<String>> {
        let answer = self.ask("PUBSUB CHANNELS").await?;
        // Every second line is a length.
        let names = answer.lines().filter(|line| !line.starts_with(['*', '$']));
        Ok(names.map(str::to_owned).collect())
    }

    /// Returns how many commands it has run since its start, including this one.
    pub async fn commands(&self) -> Result<f64> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        // It closes the connection after its answer.
        socket.write_all(b"INFO stats\r\nQUIT\r\n").await?;
        let mut told = String::new();
        let told_all = socket.read_to_string(&mut told);
        tokio::time::timeout(Duration::from_secs(5), told_all).await??;
        let commands = told
            .lines()
            .find_map(|line| line.strip_prefix("total_commands_processed:"));
        let commands = commands.context("Redis counts its commands")?;
        Ok(commands.trim().parse()?)
    }

    /// Sends a command as one line, which the protocol allows, and reads the start of the answer.
    pub(crate) async fn ask(&self, line: &str) -> Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.write_all(format!("{line}\r\n").as_bytes()).await?;
        let mut answer = [0; 4 << 10];
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

/// The commands that a Redis server received, as `MONITOR` prints them: `"SET" "key" "value"`.
#[derive(Debug, Default)]
pub struct Overheard(Arc<Mutex<Vec<u8>>>);

impl Overheard {
    /// Returns everything recorded so far.
    pub fn so_far(&self) -> Vec<u8> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
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

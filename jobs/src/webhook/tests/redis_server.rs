//! A test's own Redis server, which can be flushed, stopped and killed.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{FromRedisValue, aio::MultiplexedConnection};
use tempfile::TempDir;

use super::SOON;

/// The server; it ends when this is dropped.
pub(super) struct RedisServer {
    port: u16,
    process: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one on a free port; `None` if the tests have no Redis server.
    pub(super) async fn start() -> Option<Self> {
        std::env::var_os("PASSERELLE_TEST_REDIS")?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let process = spawn(port, &folder);
        let server = Self {
            port,
            process,
            folder,
        };
        server.answers().await;
        Some(server)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a power cut would.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, empty.
    pub(super) async fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder);
        self.answers().await;
    }

    /// Suspends it (`STOP`) or resumes it (`CONT`).
    pub(super) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Runs a command, given as words.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().unwrap());
        for word in words {
            asked.arg(word);
        }
        let mut conn = self.connection().await.unwrap();
        asked.query_async(&mut conn).await.unwrap()
    }

    pub(super) async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        client.get_multiplexed_async_connection().await
    }

    async fn answers(&self) {
        let answers = async {
            while self.connection().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, answers)
            .await
            .expect("Redis answers");
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

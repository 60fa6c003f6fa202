//! The gateway as a process that can be killed and started again on the same store.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{
    api::{Api, Base},
    backing::{Backing, Database},
    process::{Process, command, sandbox_binary},
};

/// The admin key of every gateway under test.
pub const ADMIN_KEY: &str = "padm_4n1QkXo0rVb8mYt6cJ2sZp7wHd9gLfUeTaRi3KxBv5M";

/// How a gateway under test is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Shortest gap between two sends of a session.
    pub gap_floor_ms: u64,
    /// Longest gap.
    pub gap_ceiling_ms: u64,
    /// How long typing is shown before a send.
    pub typing_ms: u64,
    /// How long a send waits for the server's acknowledgement.
    pub ack_timeout_ms: u64,
    /// Requests an organisation may make in a minute.
    pub requests_per_minute: u32,
    /// Crash points to arm, as the crate `fail` reads them.
    pub failpoints: Option<String>,
    /// Log directives.
    pub log: String,
    /// The key-encryption keys.
    pub kek: String,
    /// Further flags.
    pub flags: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            gap_floor_ms: 200,
            gap_ceiling_ms: 600,
            typing_ms: 20,
            ack_timeout_ms: 5_000,
            // Tests ask as fast as they can.
            requests_per_minute: 10_000_000,
            failpoints: None,
            log: "info,passerelle=debug,passerelle::edge=info".to_owned(),
            kek: kek("k1", 7),
            flags: Vec::new(),
        }
    }
}

impl Setup {
    /// Gaps as short as a test can want them.
    pub fn quick() -> Self {
        Self {
            gap_floor_ms: 10,
            gap_ceiling_ms: 30,
            typing_ms: 0,
            ..Self::default()
        }
    }
}

/// A key-encryption key as `PASSERELLE_KEK` takes it.
pub fn kek(id: &str, byte: u8) -> String {
    format!("{id}:{}", STANDARD.encode([byte; 32]))
}

/// A gateway, running or not.
#[derive(Debug)]
pub struct Gateway {
    /// How it is set up; a change holds from the next start.
    pub setup: Setup,
    /// Its store.
    pub database: Database,
    /// Where it answers.
    pub base: Base,
    folder: PathBuf,
    whatsapp: String,
    process: Option<Process>,
}

impl Gateway {
    /// A gateway on an empty store of its own, not yet started. `whatsapp` is the server's
    /// `ws://…` address; all files go to `folder`.
    pub async fn new(
        backing: Backing,
        folder: &Path,
        whatsapp: &str,
        setup: Setup,
    ) -> Result<Self> {
        Ok(Self {
            setup,
            database: Database::create(backing, folder).await?,
            base: Base::default(),
            folder: folder.to_owned(),
            whatsapp: whatsapp.to_owned(),
            process: None,
        })
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        let announce = self.spawn()?;
        let process = self.process.as_mut().context("just started")?;
        let told = process.announced(&announce).await?;
        self.base
            .set(told["api"].as_str().context("it tells where its API is")?);
        Ok(())
    }

    /// Starts it without waiting; gives the file it will write when it is ready.
    pub fn spawn(&mut self) -> Result<PathBuf> {
        let announce = self.folder.join("announce.json");
        std::fs::remove_file(&announce).ok();
        let mut command = command(&sandbox_binary()?);
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0"])
            .args(["--egress-allow", "127.0.0.0/8"])
            .args(["--whatsapp-url", &self.whatsapp])
            .args(["--gap-floor-ms", &self.setup.gap_floor_ms.to_string()])
            .args(["--gap-ceiling-ms", &self.setup.gap_ceiling_ms.to_string()])
            .args(["--typing-ms", &self.setup.typing_ms.to_string()])
            .args(["--ack-timeout-ms", &self.setup.ack_timeout_ms.to_string()])
            .args([
                "--requests-per-minute",
                &self.setup.requests_per_minute.to_string(),
            ])
            .arg("--announce")
            .arg(&announce)
            .args(&self.setup.flags)
            .env("PASSERELLE_DATABASE_URL", &self.database.url)
            .env("PASSERELLE_KEK", &self.setup.kek)
            .env("PASSERELLE_ADMIN_KEY", ADMIN_KEY)
            .env("RUST_LOG", &self.setup.log);
        if let Some(failpoints) = &self.setup.failpoints {
            command.env("FAILPOINTS", failpoints);
        }
        self.process = Some(Process::start(command, &self.log_file())?);
        Ok(announce)
    }

    /// Its process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the gateway does not run")
    }

    /// Kills it as a power cut would.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Kills it and starts it again on the same store, without any crash point.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.setup.failpoints = None;
        self.start().await
    }

    /// Waits until it ended by itself (a crash point), then starts it again without one.
    pub async fn crash_and_restart(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = self.process()?.ended(deadline).await?;
        self.setup.failpoints = None;
        self.start().await?;
        Ok(status)
    }

    /// Asks it to end and waits for that.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let mut process = self.process.take().context("the gateway does not run")?;
        process.terminate()?;
        process.ended(Duration::from_secs(30)).await
    }

    /// Where its log is.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        self.process
            .as_ref()
            .map(Process::log_end)
            .unwrap_or_default()
    }

    /// A client with the admin key.
    pub fn admin(&self) -> Result<Api> {
        Api::new(self.base.clone(), ADMIN_KEY)
    }
}

//! The gateway as processes that can be killed and started again on the same store.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{
    api::{Api, Base},
    backing::{Backing, Database},
    process::{Process, command, sandbox_binary},
    redis,
    wait::within,
};

/// The admin key of every gateway under test.
pub const ADMIN_KEY: &str = "padm_4n1QkXo0rVb8mYt6cJ2sZp7wHd9gLfUeTaRi3KxBv5M";

/// The processes of a cluster besides its api. Each name is a role and a letter.
pub const OTHERS: [&str; 4] = ["host-a", "host-b", "worker-a", "worker-b"];

/// How a gateway under test is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// A program that is started in place of the gateway, with its arguments, and then becomes the gateway.
    pub program: Option<PathBuf>,
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
    /// Sessions an organisation may have.
    pub sessions_per_organisation: u32,
    /// Connections to WhatsApp that a process opens per second after its start.
    pub connects_per_second: u32,
    /// Crash points to arm, in the syntax of the crate `fail`.
    pub failpoints: Option<String>,
    /// Log directives.
    pub log: String,
    /// The key-encryption keys.
    pub kek: String,
    /// The umask that its processes inherit. `None` means that of the test.
    pub umask: Option<&'static str>,
    /// Additional flags.
    pub flags: Vec<String>,
    /// Additional environment variables.
    pub environment: Vec<(String, String)>,
    /// The Redis server. A cluster without one uses that of `PASSERELLE_TEST_REDIS`.
    pub redis: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            program: None,
            gap_floor_ms: 200,
            gap_ceiling_ms: 600,
            typing_ms: 20,
            ack_timeout_ms: 5_000,
            // Tests send requests as fast as they can.
            requests_per_minute: 10_000_000,
            // Some tests have many sessions.
            sessions_per_organisation: 10_000,
            // Tests link many numbers at once.
            connects_per_second: 1_000,
            failpoints: None,
            log: "info,passerelle=debug,passerelle::edge=info".to_owned(),
            kek: kek("k1", 7),
            umask: None,
            flags: Vec::new(),
            environment: Vec::new(),
            redis: None,
        }
    }
}

impl Setup {
    /// Returns a setup with the shortest gaps that a test needs.
    pub fn quick() -> Self {
        Self {
            gap_floor_ms: 10,
            gap_ceiling_ms: 30,
            typing_ms: 0,
            ..Self::default()
        }
    }
}

/// Returns a key-encryption key in the format of `PASSERELLE_KEK`.
pub fn kek(id: &str, byte: u8) -> String {
    format!("{id}:{}", STANDARD.encode([byte; 32]))
}

/// A gateway, running or not.
#[derive(Debug)]
pub struct Gateway {
    /// Its setup. A change takes effect at the next start.
    pub setup: Setup,
    /// Its database.
    pub database: Database,
    /// Environment variables of single processes of the cluster.
    pub own: BTreeMap<&'static str, Vec<(&'static str, String)>>,
    /// Its address.
    pub base: Base,
    folder: PathBuf,
    whatsapp: String,
    process: Option<Process>,
    others: BTreeMap<&'static str, Process>,
}

impl Gateway {
    /// Prepares a gateway on an empty store of its own, without starting it. `whatsapp` is the server's
    /// `ws://…` address. All files are written to `folder`.
    pub async fn new(
        backing: Backing,
        folder: &Path,
        whatsapp: &str,
        setup: Setup,
    ) -> Result<Self> {
        let database = Database::create(backing, folder).await?;
        Ok(Self::over(database, folder, whatsapp, setup))
    }

    /// Like `new`, on an existing store.
    pub fn over(database: Database, folder: &Path, whatsapp: &str, setup: Setup) -> Self {
        Self {
            setup,
            database,
            own: BTreeMap::new(),
            base: Base::default(),
            folder: folder.to_owned(),
            whatsapp: whatsapp.to_owned(),
            process: None,
            others: BTreeMap::new(),
        }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        let announce = self.spawn()?;
        self.announced(&announce).await
    }

    /// Starts it without waiting. Returns the file it writes when it is ready.
    pub fn spawn(&mut self) -> Result<PathBuf> {
        let announce = self.spawn_api()?;
        if self.is_cluster() {
            for name in OTHERS {
                self.start_other(name)?;
            }
        }
        Ok(announce)
    }

    /// Starts the api of a cluster after it has ended, and waits until it is ready.
    pub async fn start_api(&mut self) -> Result<()> {
        let announce = self.spawn_api()?;
        self.announced(&announce).await
    }

    fn spawn_api(&mut self) -> Result<PathBuf> {
        let announce = self.folder.join("announce.json");
        std::fs::remove_file(&announce).ok();
        let role = if self.is_cluster() { "api" } else { "serve" };
        let mut command = self.command(role, role)?;
        command.arg("--announce").arg(&announce);
        self.process = Some(Process::start(command, &self.log_file())?);
        Ok(announce)
    }

    async fn announced(&mut self, announce: &Path) -> Result<()> {
        let process = self.process.as_mut().context("just started")?;
        let told = process.announced(announce).await?;
        self.base.set(
            told["api"]
                .as_str()
                .context("it announces the address of its API")?,
        );
        Ok(())
    }

    /// Starts another process of the cluster, one of [`OTHERS`].
    pub fn start_other(&mut self, name: &'static str) -> Result<()> {
        let (role, _) = name.split_once('-').context("a role and a letter")?;
        let mut command = self.command(role, name)?;
        command.args(["--host", name]);
        let process = Process::start(command, &self.folder.join(format!("{name}.log")))?;
        self.others.insert(name, process);
        Ok(())
    }

    /// Starts a second process under the same name and returns the first one, which still runs.
    pub fn replace_other(&mut self, name: &'static str) -> Result<Process> {
        let before = self.others.remove(name).context("it is running")?;
        self.start_other(name)?;
        Ok(before)
    }

    /// Returns another process of the cluster.
    pub fn other(&mut self, name: &str) -> Result<&mut Process> {
        let other = self.others.get_mut(name);
        other.with_context(|| format!("{name} is not running"))
    }

    /// Returns the log of all processes that had this name.
    pub fn log_of(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(
            self.folder.join(format!("{name}.log")),
        )?)
    }

    /// Returns the address where another process of the cluster serves its probes. `None` until it does.
    pub fn probes_of(&self, name: &str) -> Result<Option<String>> {
        let log = self.log_of(name)?;
        let after = log.rsplit_once("serving on ").map(|(_, rest)| rest);
        Ok(after
            .and_then(|rest| rest.split_whitespace().next())
            .map(str::to_owned))
    }

    fn is_cluster(&self) -> bool {
        self.database.backing == Backing::Cluster
    }

    /// Returns a command that starts the binary, with the umask of the setup.
    fn binary(&self) -> Result<tokio::process::Command> {
        let binary = self.setup.program.clone().map_or_else(sandbox_binary, Ok)?;
        let Some(umask) = self.setup.umask else {
            return Ok(command(&binary));
        };
        let mut command = command(Path::new("/bin/sh"));
        command
            .args(["-c", "umask \"$0\" && exec \"$@\"", umask])
            .arg(binary);
        Ok(command)
    }

    fn command(&self, role: &str, name: &str) -> Result<tokio::process::Command> {
        let mut command = self.binary()?;
        command
            .arg(role)
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
            .args([
                "--sessions-per-organisation",
                &self.setup.sessions_per_organisation.to_string(),
            ])
            .args([
                "--connects-per-second",
                &self.setup.connects_per_second.to_string(),
            ])
            .args(&self.setup.flags)
            .env("PASSERELLE_DATABASE_URL", &self.database.url)
            .env("PASSERELLE_MEDIA_STORE", self.folder.join("media"))
            // How full the machine's disk is must not matter to a test.
            .env("PASSERELLE_MEDIA_DISK_MAX", "100")
            .env("PASSERELLE_KEK", &self.setup.kek)
            .env("PASSERELLE_ADMIN_KEY", ADMIN_KEY)
            .env("RUST_LOG", &self.setup.log)
            .envs(self.setup.environment.iter().cloned());
        if let Some(redis) = &self.setup.redis {
            command.env("PASSERELLE_REDIS_URL", redis);
        } else if self.is_cluster() {
            command.env("PASSERELLE_REDIS_URL", redis::shared()?);
        }
        if let Some(failpoints) = &self.setup.failpoints {
            command.env("FAILPOINTS", failpoints);
        }
        command.envs(self.own.get(name).into_iter().flatten().cloned());
        Ok(command)
    }

    /// Returns its process, in a cluster that of the api.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the gateway is not running")
    }

    /// Kills it, like a power cut.
    pub async fn kill(&mut self) -> Result<()> {
        for process in self.process.iter_mut().chain(self.others.values_mut()) {
            process.kill().await?;
        }
        self.process = None;
        self.others.clear();
        Ok(())
    }

    /// Kills it and starts it again on the same store without crash points.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.setup.failpoints = None;
        self.start().await
    }

    /// Waits until one of its processes ends by itself (a crash point), then starts all of them again
    /// without crash points.
    pub async fn crash_and_restart(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let status = self.ended(deadline).await?;
        self.kill_and_restart().await?;
        Ok(status)
    }

    /// Waits until one of its processes has ended by itself.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        within(deadline, "a process ends by itself", async || {
            let mut all = self.process.iter_mut().chain(self.others.values_mut());
            Ok(all.find_map(Process::has_ended))
        })
        .await
    }

    /// Asks all its processes to end and waits until they have.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        for (name, mut other) in std::mem::take(&mut self.others) {
            if !other.runs() {
                continue;
            }
            other.minds_sigterm().await?;
            other.terminate()?;
            let status = other.ended(Duration::from_secs(30)).await?;
            anyhow::ensure!(status.success(), "{name} ended with {status}");
        }
        let mut process = self.process.take().context("the gateway is not running")?;
        process.terminate()?;
        process.ended(Duration::from_secs(30)).await
    }

    /// Returns the path of its log, in a cluster that of the api.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// Returns the logs of all its processes.
    pub fn logs(&self) -> Result<Vec<u8>> {
        let others = OTHERS.map(|name| self.folder.join(format!("{name}.log")));
        let others = others.into_iter().filter(|log| log.exists());
        let logs = [self.log_file()].into_iter().chain(others);
        let logs: Vec<_> = logs.map(std::fs::read).collect::<std::io::Result<_>>()?;
        Ok(logs.concat())
    }

    /// Returns the last lines of its log.
    pub fn log_end(&self) -> String {
        let of_others = self
            .others
            .iter()
            .map(|(name, other)| format!("--- {name}\n{}", other.log_end()));
        let own = self.process.as_ref().map(Process::log_end);
        own.into_iter()
            .chain(of_others)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Makes a client with the admin key.
    pub fn admin(&self) -> Result<Api> {
        Api::new(self.base.clone(), ADMIN_KEY)
    }
}

//! A PostgreSQL server for one test, which can be stopped and started again.

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{Connection as _, PgConnection};
use std::{
    fs::File,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;

use crate::{authority::Certificate, port, process::signal, wait::soon};

/// How the server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Rolls back open transactions, ends every connection and writes everything to its files.
    Fast,
    /// Ends immediately. The next start recovers from the log.
    Immediate,
}

/// The server and its files. Dropping this stops the server and deletes the files.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    bin: PathBuf,
    user: Option<(u32, u32)>,
    server: Child,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Postgres {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        Self::with(Vec::new()).await
    }

    /// Starts one with these environment variables.
    pub async fn with(environment: Vec<(&'static str, String)>) -> Result<Self> {
        let port = port::free()?;
        let (bin, user) = (programs()?, user()?);
        let folder = TempDir::with_prefix("passerelle-postgres-")?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        init(&bin, user, folder.path())?;
        let server = spawn(&bin, user, folder.path(), (port, &environment))?;
        let mut postgres = Self {
            port,
            bin,
            user,
            server,
            environment,
            folder,
        };
        postgres.answers().await?;
        Ok(postgres)
    }

    /// Returns its address, with a database from which others can be created.
    pub fn url(&self) -> String {
        format!("postgres://passerelle@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(&mut self, how: Stop) -> Result<()> {
        signal(self.server.id(), how.signal())?;
        let server = &mut self.server;
        soon("PostgreSQL has stopped", async || Ok(server.try_wait()?)).await?;
        Ok(())
    }

    /// Starts it again on the same files.
    pub async fn restart(&mut self) -> Result<()> {
        let how = (self.port, &*self.environment);
        self.server = spawn(&self.bin, self.user, self.folder.path(), how)?;
        self.answers().await
    }

    /// Speaks TLS with this certificate from now on, too.
    pub async fn certify(&self, certificate: &Certificate) -> Result<()> {
        let data = self.folder.path().join("data");
        for (name, text) in [
            ("server.crt", &certificate.certificate),
            ("server.key", &certificate.key),
        ] {
            let file = data.join(name);
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
            if let Some((uid, gid)) = self.user {
                chown(&file, Some(uid), Some(gid))?;
            }
        }
        self.set("ALTER SYSTEM SET ssl = on").await
    }

    /// Writes every statement to the server's log from now on.
    pub async fn log_statements(&self) -> Result<()> {
        self.set("ALTER SYSTEM SET log_statement = 'all'").await
    }

    /// Returns the statements that were written to the log, each the first line of its text.
    pub fn statements(&self) -> Result<Vec<String>> {
        let log = std::fs::read_to_string(self.folder.path().join("server.log"))?;
        let statement = |line: &str| {
            let (_, rest) = line.split_once(" LOG:  ")?;
            let text = rest.strip_prefix("statement: ");
            let named = || Some(rest.strip_prefix("execute ")?.split_once(": ")?.1);
            text.or_else(named).map(str::to_owned)
        };
        Ok(log.lines().filter_map(statement).collect())
    }

    /// Changes a setting, and waits until it is in use.
    async fn set(&self, statement: &'static str) -> Result<()> {
        let loaded = async || {
            let mut conn = PgConnection::connect(&self.url()).await?;
            let at = sqlx::query_scalar("SELECT pg_conf_load_time()::text");
            anyhow::Ok(at.fetch_one(&mut conn).await?)
        };
        let before: String = loaded().await?;
        let mut conn = PgConnection::connect(&self.url()).await?;
        for statement in [statement, "SELECT pg_reload_conf()"] {
            sqlx::query(statement).execute(&mut conn).await?;
        }
        soon("the setting is in use", async || {
            Ok((loaded().await? != before).then_some(()))
        })
        .await
    }

    async fn answers(&mut self) -> Result<()> {
        let (url, server) = (self.url(), &mut self.server);
        let log = self.folder.path().join("server.log");
        soon("PostgreSQL answers", async || {
            let ended: Option<ExitStatus> = server.try_wait()?;
            if let Some(status) = ended {
                let log = std::fs::read_to_string(&log)?;
                bail!("PostgreSQL ended with {status}; its log:\n{log}");
            }
            Ok(PgConnection::connect(&url).await.ok().map(drop))
        })
        .await
    }
}

impl Stop {
    /// Returns the signal that `pg_ctl stop` sends.
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let runs = matches!(self.server.try_wait(), Ok(None));
        // This also removes its child processes and shared memory. A kill would leave them behind.
        if runs && signal(self.server.id(), Stop::Immediate.signal()).is_ok() {
            drop(self.server.wait());
        }
    }
}

/// Returns the folder of the newest installed server.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("no PostgreSQL")?;
    let versions = versions.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let bin = path.join("bin");
        bin.join("initdb").exists().then_some((version, bin))
    });
    let newest = versions.max().context("no PostgreSQL")?;
    Ok(newest.1)
}

/// Returns the user and group id of `postgres` if this process is root, because the server refuses to run
/// as root.
pub(crate) fn user() -> Result<Option<(u32, u32)>> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let postgres = users.lines().find_map(|line| {
        let mut numbers = line.strip_prefix("postgres:")?.split(':').skip(1);
        let uid = numbers.next()?.parse().ok()?;
        Some((uid, numbers.next()?.parse().ok()?))
    });
    postgres.map(Some).context("no user postgres")
}

fn program(bin: &Path, name: &str, user: Option<(u32, u32)>, folder: &Path) -> Result<Command> {
    let mut command = Command::new(bin.join(name));
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))?;
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn init(bin: &Path, user: Option<(u32, u32)>, folder: &Path) -> Result<()> {
    let made = program(bin, "initdb", user, folder)?
        .args(["-U", "passerelle", "-A", "trust", "--no-sync", "-D"])
        .arg(folder.join("data"))
        .status()?;
    ensure!(made.success(), "initdb ended with {made}");
    Ok(())
}

/// Starts the server without flushing to disk: the operating system keeps what a stopped server wrote.
fn spawn(
    bin: &Path,
    user: Option<(u32, u32)>,
    folder: &Path,
    (port, environment): (u16, &[(&'static str, String)]),
) -> Result<Child> {
    program(bin, "postgres", user, folder)?
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories="])
        .args(["-c", "max_connections=500", "-c", "fsync=off"])
        .args(["-c", "shared_buffers=64MB"])
        .envs(environment.iter().cloned())
        .spawn()
        .context("starting PostgreSQL")
}

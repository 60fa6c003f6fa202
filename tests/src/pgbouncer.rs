//! `PgBouncer`, a connection pooler, in front of a PostgreSQL server.

use anyhow::{Context as _, Result};
use std::{
    fs::File,
    os::unix::{fs::chown, process::CommandExt as _},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{port, postgres, process::signal, wait::soon};

/// A pooler. Dropping this stops it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Child,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts one on a free port. It connects to the server of this address. `mode` is `session`,
    /// `transaction` or `statement`; `settings` are further lines of its configuration.
    pub async fn start(server: &str, mode: &str, settings: &[&str]) -> Result<Self> {
        let port = port::free()?;
        let (_, address) = server.split_once('@').context("the address has a user")?;
        let (address, _) = address.split_once('/').context("a database")?;
        let (host, to) = address.split_once(':').context("a port")?;
        let folder = TempDir::with_prefix("passerelle-pgbouncer-")?;
        let file = folder.path().join("pgbouncer.ini");
        let users = folder.path().join("users");
        std::fs::write(&users, "\"passerelle\" \"\"\n")?;
        let mut lines = vec![
            "[databases]".to_owned(),
            format!("* = host={host} port={to}"),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "auth_type = trust".to_owned(),
            format!("auth_file = {}", users.display()),
            format!("pool_mode = {mode}"),
            "max_client_conn = 1000".to_owned(),
        ];
        lines.extend(settings.iter().map(|&line| line.to_owned()));
        if !settings
            .iter()
            .any(|line| line.starts_with("ignore_startup"))
        {
            lines.push("ignore_startup_parameters = extra_float_digits".to_owned());
        }
        std::fs::write(&file, lines.join("\n") + "\n")?;
        let log = File::create(folder.path().join("pgbouncer.log"))?;
        // It is where a system's programs are, which not every user's path has.
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if let Some((uid, gid)) = postgres::user()? {
            // It refuses to run as root.
            for path in [folder.path(), &file, &users] {
                chown(path, Some(uid), Some(gid))?;
            }
            command.uid(uid).gid(gid);
        }
        let process = command
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting pgbouncer: start the tests with tests/run")?;
        let pooler = Self {
            port,
            process,
            folder,
        };
        soon("PgBouncer listens", async || {
            Ok(TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop))
        })
        .await?;
        Ok(pooler)
    }

    /// Lends this many connections for each user and database from now on.
    pub fn lend(&self, connections: u32) -> Result<()> {
        let file = self.folder.path().join("pgbouncer.ini");
        let lines = std::fs::read_to_string(&file)?;
        let kept = lines
            .lines()
            .filter(|line| !line.starts_with("default_pool_size"));
        let kept: Vec<_> = kept.collect();
        let lines = format!("{}\ndefault_pool_size = {connections}\n", kept.join("\n"));
        std::fs::write(&file, lines)?;
        signal(self.process.id(), "HUP")
    }

    /// Returns the address of a database through it.
    pub fn of(&self, url: &str) -> Result<String> {
        let (login, rest) = url.split_once('@').context("the address has a user")?;
        let (_, database) = rest.split_once('/').context("a database")?;
        Ok(format!("{login}@127.0.0.1:{}/{database}", self.port))
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let runs = matches!(self.process.try_wait(), Ok(None));
        if runs && signal(self.process.id(), "TERM").is_ok() {
            drop(self.process.wait());
        }
    }
}

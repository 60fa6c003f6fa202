//! A program started by path, with its log. It can be killed or asked to end.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::{
    fs::File,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::wait::soon;

/// Returns the path of the binary with the sandbox feature.
pub fn sandbox_binary() -> Result<PathBuf> {
    binary("PASSERELLE_BIN_SANDBOX")
}

/// Returns the path of the binary with the features of the released one, without the sandbox.
pub fn plain_binary() -> Result<PathBuf> {
    binary("PASSERELLE_BIN_PLAIN")
}

fn binary(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set: start the tests with tests/run"))?;
    Ok(path.into())
}

/// Builds a command that inherits none of the caller's `PASSERELLE_…` settings.
pub fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PASSERELLE_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("FAILPOINTS")
        .env("NO_COLOR", "1")
        // By default it stores files in its working directory, which must not be the source folder.
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Sends a signal by name to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) -> Result<()> {
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()?;
    anyhow::ensure!(status.success(), "kill -{name} failed");
    Ok(())
}

/// Returns the variables that shift a program's wall clock (`+10m`). Its monotonic clock stays right.
pub fn wrong_clock(by: &str) -> Result<Vec<(&'static str, String)>> {
    faked(vec![("FAKETIME", by.to_owned())])
}

/// A wall clock that steps while programs run. Their monotonic clocks stay right.
#[derive(Debug)]
pub struct SteppingClock {
    folder: TempDir,
}

impl SteppingClock {
    /// Makes one that is so many seconds ahead.
    pub fn ahead(seconds: i64) -> Result<Self> {
        let folder = TempDir::with_prefix("passerelle-clock-")?;
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), readable)?;
        let clock = Self { folder };
        clock.step_to(seconds)?;
        Ok(clock)
    }

    /// Makes it so many seconds ahead of the right time from now on.
    pub fn step_to(&self, seconds: i64) -> Result<()> {
        let (new, file) = (self.folder.path().join("new"), self.file());
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644))?;
        // Programs that read it at this moment see one of the two.
        std::fs::rename(new, file)?;
        Ok(())
    }

    /// Returns the variables for programs that use it.
    pub fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        faked(vec![
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ])
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

fn faked(mut how: Vec<(&'static str, String)>) -> Result<Vec<(&'static str, String)>> {
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let library = folders
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .context("faketime is not installed: start the tests with tests/run")?;
    how.push(("LD_PRELOAD", library.display().to_string()));
    how.push(("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
    Ok(how)
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. Standard output and standard error are appended to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until it is ready and returns the JSON it wrote to `announce`.
    pub async fn announced(&mut self, announce: &Path) -> Result<Value> {
        let end = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(told) = std::fs::read(announce)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
            {
                return Ok(told);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "it ended with {status} before it was ready\n{}",
                    self.log_end()
                );
            }
            if tokio::time::Instant::now() > end {
                bail!("it was not ready after a minute\n{}", self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns its process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// Kills it (SIGKILL), like a power cut, and reaps it.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.start_kill().ok();
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end (SIGTERM), without waiting.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Waits until a SIGTERM would make it end in order. Before that, while the program is being loaded, it would kill it.
    pub async fn minds_sigterm(&self) -> Result<()> {
        const SIGTERM: u64 = 1 << 14;
        let status = format!("/proc/{}/status", self.pid()?);
        soon("the process minds SIGTERM", async || {
            let told = std::fs::read_to_string(&status)?;
            let caught = told.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = u64::from_str_radix(caught.context("the caught signals")?.trim(), 16)?;
            Ok((caught & SIGTERM != 0).then_some(()))
        })
        .await
    }

    /// Sends it a signal by name: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid()?, name)
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(deadline, self.child.wait()).await;
        Ok(ended.with_context(|| format!("it was still running after {deadline:?}"))??)
    }

    /// Returns its exit status, or `None` while it runs.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Returns whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.has_ended().is_none()
    }

    /// Returns the peak of its resident memory in bytes (`VmHWM`).
    pub fn peak_memory(&self) -> Result<u64> {
        self.status_bytes("VmHWM:")
    }

    /// Returns a line of `/proc/PID/status` that is in kB, as bytes.
    pub fn status_bytes(&self, line: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let kib = status
            .lines()
            .find_map(|text| text.strip_prefix(line))
            .and_then(|rest| rest.split_whitespace().next())
            .with_context(|| format!("no {line} in the process status"))?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Returns the last lines of its log, for a failing test.
    pub fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

//! A small disk: a file system in memory, which can be filled.

use anyhow::{Context as _, Result, ensure};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A disk, mounted until it is dropped. Needs root, or `sudo` without a password.
#[derive(Debug)]
pub struct Tmpfs {
    folder: TempDir,
}

impl Tmpfs {
    /// Mounts a disk of this many MiB.
    pub fn mount(mib: u32) -> Result<Self> {
        let folder = TempDir::with_prefix("passerelle-disk-")?;
        let size = format!("size={mib}m,mode=0777");
        let path = folder.path().to_str().context("a path in UTF-8")?;
        as_root(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", path])?;
        Ok(Self { folder })
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns its free bytes.
    pub fn free(&self) -> Result<u64> {
        let disk = rustix::fs::statvfs(self.path())?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Fills it until `left` bytes are free, also if somebody else writes at the same time. Returns the file to
    /// delete afterwards.
    pub fn fill(&self, left: u64) -> Result<PathBuf> {
        let file = self.path().join("filler");
        let made = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)?;
        loop {
            let more = self.free()?.saturating_sub(left);
            if more == 0 {
                return Ok(file);
            }
            let before = made.metadata()?.len();
            match rustix::fs::fallocate(&made, rustix::fs::FallocateFlags::empty(), before, more) {
                Err(rustix::io::Errno::NOSPC) => {}
                done => done?,
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let path = self.path().display().to_string();
        as_root(&["umount", "--lazy", &path]).ok();
    }
}

fn as_root(words: &[&str]) -> Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    let sudo = ["sudo", "-n"].into_iter().filter(|_| !is_root);
    let mut words = sudo.chain(words.iter().copied());
    let program = words.next().context("a command")?;
    let status = Command::new(program).args(words).status()?;
    ensure!(status.success(), "{program} failed: mounting needs root");
    Ok(())
}

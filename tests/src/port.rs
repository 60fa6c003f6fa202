//! Ports for servers that start again on the same one.
//!
//! The kernel gives out ports from 32,768 on, to listeners that ask for any and to every connection. One of those
//! may be somebody else's when a server that was down comes back. It gives out none of these, and a lock keeps other
//! tests away from them, until the process that took it has ended.

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::{Mutex, PoisonError},
};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// The processes of tests begin to look this far apart.
const APART: u32 = 61;

/// The locks of this process.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Returns a port of 127.0.0.1 that is free and stays so.
pub fn free() -> Result<u16> {
    // Another user could not open the files.
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("passerelle-ports-{user}"));
    std::fs::create_dir_all(&folder)?;
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = std::process::id().wrapping_mul(APART);
    let ports = (0..COUNT).map(|place| FIRST + start.wrapping_add(place) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    let (port, lock) = ports
        .find_map(|port| Some((port, locked(&folder, port)?)))
        .context("no port is free")?;
    taken.push(lock);
    Ok(port)
}

/// Locks the port; returns `None` if somebody has it.
fn locked(folder: &Path, port: u16) -> Option<File> {
    let name = folder.join(port.to_string());
    let file = File::options().append(true).create(true).open(name).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(file)
}

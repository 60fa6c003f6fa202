//! Ports for servers that start again on the same one.
//!
//! The kernel gives out ports from 32,768 on, to listeners that ask for any and to every connection. One of those
//! may be somebody else's when a server that was down comes back. It gives out none of these.

use anyhow::{Result, bail};
use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// So many servers of a process are beside each other, and apart from those of the next process.
const OF_A_PROCESS: u32 = 8;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Returns a port of 127.0.0.1 that is free and stays so.
pub fn free() -> Result<u16> {
    let start = std::process::id().wrapping_mul(OF_A_PROCESS);
    for _ in 0..COUNT {
        let place = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + place % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

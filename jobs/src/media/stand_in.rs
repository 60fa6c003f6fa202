//! A stand-in for a decoder that a file has broken, in builds with the sandbox. It shows what confinement
//! does about it, without a file that breaks a real decoder.

use std::{process, thread, time::Duration};

/// How far into a file its mark is searched.
const HEAD: usize = 1024;
const MARK: &[u8] = b"passerelle stand-in: ";

/// Misbehaves as the mark of a file says.
pub(super) fn misbehave(file: &[u8]) {
    let head = &file[..file.len().min(HEAD)];
    let mut ends = head.windows(MARK.len()).enumerate();
    let Some((at, _)) = ends.find(|(_, words)| *words == MARK) else {
        return;
    };
    let told = &head[at + MARK.len()..];
    if told.starts_with(b"memory") {
        take_memory();
    } else if told.starts_with(b"time") {
        take_time();
    } else if told.starts_with(b"death") {
        process::abort();
    }
}

fn take_memory() {
    const PIECE: usize = 16 * 1024 * 1024;
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; PIECE]);
    }
}

fn take_time() {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

#!/usr/bin/env bash
# symphonia 0.5.5: the number of samples of an MP3 without a header of its length is an estimate, and nothing marks it.
#
# With: symphonia 0.5.5
# Expected: n_frames is what the file states, or None. Its comment says "this field can be used to calculate the total
#   duration of the stream".
# Seen: it is reckoned from the bit rate of the first frames. Of 10 s that begin softly it says far more.
#     stated 26.1 s, counted 10.4 s
# It needs cargo.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
trap 'exit 2' ERR

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "symphonia-mp3-estimate"
edition = "2024"

[dependencies]
symphonia = { version = "=0.5.5", default-features = false, features = ["mp3"] }
END
cat >src/main.rs <<'END'
use std::io::Cursor;

use symphonia::core::{io::MediaSourceStream, probe::Hint};

/// Returns silent frames of version 1, layer III, 44,100 samples a second, two channels.
fn frames(rate: u8, size: usize, count: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, rate << 4, 0];
    frame.resize(size, 0);
    frame.repeat(count)
}

fn main() {
    // 32 kbit/s, then 128.
    let song = [frames(1, 104, 200), frames(9, 417, 200)].concat();
    let source = MediaSourceStream::new(Box::new(Cursor::new(song)), Default::default());
    let probe = symphonia::default::get_probe();
    let probed = probe.format(&Hint::new(), source, &Default::default(), &Default::default());
    let mut format = probed.expect("an MP3").format;
    let stated = format.tracks()[0].codec_params.n_frames;
    let mut counted = 0;
    while let Ok(packet) = format.next_packet() {
        counted += packet.dur();
    }
    let seconds = |samples: u64| samples as f64 / 44_100.0;
    println!("stated {:.1} s, counted {:.1} s", seconds(stated.unwrap_or(0)), seconds(counted));
    std::process::exit(i32::from(stated.is_none_or(|stated| stated < counted * 3 / 2)));
}
END
if ! cargo build -q 2>build.log; then cat build.log >&2; exit 2; fi
trap - ERR
target/debug/symphonia-mp3-estimate

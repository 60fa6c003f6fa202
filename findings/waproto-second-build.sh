#!/usr/bin/env bash
# waproto 0.7.0: the second build compiles it again, though nothing has changed.
#
# With: waproto 0.7.0, cargo 1.95.0
# Expected: a build after a build has nothing to do.
# Seen: the second build compiles it again.
#     build 1: Compiling waproto v0.7.0
#     build 2: Dirty waproto v0.7.0: the file …/build/waproto-fe2cf41b92ec3c74/out/whatsapp.local.desc` has changed (1795955334.582137767s, 1s after last build at 1795955333.750137739s)
#     build 2: Compiling waproto v0.7.0
#     build 3: Fresh waproto v0.7.0
#   Its build script asks cargo to watch a file in OUT_DIR, which it writes itself: after the time at which cargo
#   noted that the script began. The third build is quiet, since the second leaves the file as it is.
# It needs cargo, and some minutes.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
touch src/lib.rs
cat >Cargo.toml <<'END'
[package]
name = "waproto-second-build"
edition = "2024"

[dependencies]
waproto = { version = "=0.7.0", default-features = false }
END
for n in 1 2 3; do
    # `check` needs no machine code, and is subject to the same rules.
    cargo check -v 2>&1 | grep -E '^ *(Dirty|Checking|Compiling|Fresh) waproto v' | sed "s|file .[^ ]*/build/|file …/build/|; s/^ */build $n: /"
done | tee seen
grep -q '^build 2: Dirty waproto' seen || exit 1

#!/usr/bin/env bash
# lettre 0.11.23: a mailbox with a comment in brackets does not parse.
#
# With: lettre 0.11.23
# Expected: `Shop (Paris) <shop@example.org>` is a mailbox: a word of a display name may be followed by a comment
#   (RFC 5322, 3.2.2 and 3.4). Python's email.utils.parseaddr takes it.
# Seen: an error.
#     Shop <shop@example.org>: shop@example.org
#     Shop (Paris) <shop@example.org>: Invalid input
#     Python: ('Shop (Paris)', 'shop@example.org')
# It needs cargo, and python3.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "lettre-address"
edition = "2024"

[dependencies]
lettre = { version = "=0.11.23", default-features = false, features = ["builder"] }
END
cat >src/main.rs <<'END'
use lettre::message::Mailbox;

fn main() {
    for text in ["Shop <shop@example.org>", "Shop (Paris) <shop@example.org>"] {
        match text.parse::<Mailbox>() {
            Ok(mailbox) => println!("{text}: {}", mailbox.email),
            Err(error) => println!("{text}: {error}"),
        }
    }
}
END
cargo run -q | tee seen
python3 -c 'import email.utils; print("Python:", email.utils.parseaddr("Shop (Paris) <shop@example.org>"))'
grep -q "(Paris) <shop@example.org>: Invalid" seen || exit 1

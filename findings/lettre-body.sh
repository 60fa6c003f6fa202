#!/usr/bin/env bash
# lettre 0.11.23: a mail made with .body() names the encoding of its text, and neither its type nor its charset.
#
# With: lettre 0.11.23
# Expected: MessageBuilder has no public way to set MIME-Version, "as it is set by body methods" (a comment in its
#   source); so .body("Grüße") gives a mail of MIME 1.0 with a Content-Type of UTF-8.
# Seen: neither header is there.
#     From: shop@example.org
#     To: ada@example.org
#     Subject: Hello
#     Content-Transfer-Encoding: base64
#
#     R3LDvMOfZSBhdXMgS8O2bG4=
#   Without them a reader may take the text for US-ASCII (RFC 2045, 5.2). singlepart() sets both.
# It needs cargo.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "lettre-body"
edition = "2024"

[dependencies]
lettre = { version = "=0.11.23", default-features = false, features = ["builder"] }
END
cat >src/main.rs <<'END'
use lettre::Message;

fn main() {
    let mail = Message::builder()
        .from("shop@example.org".parse().expect("an address"))
        .to("ada@example.org".parse().expect("an address"))
        .subject("Hello")
        .body("Grüße aus Köln".to_owned())
        .expect("all that is needed is there");
    print!("{}", String::from_utf8_lossy(&mail.formatted()));
}
END
cargo run -q | tr -d "\r" | grep -v "^Date:" | tee seen
! grep -qiE "^(MIME-Version|Content-Type):" seen || exit 1

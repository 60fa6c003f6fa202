#!/usr/bin/env bash
# linkify 0.11.0: the closing quote of other scripts becomes part of the link.
#
# With: linkify 0.11.0
# Expected: it "is smart about where a link ends, such as with trailing punctuation" and works "for Unicode": as the
#   straight quote and the dot are left out, so are their counterparts in French, German, Chinese and Arabic.
# Seen: only the ASCII ones are left out.
#     "https://example.org/a"  gives  https://example.org/a
#     https://example.org/a.  gives  https://example.org/a
#     «https://example.org/a»  gives  https://example.org/a»
#     „https://example.org/a“  gives  https://example.org/a“
#     「https://example.org/a」  gives  https://example.org/a」
#     https://example.org/a。  gives  https://example.org/a。
#     https://example.org/a،  gives  https://example.org/a،
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
name = "linkify-quotes"
edition = "2024"

[dependencies]
linkify = "=0.11.0"
END
cat >src/main.rs <<'END'
use linkify::LinkFinder;

fn main() {
    let texts = [
        "\"https://example.org/a\"",
        "https://example.org/a.",
        "«https://example.org/a»",
        "„https://example.org/a“",
        "「https://example.org/a」",
        "https://example.org/a。",
        "https://example.org/a،",
    ];
    for text in texts {
        for link in LinkFinder::new().links(text) {
            println!("{text}  gives  {}", link.as_str());
        }
    }
}
END
cargo run -q | tee seen
grep -qF "gives  https://example.org/a»" seen || exit 1

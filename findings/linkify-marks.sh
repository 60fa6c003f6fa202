#!/usr/bin/env bash
# linkify 0.11.0: a mark of chats directly after the host makes the whole link disappear.
#
# With: linkify 0.11.0
# Expected: it "is smart about where a link ends, such as with trailing punctuation": a star directly after the host is
#   left out, and so are an underscore and a tilde, which no host can have there.
# Seen: with the star the link is found, with the two others there is none.
#     *https://example.org*  gives  https://example.org
#     _https://example.org_  gives  nothing
#     ~https://example.org~  gives  nothing
#     _https://example.org/a_  gives  https://example.org/a_
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
name = "linkify-marks"
edition = "2024"

[dependencies]
linkify = "=0.11.0"
END
cat >src/main.rs <<'END'
use linkify::LinkFinder;

fn main() {
    let texts = [
        "*https://example.org*",
        "_https://example.org_",
        "~https://example.org~",
        "_https://example.org/a_",
    ];
    for text in texts {
        let link = LinkFinder::new().links(text).next();
        let link = link.map_or("nothing", |link| link.as_str());
        println!("{text}  gives  {link}");
    }
}
END
cargo run -q | tee seen
grep -qF "_https://example.org_  gives  nothing" seen || exit 1

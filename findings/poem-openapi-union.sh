#!/usr/bin/env bash
# poem-openapi 5.1.16: a union whose members deny unknown fields takes no valid body.
#
# With: poem-openapi 5.1.16
# Expected: `discriminator_name` is a field that the union itself reads; a member that denies unknown fields takes
#   {"type": "Text", "body": "hi"}, which is what the document asks for.
# Seen: the member refuses the discriminator as unknown.
#     refused: failed to parse "Text": unknown field `type`. (occurred while parsing "Message")
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
name = "poem-openapi-union"
edition = "2024"

[dependencies]
poem = { version = "=3.1.12", default-features = false }
poem-openapi = { version = "=5.1.16", default-features = false }
END
cat >src/main.rs <<'END'
use poem_openapi::{Object, Union, types::ParseFromJSON};

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Text {
    body: String,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Place {
    name: String,
}

#[derive(Union)]
#[oai(discriminator_name = "type")]
enum Message {
    Text(Text),
    Place(Place),
}

fn main() {
    let body = r#"{"type": "Text", "body": "hi"}"#;
    match Message::parse_from_json_string(body) {
        Ok(Message::Text(text)) => println!("taken: {}", text.body),
        Ok(Message::Place(place)) => println!("taken: {}", place.name),
        Err(error) => println!("refused: {}", error.message()),
    }
}
END
cargo run -q | tee seen
grep -q "^refused: .*unknown field" seen || exit 1

#!/usr/bin/env bash
# poem-openapi 5.1.16: an optional field is sent as null, and the document does not allow null.
#
# With: poem-openapi 5.1.16
# Expected: the document that is derived from a type describes what the type is written as.
# Seen: null is sent where the document asks for a string.
#     sent: {"note":null}
#     document: {'type': 'object', 'title': 'Order', 'properties': {'note': {'type': 'string'}}}
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
name = "poem-openapi-null"
edition = "2024"

[dependencies]
poem = { version = "=3.1.12", default-features = false }
poem-openapi = { version = "=5.1.16", default-features = false }
END
cat >src/main.rs <<'END'
use poem_openapi::{Object, OpenApi, OpenApiService, payload::Json, types::ToJSON};

#[derive(Object)]
struct Order {
    note: Option<String>,
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/order", method = "get")]
    async fn order(&self) -> Json<Order> {
        Json(Order { note: None })
    }
}

fn main() {
    eprintln!("sent: {}", Order { note: None }.to_json_string());
    println!("{}", OpenApiService::new(Api, "Shop", "1.0").spec());
}
END
cargo run -q >document.json 2>sent
cat sent
python3 -c 'import json; print("document:", json.load(open("document.json"))["components"]["schemas"]["Order"])' | tee schema
grep -q null sent || exit 1
! grep -q null schema || exit 1

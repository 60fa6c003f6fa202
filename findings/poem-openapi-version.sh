#!/usr/bin/env bash
# poem-openapi 5.1.16: a document that says 3.0.0 and uses keys of 3.1.
#
# With: poem-openapi 5.1.16, openapi-spec-validator 0.9.0
# Expected: what its own functions add (webhooks, a summary of the whole, a licence by its SPDX name) is in a
#   document whose version knows them, so that a validator takes it.
# Seen: the version is fixed at 3.0.0.
#     "openapi": "3.0.0"
#     document.json: Validation Error: [1] 'identifier' does not match any of the regexes: '^x-'
#     document.json: Validation Error: [2] 'summary' does not match any of the regexes: '^x-'
#     document.json: Validation Error: [3] 'webhooks' does not match any of the regexes: '^x-'
# It needs cargo, and Python with venv.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "poem-openapi-version"
edition = "2024"

[dependencies]
poem = { version = "=3.1.12", default-features = false }
poem-openapi = { version = "=5.1.16", default-features = false }
END
cat >src/main.rs <<'END'
use poem_openapi::{LicenseObject, Object, OpenApi, OpenApiService, Webhook, payload::{Json, PlainText}};

struct Api;

#[OpenApi]
impl Api {
    /// Says hello.
    #[oai(path = "/hello", method = "get")]
    async fn hello(&self) -> PlainText<&'static str> {
        PlainText("hello")
    }
}

#[derive(Object)]
struct Order {
    number: u32,
}

#[Webhook]
#[allow(unused)]
trait Orders {
    /// An order came in.
    #[oai(method = "post")]
    fn order(&self, order: Json<Order>);
}

fn main() {
    let service = OpenApiService::new(Api, "Shop", "1.0")
        .summary("A shop")
        .license(LicenseObject::new("MIT").identifier("MIT"))
        .webhooks::<&dyn Orders>();
    println!("{}", service.spec());
}
END
cargo run -q >document.json
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-spec-validator==0.9.0
grep -o '"openapi": *"[^"]*"' document.json
venv/bin/openapi-spec-validator --validation-errors all document.json >errors 2>&1 && exit 1
grep -E "does not match|unexpected" errors

//! Sends a value of the wrong kind in every field and parameter of the OpenAPI document. Each must be
//! refused with a stable code, never accepted and never a 500. The document is the list of fields, so a
//! field that is missing there is not tested here.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, api::Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// Reads the committed document.
fn document() -> Result<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    about: Value,
}

impl Operation {
    /// Returns every operation that needs a key.
    fn all(document: &Value) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().context("paths")? {
            for (method, about) in item.as_object().context("operations")? {
                if about["security"]
                    .as_array()
                    .is_some_and(|keys| !keys.is_empty())
                {
                    let method = method.to_uppercase().parse()?;
                    let (path, about) = (path.clone(), about.clone());
                    all.push(Self {
                        method,
                        path,
                        about,
                    });
                }
            }
        }
        Ok(all)
    }

    /// Returns its example JSON bodies. Empty if it takes no JSON.
    fn examples(&self) -> impl Iterator<Item = &Value> {
        let content = &self.about["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object();
        examples
            .into_iter()
            .flat_map(|all| all.values())
            .map(|example| &example["value"])
    }

    /// Returns the client that may call it.
    fn caller<'w>(&self, world: &'w World) -> &'w Api {
        let of_admin = self.about["security"].to_string().contains("AdminKey");
        if of_admin { &world.admin } else { &world.api }
    }

    async fn call(&self, world: &World, path: &str, body: Option<&Value>) -> Result<Reply> {
        let request = self.caller(world).request(self.method.clone(), path);
        Api::reply(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

/// Asserts that the reply is a refusal that says what is wrong, with one of these codes.
fn refused(reply: &Reply, codes: &[&str], what: &str) {
    assert!(
        codes.contains(&reply.code()),
        "{what}: {} {}",
        reply.status,
        reply.body
    );
    assert!(
        [400, 422].contains(&reply.status.as_u16()),
        "{what}: {}",
        reply.status
    );
    assert_eq!(
        reply.headers["content-type"], "application/problem+json",
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_with_something_that_is_no_id_is_refused() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let mut tried = 0;
    for operation in Operation::all(&document()?)? {
        if operation.path.contains("{id}") {
            let path = operation.path.replace("{id}", "nonsense");
            let body = operation.examples().next();
            let reply = operation.call(&world, &path, body).await?;
            refused(&reply, &["invalid_id"], &path);
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_the_wrong_kind_is_refused() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let mut tried = 0;
    for operation in Operation::all(&document()?)? {
        for parameter in operation.about["parameters"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = parameter["name"].as_str().context("a name")?;
            let wrong: &[&str] = match (parameter["in"].as_str(), name) {
                (Some("query"), "limit") => &["abc", "0", "101", "-1", "1.5", ""],
                // Any text is a valid name or reference, and the parameter may be missing.
                (Some("query"), "file_name" | "name" | "client_ref")
                | (Some("path" | "header"), _) => &[],
                _ => &["nonsense", "ses_1", "%00"],
            };
            for value in wrong {
                let path = format!("{}?{name}={value}", operation.path);
                let reply = operation.call(&world, &path, None).await?;
                let codes = [
                    "validation_failed",
                    "invalid_id",
                    "invalid_cursor",
                    "invalid_phone",
                ];
                refused(&reply, &codes, &path);
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_with_a_field_of_the_wrong_kind_is_refused() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let session = world.api.create_session("a").await?.id;
    let mut tried = 0;
    for operation in Operation::all(&document()?)? {
        let id = if operation.path.contains("organisations") {
            &world.org
        } else {
            &session
        };
        let path = operation.path.replace("{id}", id);
        for example in operation.examples() {
            let mut good = example.clone();
            if good.get("session_id").is_some() {
                good["session_id"] = json!(session);
            }
            for (what, bad) in spoiled(&good) {
                let reply = operation.call(&world, &path, Some(&bad)).await?;
                let what = format!("{path} {what}: {bad}");
                assert!(
                    [400, 422].contains(&reply.status.as_u16()),
                    "{what}: {}",
                    reply.body
                );
                assert_eq!(
                    reply.headers["content-type"], "application/problem+json",
                    "{what}"
                );
                assert!(
                    !reply.code().is_empty() && reply.code() != "internal_error",
                    "{what}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert!(
        world.api.messages("").await?.is_empty(),
        "bad input was accepted"
    );
    let _finished: Finished = world.finish().await?;
    Ok(())
}

/// Returns copies of the body. In each copy one value has another kind, or one object has an unknown
/// field.
fn spoiled(good: &Value) -> Vec<(String, Value)> {
    let mut pointers = vec![String::new()];
    let mut all = Vec::new();
    while let Some(pointer) = pointers.pop() {
        let Some(there) = good.pointer(&pointer) else {
            continue;
        };
        let mut put = |what: &str, value: Value| {
            let mut bad = good.clone();
            if let Some(place) = bad.pointer_mut(&pointer) {
                *place = value;
            }
            all.push((format!("{pointer} {what}"), bad));
        };
        let other = if there.is_string() {
            json!(5)
        } else {
            json!("x")
        };
        put("of another kind", other);
        put("an object", json!({ "x": [] }));
        if let Value::Object(fields) = there {
            let mut more = there.clone();
            more["unheard_of"] = json!(true);
            put("with an unknown field", more);
            pointers.extend(fields.keys().map(|key| format!("{pointer}/{key}")));
        }
        if let Value::Array(items) = there {
            pointers.extend((0..items.len()).map(|n| format!("{pointer}/{n}")));
        }
    }
    all
}

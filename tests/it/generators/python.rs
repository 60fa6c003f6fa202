//! openapi-python-client.

use anyhow::Result;
use serde_json::Value;
use std::path::Path;

use super::{in_tests, python, run, save, start, walk};

/// Returns the names of a folder's Python files, without `__init__`.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            names.extend(files(&path)?);
        } else if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.extend((name != "__init__").then(|| name.to_owned()));
        }
    }
    Ok(names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_of_generators_is_whole_and_walks_through_the_story() -> Result<()> {
    let world = start().await?;
    let file = save(&world, "/openapi.json").await?;
    let client = world.folder().join("passerelle_client");
    let mut generate = python("openapi-python-client")?;
    generate
        .args(["generate", "--meta", "none", "--fail-on-warning", "--path"])
        .arg(&file)
        .arg("--output-path")
        .arg(&client);
    let said = run(generate).await?;
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    let document: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let operations = files(&client.join("api"))?;
    for operation in super::document::operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(operations.iter().any(|name| name == id), "no {id}");
    }
    let models = std::fs::read_to_string(client.join("models/__init__.py"))?;
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        // An open enumeration becomes a union of types, and a union of requests too.
        let named = schema["type"] == "object" || schema.get("enum").is_some();
        assert!(
            !named || models.contains(&format!("\"{name}\"")),
            "no {name}"
        );
    }

    let story = in_tests("generators/python/walk.py");
    let mut check = python("mypy")?;
    check
        .args([
            "--strict",
            "--follow-imports=silent",
            "--cache-dir=/dev/null",
        ])
        .arg(&story)
        .env("MYPYPATH", world.folder());
    run(check).await?;
    let mut story_run = python("python")?;
    story_run.arg(&story).env("PYTHONPATH", world.folder());
    walk(&world, story_run).await?;
    world.finish().await?;
    Ok(())
}

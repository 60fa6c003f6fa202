//! openapi-typescript with openapi-fetch, and hey-api.

use anyhow::Result;
use passerelle_tests::{World, process::command};
use std::path::{Path, PathBuf};
use tokio::process::Command;

use super::{in_tests, run, save, start, walk};

/// Makes a folder with the configuration and the packages of `tests/generators/typescript`.
fn project(world: &World, story: &str) -> Result<PathBuf> {
    let from = in_tests("generators/typescript");
    let folder = world.folder().join("typescript");
    std::fs::create_dir(&folder)?;
    for file in ["package.json", "tsconfig.json", story] {
        std::fs::copy(from.join(file), folder.join(file))?;
    }
    std::os::unix::fs::symlink(from.join("node_modules"), folder.join("node_modules"))?;
    Ok(folder)
}

/// Returns a program of the packages, to be run in a project.
fn program(project: &Path, name: &str) -> Command {
    let mut program = command(&project.join("node_modules/.bin").join(name));
    program.current_dir(project);
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_openapi_fetch_client_of_generators_walks_through_the_story() -> Result<()> {
    let world = start().await?;
    let file = save(&world, "/openapi.json").await?;
    let project = project(&world, "walk-openapi-fetch.ts")?;
    let mut generate = program(&project, "openapi-typescript");
    generate.arg(&file).args(["--output", "schema.d.ts"]);
    run(generate).await?;
    run(program(&project, "tsc")).await?;
    let mut story = command(Path::new("node"));
    story.arg(project.join("built/walk-openapi-fetch.js"));
    walk(&world, story).await?;
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hey_api_client_of_generators_is_typed_through_the_story() -> Result<()> {
    let world = start().await?;
    let file = save(&world, "/openapi.json").await?;
    let project = project(&world, "walk-hey-api.ts")?;
    let mut generate = program(&project, "openapi-ts");
    generate.arg("--input").arg(&file).args([
        "--output",
        "client",
        "--client",
        "@hey-api/client-fetch",
    ]);
    run(generate).await?;
    let mut check = program(&project, "tsc");
    check.arg("--noEmit");
    run(check).await?;
    world.finish().await?;
    Ok(())
}

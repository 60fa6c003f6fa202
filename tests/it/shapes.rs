//! Every promise is asked of every shape the gateway has: one process over SQLite, one over PostgreSQL,
//! and a cluster. What is not stands here, with the reason.

use anyhow::{Context as _, Result};
use std::{collections::BTreeSet, path::Path};

/// Files with tests that are not of every shape.
const NOT_OF_EVERY_SHAPE: [(&str, &str); 19] = [
    (
        "bad_fields",
        "about the shape of requests, which is judged before any store is asked",
    ),
    (
        "binaries",
        "about the program that refuses to start, and commands of one process; what needs a world is of every shape",
    ),
    ("cluster", "about processes that share a store"),
    (
        "crash_points",
        "a claim of deliveries is not come to where they travel as tokens, and their dispatch only there; the rest is of every shape",
    ),
    ("deploy", "reads the files that run it"),
    (
        "documents",
        "reads the pages, and runs their shell blocks against one sandbox",
    ),
    ("faults", "about a cluster whose parts fail"),
    (
        "films",
        "one film of each kind is of every shape; what is done with odd ones is done by one process",
    ),
    (
        "hanging",
        "about what one process does while a host of files says nothing",
    ),
    (
        "herd",
        "the order in which one process connects its numbers; of a cluster that its hosts share a rate",
    ),
    (
        "interop",
        "another client on the simulated server, in a step of its own",
    ),
    ("layers", "reads the sources"),
    (
        "outage",
        "takes the database from one process; `faults` takes it from a cluster",
    ),
    (
        "pages",
        "one document is of every shape; traps are met by one process",
    ),
    (
        "previews",
        "one preview is of every shape; what a page can do wrong is met by one process",
    ),
    ("redis", "about the Redis of a cluster"),
    ("retention", "moves time in the store behind one process"),
    ("row_level_security", "about PostgreSQL"),
    ("shapes", "this page"),
];

#[test]
fn every_test_is_of_every_shape_or_says_why_not() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let mut others = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?.to_string_lossy();
        let text = if path.is_dir() {
            std::fs::read_to_string(path.join("mod.rs"))?
        } else {
            std::fs::read_to_string(&path)?
        };
        let of_its_own = ["#[test]", "#[tokio::test", "on_both_stores!"]
            .iter()
            .any(|word| text.contains(word));
        if of_its_own {
            others.insert(name.into_owned());
        }
    }
    let listed = NOT_OF_EVERY_SHAPE.map(|(file, _why)| file.to_owned());
    assert_eq!(others, BTreeSet::from(listed));
    Ok(())
}

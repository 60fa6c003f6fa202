//! Every behaviour is tested in every shape of the gateway: one process on SQLite, one on PostgreSQL, and
//! a cluster. The exceptions are listed here with a reason.

use anyhow::{Context as _, Result};
use std::{collections::BTreeSet, path::Path};

/// Files with tests that do not run in every shape.
const NOT_OF_EVERY_SHAPE: [(&str, &str); 37] = [
    (
        "auto_replies",
        "answering and kills run in every shape; the other stories are about the stores",
    ),
    (
        "bad_fields",
        "requests are checked before any store is used",
    ),
    (
        "binaries",
        "programs that refuse to start, and commands of one process; tests with a world run in every shape",
    ),
    (
        "calls",
        "one story runs in every shape; the others are about the stores",
    ),
    ("cluster", "about processes that share a store"),
    (
        "consent",
        "the newcomer, consents of a contact and opt-in links run in every shape; the other stories are about the stores",
    ),
    (
        "crash_points",
        "deliveries that travel as tokens never reach the claim, and only they reach the dispatch; the other tests run in every shape",
    ),
    ("deploy", "reads the files that run it"),
    (
        "disappearing",
        "an answer with a timer runs in every shape; the other stories are about the stores",
    ),
    (
        "documents",
        "reads the pages, and runs their shell blocks in one sandbox",
    ),
    (
        "erase",
        "a long history and modes of files belong to one process; the other tests run in every shape",
    ),
    ("faults", "about a cluster whose parts fail"),
    (
        "fidelity_groups",
        "changes, reading and leaving run in every shape; the other stories are about the stores",
    ),
    (
        "fidelity_receipts",
        "who of a group has a message runs in every shape; the other stories are about the stores",
    ),
    (
        "films",
        "one video of each kind runs in every shape; unusual videos are handled by one process",
    ),
    (
        "generators",
        "clients that others' generators make, in a separate step; other tests make the same requests in every shape",
    ),
    (
        "hanging",
        "how one process behaves while a host of files does not answer",
    ),
    (
        "herd",
        "the order in which one process connects its numbers; for a cluster, that its hosts share a rate",
    ),
    (
        "interop",
        "another client on the simulated server, in a separate step",
    ),
    ("layers", "reads the sources"),
    (
        "neighbour",
        "what arrives at the door is handled by one process; damaged jobs run in every shape",
    ),
    (
        "opt_outs",
        "what is queued, the confirmation and merges run in every shape; the other stories are about the stores",
    ),
    (
        "outage",
        "takes the database from one process; `faults` takes it from a cluster",
    ),
    (
        "own_phone",
        "every kind runs in every shape; the other stories are about the stores",
    ),
    (
        "pages",
        "one document runs in every shape; malicious documents are handled by one process",
    ),
    (
        "poolers",
        "about PostgreSQL and Redis servers; some start a cluster of their own",
    ),
    (
        "presence",
        "each connect and change runs in every shape; the other stories are about the stores",
    ),
    (
        "previews",
        "one preview runs in every shape; bad pages are handled by one process",
    ),
    (
        "queue",
        "pausing, the order, the timeline and an organisation's limits run in every shape; the other stories are about the stores",
    ),
    (
        "real_files",
        "one file of each kind runs in every shape; the files themselves are handled by one process",
    ),
    ("redis", "about the Redis of a cluster"),
    (
        "reply_limits",
        "about the stores; `auto_replies` runs in every shape",
    ),
    ("retention", "moves time in the store behind one process"),
    ("row_level_security", "about PostgreSQL"),
    (
        "scheduling",
        "waiting and a kill run in every shape; the other stories are about the stores",
    ),
    (
        "safety",
        "replies that pass first messages run in every shape; the other stories are about the stores",
    ),
    ("shapes", "this page"),
];

#[test]
fn every_test_is_of_every_shape_or_says_why_not() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let mut others = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().context("a name")?.to_string_lossy();
        let mut text = String::new();
        if path.is_dir() {
            for page in std::fs::read_dir(&path)? {
                text.push_str(&std::fs::read_to_string(page?.path())?);
            }
        } else {
            text = std::fs::read_to_string(&path)?;
        }
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

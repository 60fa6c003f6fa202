//! Reads the sources: `api → jobs → engine`, never back, and each outside thing named in one place.

use anyhow::Result;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every `.rs` file of the product below a folder, tests left out: its path from the root, and its
/// lines of code without comments.
fn sources(folder: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                let test_code = path.ends_with("tests") || path.ends_with("testing");
                folders.extend((!test_code).then_some(path));
            } else if path.extension().is_some_and(|ext| ext == "rs") && !is_test_file(&path) {
                let text = std::fs::read_to_string(&path)?;
                let code: Vec<_> = text
                    .lines()
                    .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
                    .collect();
                let name = path.strip_prefix(root())?.to_string_lossy().into_owned();
                found.push((name, code.join("\n")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    Ok(found)
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem == "testing" || stem.to_string_lossy().ends_with("tests"))
}

/// Asserts that `word` stands only in files that `allowed` accepts, and somewhere among them.
fn only_in(folders: &[&str], word: &str, allowed: impl Fn(&str) -> bool) -> Result<()> {
    let mut named = 0;
    for folder in folders {
        for (file, code) in sources(folder)? {
            if code.contains(word) {
                assert!(allowed(&file), "{file} names {word}");
                named += 1;
            }
        }
    }
    assert!(
        named > 0,
        "nothing names {word}: is this test looking in the right place?"
    );
    Ok(())
}

#[test]
fn apalis_is_named_in_the_queue_alone() -> Result<()> {
    only_in(&["api/src", "jobs/src", "engine/src"], "apalis", |file| {
        file.starts_with("jobs/src/queue")
    })
}

#[test]
fn sql_is_written_in_the_stores_alone() -> Result<()> {
    const STORES: [&str; 5] = [
        "jobs/src/store",
        "engine/src/store",
        "engine/src/lease",
        "engine/src/vault",
        "engine/src/keystore",
    ];
    for call in [
        "sqlx::query",
        "query_as(",
        "query_as::",
        "query_scalar",
        "raw_sql",
    ] {
        for folder in ["api/src", "jobs/src", "engine/src"] {
            for (file, code) in sources(folder)? {
                let allowed = STORES.iter().any(|store| file.starts_with(store));
                assert!(allowed || !code.contains(call), "{file} has SQL ({call})");
            }
        }
    }
    only_in(
        &["api/src", "jobs/src", "engine/src"],
        "sqlx::query",
        |_| true,
    )
}

/// On PostgreSQL a statement sees one organisation's rows, but for those that are written in these
/// modules, and asked for by these.
#[test]
fn what_serves_every_organisation_stands_in_a_listed_module() -> Result<()> {
    const STATEMENTS: [&str; 7] = [
        "engine/src/lease.rs",
        "engine/src/store.rs",
        "engine/src/store/writer.rs",
        "jobs/src/host/lane.rs",
        "jobs/src/host/settle.rs",
        "jobs/src/store/system.rs",
        "jobs/src/store/system/",
    ];
    const ASKED_FOR: [(&str, &str); 20] = [
        ("engine/src/store.rs", "where both ways are made"),
        ("engine/src/vault/open.rs", "the store's own keys"),
        ("jobs/src/commands.rs", "claims of commands"),
        (
            "jobs/src/host/balance.rs",
            "how many sessions each host has",
        ),
        ("jobs/src/host/hosted.rs", "a lease given back"),
        ("jobs/src/host/lane.rs", "claims of due lanes"),
        ("jobs/src/host/mod.rs", "heartbeats and leases"),
        ("jobs/src/host/nowhere.rs", "leases, to measure lanes"),
        ("jobs/src/host/settle.rs", "outcomes in sets"),
        ("jobs/src/host/stray.rs", "lanes that nobody flies"),
        ("jobs/src/keys.rs", "whose a presented key is"),
        ("jobs/src/media/claims.rs", "claims of files to fetch"),
        ("jobs/src/media/retention.rs", "files past their time"),
        ("jobs/src/organisations.rs", "the operator's list"),
        ("jobs/src/preview/job.rs", "claims of previews to fetch"),
        (
            "jobs/src/queue/transport/relay.rs",
            "due rows become tokens",
        ),
        ("jobs/src/store/plans.rs", "a test of SQLite's plans"),
        ("jobs/src/sweep.rs", "sweeps"),
        ("jobs/src/time.rs", "the database's clock"),
        ("jobs/src/webhook/claims.rs", "claims of due deliveries"),
    ];
    let everywhere = ["api/src", "jobs/src", "engine/src"];
    for word in ["SystemTx", "SystemRead"] {
        only_in(&everywhere, word, |file| {
            STATEMENTS.iter().any(|place| file.starts_with(place))
        })?;
    }
    let mut asking = Vec::new();
    for folder in everywhere {
        for (file, code) in sources(folder)? {
            let (code, _tests) = code.split_once("#[cfg(test)]").unwrap_or((&code, ""));
            asking.extend(code.contains("_system(").then_some(file));
        }
    }
    asking.sort();
    assert_eq!(asking, ASKED_FOR.map(|(file, _why)| file));
    Ok(())
}

#[test]
fn the_front_door_names_the_engine_in_main_alone() -> Result<()> {
    for (file, code) in sources("api/src")? {
        let allowed = file == "api/src/main.rs";
        assert!(
            allowed || !code.contains("passerelle_engine"),
            "{file} names the engine"
        );
    }
    Ok(())
}

#[test]
fn the_whatsapp_library_is_named_in_the_engine_alone() -> Result<()> {
    for word in ["whatsapp_rust", "wacore", "waproto"] {
        for folder in ["api/src", "jobs/src"] {
            for (file, code) in sources(folder)? {
                assert!(!code.contains(word), "{file} names {word}");
            }
        }
    }
    only_in(&["engine/src"], "whatsapp_rust", |_| true)
}

#[test]
fn no_crate_imports_one_to_its_left() -> Result<()> {
    for (folder, left) in [
        ("jobs/src", "passerelle::"),
        ("engine/src", "passerelle_jobs"),
        ("engine/simulator/src", "passerelle_engine"),
        ("engine/simulator/src", "passerelle_jobs"),
        ("engine/simulator/src", "whatsapp_rust"),
    ] {
        for (file, code) in sources(folder)? {
            assert!(!code.contains(left), "{file} names {left}");
        }
    }
    Ok(())
}

#[test]
fn the_product_has_no_words_for_what_it_must_not_do() -> Result<()> {
    const WORDS: [&str; 6] = [
        "bulk",
        "blast",
        "campaign",
        "broadcast",
        "bypass",
        "anti-ban",
    ];
    let mut texts = sources("api/src")?;
    for page in ["openapi/openapi.json", "README.md"] {
        texts.push((page.to_owned(), std::fs::read_to_string(root().join(page))?));
    }
    for (file, text) in texts {
        let text = text.to_lowercase();
        // neither tokio's channel of that name nor WhatsApp's address of status posts is a feature
        let text = text
            .replace("@broadcast", "")
            .replace("sync::broadcast", "")
            .replace("broadcast::", "");
        for word in WORDS {
            let whole = text
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .any(|part| part == word);
            assert!(!whole, "{file} says {word}");
        }
    }
    Ok(())
}

#[test]
fn no_manifest_turns_the_sandbox_on() -> Result<()> {
    for manifest in [
        ".",
        "api",
        "jobs",
        "engine",
        "engine/simulator",
        "tests",
        "tests/bench",
        "tests/demo",
    ] {
        let text = std::fs::read_to_string(root().join(manifest).join("Cargo.toml"))?;
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            let turned_on = line.contains("danger-") && !line.starts_with("sandbox = ");
            let by_default = line.starts_with("default") && line.contains("sandbox");
            let by_dependency =
                format!(" {line}").contains(" features = [") && line.contains("\"sandbox\"");
            assert!(
                !turned_on && !by_default && !by_dependency,
                "{manifest}/Cargo.toml: {line}"
            );
        }
    }
    Ok(())
}

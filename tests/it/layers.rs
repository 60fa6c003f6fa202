//! Checks the sources: crates import only in the direction `api → jobs → engine`, and each external
//! library is named in one place.

use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns every `.rs` file of the product below a folder, without tests: its path from the root and its
/// code without comments.
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

/// Asserts that `word` occurs only in files that `allowed` accepts, and in at least one.
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
        "nothing names {word}: does this test search the right folders?"
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

/// On PostgreSQL a statement sees the rows of one organisation only. The exceptions are written in the
/// modules of `STATEMENTS` and used by the modules of `ASKED_FOR`.
#[test]
fn what_serves_every_organisation_stands_in_a_listed_module() -> Result<()> {
    const STATEMENTS: [&str; 11] = [
        "jobs/src/number_health.rs",
        "jobs/src/host/candidates.rs",
        "jobs/src/host/turn.rs",
        "engine/src/lease.rs",
        "engine/src/store.rs",
        "engine/src/store/writer.rs",
        "jobs/src/host/claim.rs",
        "jobs/src/host/number.rs",
        "jobs/src/host/settle.rs",
        "jobs/src/store/system.rs",
        "jobs/src/store/system/",
    ];
    const ASKED_FOR: [(&str, &str); 29] = [
        ("engine/src/store.rs", "where both ways are made"),
        ("engine/src/vault/open.rs", "the store's own keys"),
        (
            "jobs/src/host/balance.rs",
            "how many sessions each host has",
        ),
        ("jobs/src/host/claim.rs", "claims of due lanes"),
        (
            "jobs/src/host/group_changes.rs",
            "which groups a number came into, whoever has linked it",
        ),
        ("jobs/src/host/mod.rs", "heartbeats and leases"),
        ("jobs/src/host/null_sink.rs", "leases, to measure lanes"),
        ("jobs/src/host/orphans.rs", "orphaned messages"),
        (
            "jobs/src/host/session.rs",
            "a lease given back; the row of a number",
        ),
        ("jobs/src/host/settle.rs", "outcomes in sets"),
        ("jobs/src/keys.rs", "whose a presented key is"),
        (
            "jobs/src/lanes/outlook.rs",
            "what a number has sent, whoever has linked it",
        ),
        ("jobs/src/media/claims.rs", "claims of files to fetch"),
        ("jobs/src/media/retention.rs", "files past their time"),
        (
            "jobs/src/messages/opt_out/queued.rs",
            "who opted out and has messages queued",
        ),
        (
            "jobs/src/number_health.rs",
            "the health of a number, whoever has linked it",
        ),
        ("jobs/src/organisations.rs", "the operator's list"),
        ("jobs/src/outbound/forecast.rs", "the same"),
        ("jobs/src/preview/job.rs", "claims of previews to fetch"),
        (
            "jobs/src/queue/transport/relay.rs",
            "due rows become tokens",
        ),
        ("jobs/src/sessions/commands.rs", "claims of commands"),
        ("jobs/src/sessions/erase.rs", "deleted sessions"),
        (
            "jobs/src/sessions/live.rs",
            "the states of all sessions that are watched here",
        ),
        (
            "jobs/src/sessions/mod.rs",
            "the gap that a deleted session leaves to its number",
        ),
        ("jobs/src/store/plans.rs", "a test of SQLite's plans"),
        ("jobs/src/sweep.rs", "sweeps"),
        ("jobs/src/time.rs", "the database's clock"),
        (
            "jobs/src/usage.rs",
            "the request limits that processes share",
        ),
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

type Modules = BTreeMap<String, String>;

/// Returns the modules of a crate, without tests: the code of each path.
fn modules(src: &str) -> Result<Modules> {
    let files = sources(src)?.into_iter().map(|(file, code)| {
        let path = file.trim_start_matches(src).trim_end_matches(".rs");
        let path = path.trim_end_matches("/lib").trim_end_matches("/mod");
        (format!("crate{}", path.replace('/', "::")), product(&code))
    });
    Ok(files
        .filter(|(module, _)| module != "crate::main")
        .collect())
}

/// Removes the items under `#[cfg(test)]`.
fn product(code: &str) -> String {
    let (mut kept, mut lines) = (Vec::new(), code.lines());
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
        } else if lines.next().is_some_and(|item| item.ends_with('{')) {
            let end = line.replace("#[cfg(test)]", "}");
            lines.by_ref().find(|line| line.starts_with(&end));
        }
    }
    kept.join("\n")
}

/// Returns the paths of an import tree: `a::{b, c::{self, d}}` has `a::b`, `a::c::self` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let Some((stem, branches)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let branches = branches.rsplit_once('}').map_or(branches, |(all, _)| all);
    let mut depth = 0;
    let branches = branches.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    let leaves = branches.flat_map(leaves);
    leaves.map(|leaf| stem.trim().to_owned() + &leaf).collect()
}

/// Returns all paths in the code, in imports and elsewhere.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        let begins_a_line = |&(at, _): &(usize, &str)| {
            let line = statement[..at].rsplit('\n').next().unwrap_or_default();
            ["", "pub", "pub(crate)", "pub(super)"].contains(&line.trim())
        };
        let import = statement.match_indices("use ").find(begins_a_line);
        let (body, tree) = statement.split_at(import.map_or(statement.len(), |(at, _)| at));
        let words = body.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
        paths.extend(words.filter(|word| word.contains("::")).map(str::to_owned));
        paths.extend(leaves(tree.trim_start_matches("use ")));
    }
    paths
}

/// Returns the module that a path in `module` leads to. `None` if it is outside the crate.
fn module_of(modules: &Modules, module: &str, path: &str) -> Option<String> {
    let path = path.split(" as ").next().unwrap_or_default().trim();
    let (root, rest) = path.split_once("::")?;
    let whole = match root {
        "crate" => path.to_owned(),
        "self" => format!("{module}::{rest}"),
        "super" => {
            let (mut from, mut path) = (module, path);
            while let Some(up) = path.strip_prefix("super::") {
                (from, path) = (from.rsplit_once("::")?.0, up);
            }
            format!("{from}::{path}")
        }
        child if modules.contains_key(&format!("{module}::{child}")) => format!("{module}::{path}"),
        _ => return None,
    };
    let mut found = whole.as_str();
    while !modules.contains_key(found) {
        found = found.rsplit_once("::")?.0;
    }
    Some(found.to_owned())
}

/// Returns the modules that each module imports, without the root of the crate.
fn imports(modules: &Modules) -> BTreeMap<&str, BTreeSet<String>> {
    let of = |(module, code): (&'_ String, &String)| {
        let named = paths(code);
        let named = named
            .iter()
            .filter_map(|path| module_of(modules, module, path));
        named
            .filter(|other| other != module && other != "crate")
            .collect()
    };
    let imports = modules
        .iter()
        .map(|(module, code)| (module.as_str(), of((module, code))));
    imports.collect()
}

/// Returns all modules that the module imports directly or through others.
fn reached<'m>(
    imports: &'m BTreeMap<&str, BTreeSet<String>>,
    module: &'m str,
) -> BTreeSet<&'m str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        let imported = imports[module].iter().map(String::as_str);
        next.extend(imported.filter(|module| reached.insert(*module)));
    }
    reached
}

/// Returns the circles of modules that import each other. A module outside of a circle is a circle of one.
fn circles(modules: &Modules) -> BTreeSet<Vec<String>> {
    let imports = imports(modules);
    let reached: BTreeMap<_, _> = imports
        .keys()
        .map(|module| (*module, reached(&imports, module)))
        .collect();
    let circle = |(module, far): (&&str, &BTreeSet<&str>)| {
        let back = far.iter().filter(|other| reached[*other].contains(module));
        back.map(|other| (*other).to_owned()).collect()
    };
    reached.iter().map(circle).collect()
}

#[test]
fn no_more_than_four_files_import_each_other_in_a_circle() -> Result<()> {
    let mut too_large = Vec::new();
    for src in ["api/src", "jobs/src", "engine/src", "engine/simulator/src"] {
        let circles = circles(&modules(src)?).into_iter();
        let large = circles.filter(|circle| circle.len() > 4);
        too_large.extend(large.map(|circle| format!("{src}: {}", circle.join(" "))));
    }
    assert!(
        too_large.is_empty(),
        "circles of imports:\n{}",
        too_large.join("\n")
    );
    Ok(())
}

#[test]
fn a_circle_of_imports_is_seen_in_every_way_to_write_one() {
    let modules = [
        ("crate", "mod a; mod b; mod c; mod d; pub use a::A;"),
        (
            "crate::a",
            "use std::fmt;\npub(crate) use crate::{\n    b::{self, B},\n};",
        ),
        ("crate::a::e", "use super::A;"),
        ("crate::b", "fn b() { super::c::c(); crate::d::D }"),
        ("crate::c", "fn c() -> crate::a::A { A }"),
        (
            "crate::d",
            "use crate::c as other;\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}",
        ),
    ];
    let modules = modules.map(|(module, code)| (module.to_owned(), product(code)));
    let circle = ["crate::a", "crate::b", "crate::c", "crate::d"].map(str::to_owned);
    let found = circles(&Modules::from(modules));
    assert!(found.contains(circle.as_slice()), "{found:?}");
    assert_eq!(found.iter().map(Vec::len).max(), Some(4), "{found:?}");
}

#[test]
fn state_and_store_stand_below_the_services_and_the_store_speaks_only_the_model() -> Result<()> {
    for folder in ["jobs/src/state", "jobs/src/store"] {
        for (file, code) in sources(folder)? {
            assert!(!code.contains("Services"), "{file} names Services");
        }
    }
    let modules = modules("jobs/src")?;
    let is_in = |module: &str, room: &str| {
        let rest = module.strip_prefix(room);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    for (module, named) in imports(&modules) {
        if is_in(module, "crate::store") {
            for other in named {
                let allowed = is_in(&other, "crate::store") || is_in(&other, "crate::model");
                assert!(allowed, "{module} names {other}");
            }
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
    texts.extend(sources("jobs/src")?);
    for page in ["openapi/openapi.json", "README.md"] {
        texts.push((page.to_owned(), std::fs::read_to_string(root().join(page))?));
    }
    for (file, text) in texts {
        let text = text.to_lowercase();
        // Tokio's broadcast channel and WhatsApp's address of status posts are not features.
        let text = text
            .replace("@broadcast", "")
            .replace("sync::broadcast", "")
            .replace("broadcast::", "");
        for word in WORDS {
            let whole = text
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .any(|part| part == word);
            assert!(!whole, "{file} contains {word}");
        }
    }
    Ok(())
}

#[test]
fn safety_every_request_to_send_names_one_recipient() -> Result<()> {
    let text = std::fs::read_to_string(root().join("openapi/openapi.json"))?;
    let document: serde_json::Value = serde_json::from_str(&text)?;
    let schemas = &document["components"]["schemas"];
    // What is about several people and sends them nothing: cards, mentions, the members of a group.
    let lists = [
        "recipients",
        "receivers",
        "phones",
        "numbers",
        "chats",
        "groups",
        "contact_ids",
    ];
    let mut sends = 0;
    for (path, operations) in document["paths"].as_object().context("paths")? {
        let body = &operations["post"]["requestBody"]["content"]["application/json"]["schema"];
        let is_send = path == "/v1/messages" || path.contains("/messages/");
        if !is_send || body.is_null() {
            continue;
        }
        sends += 1;
        for schema in within(schemas, body) {
            assert_ne!(schema["type"], "array", "{path} takes several messages");
            let Some(properties) = schema["properties"].as_object() else {
                continue;
            };
            if let Some(to) = properties.get("to") {
                assert_eq!(to["type"], "string", "{path}: {to}");
            }
            for list in lists {
                assert!(!properties.contains_key(list), "{path} has {list}");
            }
        }
    }
    assert!(sends > 10, "{sends} requests to send");
    Ok(())
}

/// Returns a schema, and those that it is made of or one of.
fn within<'d>(
    all: &'d serde_json::Value,
    schema: &'d serde_json::Value,
) -> Vec<&'d serde_json::Value> {
    let named = schema["$ref"]
        .as_str()
        .and_then(|name| name.rsplit('/').next());
    let schema = named.map_or(schema, |name| &all[name]);
    let parts = ["oneOf", "anyOf", "allOf"];
    let parts = parts.iter().filter_map(|part| schema[part].as_array());
    let mut found = vec![schema];
    for part in parts.flatten() {
        found.extend(within(all, part));
    }
    found
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

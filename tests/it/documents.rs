//! Checks the pages against the repository: paths in them exist, links lead somewhere, README and
//! ARCHITECTURE stay short, and the shell blocks of the README and the guide run in the sandbox.
//!
//! A word in backticks is a path if it has a slash and begins with a folder of the repository's root, or
//! if it has one of the endings of our files ([`ENDINGS`]). It is resolved from the root, then from the
//! page's folder. `a/{b,c}.rs` means two files. A word with `*`, `…` or `<` is a pattern.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::process::{Process, command, sandbox_binary};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// Endings of files that a page may name without their folder.
const ENDINGS: [&str; 8] = [
    ".rs", ".md", ".toml", ".sql", ".yaml", ".service", ".sh", ".mjs",
];
/// Languages of blocks. `sh` blocks run here. The text before a `console` block says what it needs.
const LANGUAGES: [&str; 11] = [
    "sh",
    "console",
    "json",
    "http",
    "python",
    "typescript",
    "rust",
    "sql",
    "toml",
    "text",
    "mermaid",
];
/// Pages whose `sh` blocks run, in the order of `docs/SUMMARY.md`.
const GUIDE: &str = "docs/guide/";
/// The deadline for all blocks together.
const PATIENCE: Duration = Duration::from_mins(3);

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// A line outside of blocks.
struct Line<'a> {
    number: usize,
    text: &'a str,
}

/// A fenced block.
struct Block {
    /// The number of its first line.
    number: usize,
    language: String,
    code: String,
    /// The last line of text before it.
    before: String,
}

struct Page {
    /// The path from the root.
    name: String,
    text: String,
}

impl Page {
    fn read(name: &str) -> Result<Self> {
        let text = std::fs::read_to_string(root().join(name)).context(name.to_owned())?;
        Ok(Self {
            name: name.to_owned(),
            text,
        })
    }

    fn folder(&self) -> PathBuf {
        let page = root().join(&self.name);
        page.parent().map_or_else(root, Path::to_owned)
    }

    /// Returns its lines outside of blocks, and its blocks.
    fn parts(&self) -> (Vec<Line<'_>>, Vec<Block>) {
        let (mut lines, mut blocks) = (Vec::new(), Vec::<Block>::new());
        let (mut open, mut before) = (false, "");
        for (at, text) in self.text.lines().enumerate() {
            let number = at + 1;
            if let Some(fence) = text.trim_start().strip_prefix("```") {
                open = !open;
                if open {
                    blocks.push(Block {
                        number,
                        language: fence.trim().to_owned(),
                        code: String::new(),
                        before: before.to_owned(),
                    });
                }
                before = "";
            } else if let Some(block) = blocks.last_mut().filter(|_| open) {
                block.code.push_str(text);
                block.code.push('\n');
            } else {
                if !text.trim().is_empty() {
                    before = text;
                }
                lines.push(Line { number, text });
            }
        }
        (lines, blocks)
    }

    /// Returns the anchors that GitHub makes of its headings.
    fn anchors(&self) -> BTreeSet<String> {
        let mut seen = BTreeMap::<String, usize>::new();
        let mut anchors = BTreeSet::new();
        for line in self.parts().0 {
            let title = line.text.trim_start_matches('#');
            if title == line.text || !title.starts_with(' ') {
                continue;
            }
            let slug = slug(title.trim());
            let times = seen.entry(slug.clone()).or_default();
            anchors.insert(match *times {
                0 => slug,
                n => format!("{slug}-{n}"),
            });
            *times += 1;
        }
        anchors
    }
}

fn slug(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Returns every page of the repository.
fn pages() -> Result<Vec<Page>> {
    let (mut pages, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                // Skips other packages, folders of tools and build output. Cargo marks only what it made itself.
                let ours =
                    !name.starts_with('.') && !["node_modules", "book", "target"].contains(&&*name);
                if ours && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                let name = path.strip_prefix(root())?.to_string_lossy().into_owned();
                pages.push(Page::read(&name)?);
            }
        }
    }
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    ensure!(pages.len() > 30, "only {} pages were found", pages.len());
    Ok(pages)
}

/// Returns the folders of the root.
fn folders() -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(root())?.filter_map(|entry| Some(entry.ok()?.path()));
    let folders = entries.filter(|path| path.is_dir() && !path.join("CACHEDIR.TAG").exists());
    Ok(folders
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| name != ".git" && name != "target")
        .collect())
}

/// Returns the words in backticks of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Returns whether a word in backticks is a file or folder of the repository.
fn is_path(word: &str, folders: &BTreeSet<String>) -> bool {
    if word.contains(|c: char| c.is_whitespace() || "*…<>()$=:".contains(c))
        || word.starts_with('/')
    {
        return false;
    }
    let inside = word
        .split_once('/')
        .is_some_and(|(first, _)| folders.contains(first));
    let ends = |ending: &&str| word.len() > ending.len() && word.ends_with(*ending);
    inside || ENDINGS.iter().any(ends)
}

/// Expands a word with braces to its paths.
fn spelled_out(word: &str) -> Vec<String> {
    let Some((head, rest)) = word.split_once('{') else {
        return vec![word.to_owned()];
    };
    let Some((inner, tail)) = rest.split_once('}') else {
        return vec![word.to_owned()];
    };
    let each = inner.split(',');
    each.flat_map(|one| spelled_out(&format!("{head}{}{tail}", one.trim())))
        .collect()
}

/// Returns the targets of a line's links.
fn links(line: &str) -> impl Iterator<Item = String> {
    // Text in backticks is not a link.
    let text: String = line
        .split('`')
        .enumerate()
        .map(|(at, part)| if at % 2 == 0 { part } else { "x" })
        .collect();
    let parts: Vec<_> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
        .collect();
    parts.into_iter()
}

/// Removes `.` and `..` from a path.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::CurDir => {}
            other => tidy.push(other),
        }
    }
    tidy
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_path_that_a_page_names_exists() -> Result<()> {
    let folders = folders()?;
    let mut broken = Vec::new();
    for page in pages()? {
        // The changelog names files that no longer exist.
        if page.name == "CHANGELOG.md" {
            continue;
        }
        for line in page.parts().0 {
            let named = quoted(line.text).filter(|word| is_path(word, &folders));
            for path in named.flat_map(spelled_out) {
                if !root().join(&path).exists() && !page.folder().join(&path).exists() {
                    broken.push(format!("{}:{}: no {path}", page.name, line.number));
                }
            }
        }
    }
    none(&broken);
    Ok(())
}

#[test]
fn a_path_is_told_from_another_word() -> Result<()> {
    let folders = folders()?;
    for word in ["api/src/main.rs", "jobs/src/", "fly.toml", "tests/run"] {
        assert!(is_path(word, &folders), "{word}");
    }
    for word in [
        "image/png",
        "/healthz",
        "jobs/src/*.rs",
        "sent",
        ".md",
        "GET /v1/media",
    ] {
        assert!(!is_path(word, &folders), "{word}");
    }
    assert_eq!(spelled_out("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
    assert_eq!(slug("Pace, and `queue` places"), "pace-and-queue-places");
    Ok(())
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() -> Result<()> {
    let pages = pages()?;
    let anchors: BTreeMap<_, _> = pages
        .iter()
        .map(|page| (root().join(&page.name), page.anchors()))
        .collect();
    let book = root().join("docs");
    let mut broken = Vec::new();
    for page in &pages {
        let own = root().join(&page.name);
        for line in page.parts().0 {
            for link in links(line.text) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = if path.is_empty() {
                    own.clone()
                } else {
                    tidy(&page.folder().join(path))
                };
                let at = format!("{}:{}", page.name, line.number);
                if !target.exists() {
                    broken.push(format!("{at}: {link} leads nowhere"));
                } else if own.starts_with(&book) && !target.starts_with(&book) {
                    broken.push(format!("{at}: {link} leads out of the book"));
                } else if !anchor.is_empty()
                    && anchors.get(&target).is_none_or(|all| !all.contains(anchor))
                {
                    broken.push(format!("{at}: {link} has no such heading"));
                }
            }
        }
    }
    none(&broken);
    Ok(())
}

#[test]
fn every_page_of_the_book_is_in_its_summary() -> Result<()> {
    let listed: BTreeSet<_> = summary()?.into_iter().collect();
    let missing: Vec<_> = pages()?
        .into_iter()
        .map(|page| page.name)
        .filter(|name| name.starts_with("docs/") && name != "docs/SUMMARY.md")
        .filter(|name| !listed.contains(name))
        .collect();
    none(&missing);
    Ok(())
}

/// Returns the book's pages in order.
fn summary() -> Result<Vec<String>> {
    let summary = Page::read("docs/SUMMARY.md")?;
    let (lines, _) = summary.parts();
    let listed = lines.iter().flat_map(|line| links(line.text));
    Ok(listed.map(|link| format!("docs/{link}")).collect())
}

#[test]
fn the_front_pages_stay_short() -> Result<()> {
    let readme = Page::read("README.md")?;
    let words = readme.text.split_whitespace().count();
    assert!(words <= 900, "README.md has {words} words");
    for (at, line) in readme.text.lines().enumerate() {
        let length = line.chars().count();
        assert!(length <= 140, "README.md:{}: {length} characters", at + 1);
    }
    let architecture = Page::read("ARCHITECTURE.md")?.text.len();
    assert!(
        architecture <= 9000,
        "ARCHITECTURE.md has {architecture} bytes"
    );
    Ok(())
}

#[test]
fn a_block_says_its_language_and_a_console_block_what_it_needs() -> Result<()> {
    let mut broken = Vec::new();
    for page in pages()? {
        for block in page.parts().1 {
            let at = format!("{}:{}", page.name, block.number);
            if !LANGUAGES.contains(&block.language.as_str()) {
                broken.push(format!("{at}: a block of `{}`", block.language));
            }
            let told = !block.before.is_empty() && !block.before.starts_with('#');
            if block.language == "console" && !told {
                broken.push(format!("{at}: no text says what the block needs"));
            }
        }
    }
    none(&broken);
    Ok(())
}

#[test]
fn the_guide_lists_every_error_code_with_its_status() -> Result<()> {
    let code = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let status: u16 = words.next()?.parse().ok()?;
        let code = words.next()?.strip_prefix('"')?.strip_suffix('"')?;
        Some((code.to_owned(), status))
    };
    let listed = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let status: u16 = cells.next()?.parse().ok()?;
        let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((code.to_owned(), status))
    };
    let source = std::fs::read_to_string(root().join("api/src/problem.rs"))?;
    let codes: BTreeMap<_, _> = source.lines().filter_map(code).collect();
    assert!(codes.len() > 70, "{} codes were found", codes.len());
    let guide = Page::read("docs/guide/errors.md")?;
    let told: BTreeMap<_, _> = guide.text.lines().filter_map(listed).collect();
    assert_eq!(
        told, codes,
        "docs/guide/errors.md and api/src/problem.rs differ"
    );
    Ok(())
}

/// Returns the pages with blocks to run, in reading order.
fn read_in_order() -> Result<Vec<Page>> {
    let guide = summary()?
        .into_iter()
        .filter(|name| name.starts_with(GUIDE));
    ["README.md".to_owned()]
        .into_iter()
        .chain(guide)
        .map(|name| Page::read(&name))
        .collect()
}

/// Returns the variables that the README exports before the first block.
fn exported(readme: &Page) -> Result<BTreeSet<String>> {
    let (_, blocks) = readme.parts();
    let mut lines = blocks.iter().flat_map(|block| block.code.lines());
    let line = lines
        .find_map(|line| line.strip_prefix("export "))
        .context("README.md exports the addresses")?;
    let words = line.split_whitespace();
    Ok(words
        .filter_map(|word| Some(word.split_once('=')?.0.to_owned()))
        .collect())
}

/// Joins all `sh` blocks into one script. The variable `BLOCK` has the position of the running block.
fn script(pages: &[Page]) -> (String, usize) {
    let mut script = String::from(
        "set -euo pipefail\n\
         trap 'status=$?; kill $(jobs -p) 2>/dev/null || true; \
         [ $status = 0 ] || echo \"$BLOCK failed with $status at: $BASH_COMMAND\" >&2' EXIT\n",
    );
    let mut count = 0;
    for page in pages {
        for block in page.parts().1 {
            if block.language == "sh" {
                count += 1;
                let number = block.number.to_string();
                script.extend(["BLOCK=", &page.name, ":", &number, "\n", &block.code]);
            }
        }
    }
    (script, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shell_block_of_the_readme_and_the_guide_runs_in_the_sandbox() -> Result<()> {
    let folder = tempfile::TempDir::with_prefix("passerelle-test-")?;
    let announce = folder.path().join("sandbox.json");
    let mut sandbox = command(&sandbox_binary()?);
    sandbox
        .args(["sandbox", "--listen", "127.0.0.1:0", "--announce"])
        .arg(&announce)
        // Shortens the gaps that a reader would wait for.
        .args(["--gap-floor-ms", "50", "--gap-ceiling-ms", "100"])
        .args(["--typing-ms", "10", "--requests-per-minute", "100000"]);
    let mut sandbox = Process::start(sandbox, &folder.path().join("sandbox.log"))?;
    let told = sandbox.announced(&announce).await?;
    let told = |name: &str| {
        let value = told.get(name).and_then(Value::as_str);
        value
            .map(|value| value.trim_end_matches('/').to_owned())
            .with_context(|| format!("the sandbox announces its {name}"))
    };
    let set = [
        ("API", told("api")?),
        ("CONTROL", told("control")?),
        ("ADMIN", told("admin_key")?),
    ];

    let pages = read_in_order()?;
    let names: BTreeSet<_> = set.iter().map(|(name, _)| (*name).to_owned()).collect();
    let readme = pages.first().context("the README is the first page")?;
    assert_eq!(exported(readme)?, names, "README.md exports other names");
    let (script, count) = script(&pages);
    assert!(count >= 8, "only {count} blocks are run");

    let mut reader = command(Path::new("bash"));
    reader
        .arg("-c")
        .arg(script)
        .envs(set)
        .env("TMPDIR", folder.path())
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let read = tokio::time::timeout(PATIENCE, reader.output());
    let read = read.await.context("the blocks took too long")??;
    assert!(
        read.status.success(),
        "{}\n{}\n--- the sandbox's log\n{}",
        String::from_utf8_lossy(&read.stdout),
        String::from_utf8_lossy(&read.stderr),
        sandbox.log_end()
    );
    sandbox.terminate()?;
    let status = sandbox.ended(Duration::from_secs(30)).await?;
    assert!(status.success(), "the sandbox ended with {status}");
    Ok(())
}

//! Checks the deployment files against the binary, the OpenAPI document and each other.

use anyhow::{Context as _, Result};
use passerelle_tests::process::{command, plain_binary};
use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;
use std::path::Path;
use toml::{Table, Value};

/// The roles of a cluster's processes.
const ROLES: [&str; 3] = ["api", "host", "worker"];
/// Seconds that a stop may take, plus one.
const STOP: u64 = 26;
const FLY: [&str; 2] = ["fly.toml", "deploy/fly-embedded.toml"];
const BUILD: &str = "cargo build --release --locked -p passerelle";

/// The keys that Fly accepts, as path of a table and its keys. `*` is any key. Taken from
/// <https://fly.io/docs/reference/configuration/> and the sources of flyctl (`internal/appconfig`).
const FLY_KEYS: [(&str, &[&str]); 19] = [
    (
        "",
        &[
            "app",
            "primary_region",
            "kill_signal",
            "kill_timeout",
            "swap_size_mb",
            "console_command",
            "experimental",
            "build",
            "deploy",
            "env",
            "processes",
            "mounts",
            "http_service",
            "services",
            "checks",
            "files",
            "restart",
            "vm",
            "statics",
            "metrics",
        ],
    ),
    (
        "build",
        &[
            "builder",
            "args",
            "buildpacks",
            "image",
            "dockerfile",
            "ignorefile",
            "build-target",
        ],
    ),
    ("build.args", &["*"]),
    (
        "deploy",
        &[
            "strategy",
            "max_unavailable",
            "wait_timeout",
            "release_command",
            "release_command_timeout",
            "release_command_vm",
            "seed_command",
        ],
    ),
    ("env", &["*"]),
    ("processes", &["*"]),
    (
        "mounts",
        &[
            "source",
            "destination",
            "processes",
            "initial_size",
            "snapshot_retention",
            "auto_extend_size_threshold",
            "auto_extend_size_increment",
            "auto_extend_size_limit",
        ],
    ),
    (
        "http_service",
        &[
            "processes",
            "internal_port",
            "force_https",
            "auto_stop_machines",
            "auto_start_machines",
            "min_machines_running",
            "concurrency",
            "tls_options",
            "http_options",
            "checks",
        ],
    ),
    (
        "http_service.concurrency",
        &["type", "soft_limit", "hard_limit"],
    ),
    (
        "http_service.tls_options",
        &["alpn", "versions", "default_self_signed"],
    ),
    (
        "http_service.http_options",
        &["compress", "h2_backend", "response"],
    ),
    ("http_service.http_options.response", &["headers"]),
    ("http_service.http_options.response.headers", &["*"]),
    (
        "http_service.checks",
        &[
            "grace_period",
            "interval",
            "timeout",
            "method",
            "path",
            "protocol",
            "tls_server_name",
            "tls_skip_verify",
            "headers",
        ],
    ),
    ("checks", &["*"]),
    (
        "checks.*",
        &[
            "port",
            "type",
            "grace_period",
            "interval",
            "timeout",
            "method",
            "path",
            "protocol",
            "tls_server_name",
            "tls_skip_verify",
            "headers",
            "processes",
        ],
    ),
    ("restart", &["policy", "retries", "processes"]),
    (
        "vm",
        &[
            "size",
            "memory",
            "cpus",
            "cpu_kind",
            "gpu_kind",
            "host_dedication_id",
            "processes",
        ],
    ),
    ("metrics", &["port", "path", "processes"]),
];

fn read(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(path).context(file.to_owned())
}

fn fly(file: &str) -> Result<Table> {
    read(file)?.parse().context(file.to_owned())
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// Returns the keys of `table` that Fly does not know. `place` is the table's path.
fn unknown(place: &str, table: &Table) -> Vec<String> {
    let known = FLY_KEYS.iter().find(|(known, _)| *known == place);
    let Some((_, keys)) = known else {
        return vec![format!("[{place}]")];
    };
    let any = keys.contains(&"*");
    let mut found = Vec::new();
    for (key, value) in table {
        if !any && !keys.contains(&key.as_str()) {
            found.push(format!("[{place}] {key}"));
            continue;
        }
        let name = if any { "*" } else { key };
        let below = format!("{place}.{name}");
        let below = below.trim_start_matches('.');
        for table in value.as_table().into_iter().chain(
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_table),
        ) {
            found.extend(unknown(below, table));
        }
    }
    found
}

/// Returns the commands that the binary's help lists.
async fn commands() -> Result<Vec<String>> {
    let output = command(&plain_binary()?).arg("--help").output().await?;
    let help = String::from_utf8(output.stdout)?;
    let (_, listed) = help
        .split_once("Commands:\n")
        .context("the help lists commands")?;
    let words = listed
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next());
    Ok(words.map(str::to_owned).collect())
}

/// Parses seconds such as `30s` or `30`.
fn seconds(text: &str) -> Result<u64> {
    Ok(text.trim_end_matches('s').parse()?)
}

#[test]
fn every_key_of_the_fly_files_is_one_that_fly_has() -> Result<()> {
    for file in FLY {
        assert_eq!(unknown("", &fly(file)?), Vec::<String>::new(), "{file}");
    }
    Ok(())
}

#[test]
fn a_key_that_fly_does_not_have_is_found_wherever_it_stands() -> Result<()> {
    for text in [
        "kill_timout = 30",
        "[http_service]\nautostop = true",
        "[http_service.concurrency]\nsoft = 1",
        "[[http_service.checks]]\nurl = '/'",
        "[checks.host]\nprocess = ['host']",
        "[[vm]]\nram = '1gb'",
        "[volumes]\nsource = 'a'",
    ] {
        assert_eq!(unknown("", &text.parse()?).len(), 1, "{text}");
    }
    Ok(())
}

#[test]
fn fly_gives_a_machine_the_time_to_stop() -> Result<()> {
    for file in FLY {
        let fly = fly(file)?;
        assert_eq!(fly["kill_signal"].as_str(), Some("SIGTERM"), "{file}");
        let timeout = fly["kill_timeout"].as_integer().context("kill_timeout")?;
        assert!(timeout >= i64::try_from(STOP)?, "{file}: {timeout}");
    }
    Ok(())
}

#[tokio::test]
async fn a_process_group_on_fly_is_a_role_and_the_service_is_the_apis_alone() -> Result<()> {
    let (fly, commands) = (fly("fly.toml")?, commands().await?);
    let groups = fly["processes"].as_table().context("processes")?;
    assert_eq!(groups.keys().collect::<Vec<_>>(), ROLES);
    for (group, run) in groups {
        // The image's entrypoint is the binary, so the command is its first argument.
        assert_eq!(run.as_str(), Some(group.as_str()));
        assert!(commands.contains(group), "{group} is not in {commands:?}");
    }
    let release = fly["deploy"]["release_command"].as_str();
    assert_eq!(release, Some("migrate"));
    assert!(commands.iter().any(|known| known == "migrate"));
    assert_eq!(texts(&fly["http_service"]["processes"]), ["api"]);
    assert!(!fly.contains_key("services") && !fly.contains_key("mounts"));
    let sized = fly["vm"].as_array().context("vm")?;
    let sized: Vec<_> = sized
        .iter()
        .flat_map(|vm| texts(&vm["processes"]))
        .collect();
    assert_eq!(sized, ROLES, "each group must have one machine size");
    Ok(())
}

#[test]
fn what_fly_asks_for_is_served() -> Result<()> {
    let document: Json = serde_json::from_str(&read("openapi/openapi.json")?)?;
    for file in FLY {
        let fly = fly(file)?;
        let checks = fly["http_service"]["checks"].as_array();
        let metrics = fly.get("metrics").and_then(Value::as_array);
        let named = fly.get("checks").and_then(Value::as_table);
        let asked: Vec<_> = [checks, metrics]
            .into_iter()
            .flatten()
            .flatten()
            .chain(named.into_iter().flat_map(Table::values))
            .collect();
        assert!(!asked.is_empty(), "{file} checks nothing");
        let served = fly["env"]["PASSERELLE_LISTEN"].as_str();
        for one in asked {
            let path = one["path"].as_str().context("a path")?;
            assert!(document["paths"][path]["get"].is_object(), "{file}: {path}");
            if let Some(port) = one.get("port").and_then(Value::as_integer) {
                assert_eq!(served, Some(format!("0.0.0.0:{port}").as_str()), "{file}");
            }
        }
    }
    let checks = &fly("fly.toml")?["checks"];
    for group in ["host", "worker"] {
        assert_eq!(texts(&checks[group]["processes"]), [group]);
        assert_eq!(checks[group]["path"].as_str(), Some("/healthz"));
    }
    Ok(())
}

#[test]
fn the_image_is_built_as_one_is_told_to_build_for_real_numbers() -> Result<()> {
    let dockerfile = read("Dockerfile")?.replace("\\\n", " ");
    let built: Vec<_> = dockerfile
        .lines()
        .flat_map(|line| line.split("&&"))
        .filter_map(|part| part.find("cargo build").map(|at| part[at..].trim()))
        .collect();
    assert_eq!(built, [BUILD]);
    assert!(dockerfile.contains("\nENTRYPOINT [\"passerelle\"]\n"));
    let mut told = 0;
    for page in ["README.md", "CONTRIBUTING.md"] {
        for line in read(page)?.lines().map(str::trim) {
            if line.starts_with("cargo build") {
                assert_eq!(line, BUILD, "{page}");
                told += 1;
            }
        }
    }
    assert!(told > 0, "no page shows the build command");
    let manifest: Table = read("Cargo.toml")?.parse()?;
    let rust = manifest["workspace"]["package"]["rust-version"].as_str();
    let image = format!("FROM rust:{}-", rust.context("rust-version")?);
    assert!(
        dockerfile.contains(&image),
        "the image has another version of Rust"
    );
    Ok(())
}

#[test]
fn the_image_has_ffmpeg_when_it_is_asked_for_as_the_pages_say() -> Result<()> {
    let dockerfile = read("Dockerfile")?;
    // An empty value adds no package. Any other value adds ffmpeg.
    assert!(dockerfile.contains("\nARG FFMPEG=\n"));
    assert!(dockerfile.contains("ca-certificates ${FFMPEG:+ffmpeg} \\\n"));
    for page in ["README.md", "deploy/README.md"] {
        assert!(read(page)?.contains("--build-arg FFMPEG=1"), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn each_service_of_the_compose_file_runs_a_role_and_may_take_its_time_to_stop() -> Result<()>
{
    let mut compose: Yaml = serde_yaml_ng::from_str(&read("deploy/compose.yaml")?)?;
    compose.apply_merge()?;
    let commands = commands().await?;
    let (mut run, mut hosts) = (Vec::new(), Vec::new());
    let services = compose["services"].as_mapping().context("services")?;
    for service in services.values() {
        if service["image"].as_str() != Some("passerelle") {
            continue;
        }
        let word = service["command"][0].as_str().context("a command")?;
        assert_eq!(service["command"].as_sequence().map(Vec::len), Some(1));
        assert!(commands.iter().any(|known| known == word), "{word}");
        let grace = service["stop_grace_period"].as_str().context("a grace")?;
        assert!(seconds(grace)? >= STOP, "{word}: {grace}");
        let environment = &service["environment"];
        for secret in ["PASSERELLE_KEK", "PASSERELLE_ADMIN_KEY"] {
            let value = environment[secret].as_str().unwrap_or_default();
            let asked = format!("${{{secret}:?");
            assert!(value.starts_with(&asked), "{word}: {secret} is {value}");
        }
        if word == "host" {
            hosts.push(environment["PASSERELLE_HOST"].as_str().context("a name")?);
        }
        run.push(word);
    }
    run.sort_unstable();
    assert_eq!(run, ["api", "host", "host", "migrate", "worker"]);
    assert_ne!(hosts[0], hosts[1], "two hosts have the same name");
    Ok(())
}

#[test]
fn the_compose_file_trusts_the_network_that_it_fixes() -> Result<()> {
    let mut compose: Yaml = serde_yaml_ng::from_str(&read("deploy/compose.yaml")?)?;
    compose.apply_merge()?;
    let fixed = &compose["networks"]["default"]["ipam"]["config"][0]["subnet"];
    let trusted = &compose["services"]["api"]["environment"]["PASSERELLE_TRUSTED_PROXIES"];
    assert!(fixed.is_string());
    assert_eq!(trusted, fixed);
    Ok(())
}

#[tokio::test]
async fn each_systemd_unit_runs_a_command_of_the_binary_and_gives_it_time_to_stop() -> Result<()> {
    let commands = commands().await?;
    for (unit, runs) in [
        ("passerelle.service", &["serve"][..]),
        ("passerelle@.service", &ROLES),
    ] {
        let text = read(&format!("deploy/systemd/{unit}"))?;
        let setting = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.strip_prefix('='))
                .with_context(|| format!("{unit} has no {key}"))
        };
        let start = setting("ExecStart")?;
        let word = start.strip_prefix("/usr/local/bin/passerelle ");
        let instance = unit.contains('@');
        assert_eq!(word, Some(if instance { "%i" } else { runs[0] }), "{unit}");
        for word in runs {
            assert!(commands.iter().any(|known| known == word), "{word}");
        }
        assert!(seconds(setting("TimeoutStopSec")?)? >= STOP, "{unit}");
        for (key, value) in [
            ("Restart", "on-failure"),
            ("EnvironmentFile", "/etc/passerelle/env"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("DynamicUser", "yes"),
        ] {
            assert_eq!(setting(key)?, value, "{unit}: {key}");
        }
        // A confined process needs these calls. Not every version of systemd has them in its sets.
        let calls = "\nSystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self\n";
        assert!(text.contains(calls), "{unit}");
    }
    Ok(())
}

//! The program as a user starts it: what a plain build refuses, keys, the sandbox and the demo.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World,
    api::{Api, Base},
    gateway::{ADMIN_KEY, kek},
    on_every_shape, port,
    process::{Process, command, plain_binary, sandbox_binary},
    world::install_tls,
};
use serde_json::{Value, json};
use std::{path::Path, process::Output, time::Duration};
use tempfile::TempDir;

on_every_shape!(
    a_wrong_key_encryption_key_is_refused_and_changes_nothing,
    a_second_key_encryption_key_opens_what_the_first_sealed
);

/// A folder with a private store and its key.
struct Own {
    folder: TempDir,
    database: String,
    key: String,
}

impl Own {
    fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        Ok(Self {
            database: format!("sqlite:{}", folder.path().join("p.db").display()),
            key: kek("k1", 1),
            folder,
        })
    }

    /// Returns the environment variables for a process that uses it.
    fn env(&self) -> [(&str, &str); 2] {
        [
            ("PASSERELLE_KEK", &self.key),
            ("PASSERELLE_DATABASE_URL", &self.database),
        ]
    }
}

/// Runs a binary to its end and returns its output.
async fn run(binary: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Result<(Output, String)> {
    let mut command = command(binary);
    command.args(arguments).envs(env.iter().copied());
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = output.with_context(|| format!("{arguments:?} did not end"))??;
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Ok((output, String::from_utf8_lossy(&text).into_owned()))
}

#[tokio::test]
async fn a_plain_build_talks_to_no_server_but_whatsapps() -> Result<()> {
    let own = Own::new()?;
    let env = own.env();
    let url = "ws://127.0.0.1:9/ws/chat";
    let (flag, text) = run(
        &plain_binary()?,
        &["serve", "--listen", "127.0.0.1:0", "--whatsapp-url", url],
        &env,
    )
    .await?;
    assert!(!flag.status.success(), "{text}");
    assert!(text.contains("whatsapp-url"), "{text}");
    let mut with_variable = env.to_vec();
    with_variable.push(("PASSERELLE_WHATSAPP_URL", url));
    let mut started = command(&plain_binary()?);
    started
        .args(["serve", "--listen", "127.0.0.1:0"])
        .envs(with_variable);
    // It must refuse or ignore the variable. It must never connect to that server.
    let output = tokio::time::timeout(Duration::from_secs(5), started.output()).await;
    assert!(output.is_err() || !output??.status.success());
    Ok(())
}

#[tokio::test]
async fn a_plain_build_shows_no_sandbox() -> Result<()> {
    let (help, text) = run(&plain_binary()?, &["--help"], &[]).await?;
    assert!(help.status.success());
    for word in ["serve", "migrate", "openapi", "admin"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let (_, serve) = run(&plain_binary()?, &["serve", "--help"], &[]).await?;
    for word in ["sandbox", "demo", "simulator", "whatsapp-url"] {
        assert!(
            !text.contains(word) && !serve.contains(word),
            "{word} is in the help of a plain build"
        );
    }
    for word in ["sandbox", "demo", "simulator"] {
        let (output, _) = run(&plain_binary()?, &[word], &[]).await?;
        assert!(!output.status.success(), "a plain build has {word}");
    }
    let (_, sandbox) = run(&sandbox_binary()?, &["--help"], &[]).await?;
    assert!(
        sandbox.contains("sandbox") && sandbox.contains("demo"),
        "{sandbox}"
    );
    Ok(())
}

#[tokio::test]
async fn a_plain_build_keeps_the_gaps() -> Result<()> {
    let own = Own::new()?;
    let env = own.env();
    for (flag, value) in [("--gap-floor-ms", "999"), ("--ack-timeout-ms", "19999")] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", flag, value];
        let (output, text) = run(&plain_binary()?, &arguments, &env).await?;
        assert!(!output.status.success(), "{flag} {value} was accepted");
        assert!(text.contains(flag.trim_start_matches('-')), "{text}");
    }
    Ok(())
}

/// Returns the steps that a process printed, as one script.
fn next_steps(log: &Path) -> Result<String> {
    let text = std::fs::read_to_string(log)?;
    let (_, steps) = text
        .split_once("Next steps, to paste into a shell:\n\n")
        .with_context(|| format!("no next steps are in\n{text}"))?;
    // Log lines may be mixed in.
    let lines = steps.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Runs lines as if a person pasted them and returns what they print.
async fn pasted(lines: &str, env: &[(&str, &str)]) -> Result<String> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-euc", lines]).envs(env.iter().copied());
    let output = tokio::time::timeout(Duration::from_mins(1), shell.output()).await;
    let output = output.context("the lines did not end")??;
    let [out, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    anyhow::ensure!(output.status.success(), "{lines}\n{out}\n{error}");
    Ok(out)
}

/// Starts a gateway of a plain build and returns what it announces.
async fn served(folder: &Path, flags: &[&str], env: &[(&str, &str)]) -> Result<(Process, Value)> {
    let announce = folder.join("announce.json");
    std::fs::remove_file(&announce).ok();
    let mut command = command(&plain_binary()?);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--announce"])
        .arg(&announce)
        .args(flags)
        .envs(env.iter().copied());
    let mut process = Process::start(command, &folder.join("log"))?;
    let told = process.announced(&announce).await?;
    Ok((process, told))
}

#[tokio::test]
async fn an_operator_makes_organisations_and_keys_without_http() -> Result<()> {
    install_tls();
    let own = Own::new()?;
    let env = own.env();
    let (migrated, text) = run(&plain_binary()?, &["migrate"], &env).await?;
    assert!(migrated.status.success(), "{text}");
    let told = async |arguments: &[&str]| {
        let (output, text) = run(&plain_binary()?, arguments, &env).await?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {text}");
        anyhow::Ok(serde_json::from_slice::<Value>(&output.stdout)?)
    };
    let org = told(&["admin", "create-organisation", "--name", "Acme"]).await?;
    let id = org["id"].as_str().context("an id")?;
    let listed = told(&["admin", "list-organisations"]).await?;
    assert_eq!(listed["data"], json!([org]));
    let make = [
        "admin",
        "create-key",
        "--organisation",
        id,
        "--name",
        "shop",
    ];
    let made = told(&make).await?;
    for bad in [
        ["admin", "create-organisation", "--name", ""].as_slice(),
        &[
            "admin",
            "create-key",
            "--organisation",
            "org_1",
            "--name",
            "shop",
        ],
        &[
            "admin",
            "create-key",
            "--organisation",
            "org_01kaq6h3zve9qbw4r2t8n5c7xd",
            "--name",
            "shop",
        ],
    ] {
        assert!(told(bad).await.is_err(), "{bad:?} was accepted");
    }
    let (mut gateway, announced) = served(own.folder.path(), &[], &env).await?;
    let base = Base::default();
    base.set(
        announced["api"]
            .as_str()
            .context("it announces the address of its API")?,
    );
    let api = Api::new(base, made["key"].as_str().context("a key")?)?;
    assert_eq!(api.create_session("a").await?.state, "stopped");
    gateway.terminate()?;
    assert!(gateway.ended(Duration::from_secs(30)).await?.success());
    Ok(())
}

#[tokio::test]
async fn serve_ends_its_start_with_steps_that_make_a_key_and_shows_no_secret() -> Result<()> {
    install_tls();
    let own = Own::new()?;
    let mut env = own.env().to_vec();
    env.push(("PASSERELLE_ADMIN_KEY", ADMIN_KEY));
    let (mut gateway, _) = served(own.folder.path(), &[], &env).await?;
    let log = own.folder.path().join("log");
    let steps = next_steps(&log)?;
    assert!(steps.contains("/qr"), "{steps}");
    // Stops before the session: a plain build would connect it to the real WhatsApp.
    let (to_the_key, _) = steps.split_once("\nSES=").context("a session")?;
    let key = pasted(&format!("{to_the_key}\necho $KEY"), &env).await?;
    assert!(key.starts_with("psl_"), "{key}");
    gateway.terminate()?;
    assert!(gateway.ended(Duration::from_secs(30)).await?.success());
    let text = std::fs::read_to_string(&log)?;
    for secret in [ADMIN_KEY, &own.key, key.trim()] {
        assert!(!text.contains(secret), "a secret is in the log: {text}");
    }

    std::fs::remove_file(&log)?;
    env.push(("PASSERELLE_LOG_FORMAT", "json"));
    let (mut gateway, _) = served(own.folder.path(), &[], &env).await?;
    gateway.terminate()?;
    assert!(gateway.ended(Duration::from_secs(30)).await?.success());
    let text = std::fs::read_to_string(&log)?;
    assert!(text.lines().all(|line| line.starts_with('{')), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_private_range_that_the_operator_opens_is_logged() -> Result<()> {
    install_tls();
    let own = Own::new()?;
    let env = own.env();
    let flags = ["--egress-allow", "10.20.0.0/16,192.168.7.0/24"];
    let (mut gateway, _) = served(own.folder.path(), &flags, &env).await?;
    let log = gateway.log_end();
    for range in ["10.20.0.0/16", "192.168.7.0/24"] {
        assert!(log.contains(range), "{range} is not in the log: {log}");
    }
    gateway.terminate()?;
    gateway.ended(Duration::from_secs(30)).await?;
    Ok(())
}

#[tokio::test]
async fn the_simulator_alone_listens_on_the_port_it_is_given() -> Result<()> {
    install_tls();
    let port = port::free()?;
    let folder = TempDir::new()?;
    let announce = folder.path().join("announce.json");
    let mut command = command(&sandbox_binary()?);
    command
        .args(["simulator", "--port", &port.to_string(), "--announce"])
        .arg(&announce);
    let mut simulator = Process::start(command, &folder.path().join("log"))?;
    let told = simulator.announced(&announce).await?;
    let control = format!("http://127.0.0.1:{port}/control");
    assert_eq!(told["control"], json!(control));
    let stats = reqwest::get(format!("{control}/stats")).await?;
    assert!(stats.status().is_success());
    simulator.terminate()?;
    simulator.ended(Duration::from_secs(30)).await?;
    Ok(())
}

#[tokio::test]
async fn a_sandbox_build_points_at_loopback_only() -> Result<()> {
    let own = Own::new()?;
    let env = own.env();
    for url in [
        "ws://192.0.2.1/ws/chat",
        "wss://example.com/ws/chat",
        "http://127.0.0.1:9/",
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--whatsapp-url", url];
        let (output, text) = run(&sandbox_binary()?, &arguments, &env).await?;
        assert!(!output.status.success(), "{url} was accepted: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn serve_without_a_key_encryption_key_refuses_and_says_how_to_make_one() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("p.db");
    let database = format!("sqlite:{}", file.display());
    let env = [("PASSERELLE_DATABASE_URL", database.as_str())];
    let (output, text) = run(
        &plain_binary()?,
        &["serve", "--listen", "127.0.0.1:0"],
        &env,
    )
    .await?;
    assert!(!output.status.success());
    assert!(
        text.contains("PASSERELLE_KEK=") || text.contains("/dev/urandom"),
        "{text}"
    );
    assert!(
        !file.exists(),
        "it created a store although it refused to start"
    );
    for bad in ["k1", "k1:short", "k1:", ":AAAA", "k1:####"] {
        let env = [
            ("PASSERELLE_DATABASE_URL", database.as_str()),
            ("PASSERELLE_KEK", bad),
        ];
        let (output, text) = run(
            &plain_binary()?,
            &["serve", "--listen", "127.0.0.1:0"],
            &env,
        )
        .await?;
        assert!(!output.status.success(), "{bad} was accepted: {text}");
    }
    Ok(())
}

async fn a_wrong_key_encryption_key_is_refused_and_changes_nothing(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    world.api.create_session("sealed").await?;
    world.gateway.stop().await?;
    let before = world.gateway.database.rows().await?;
    let right = std::mem::replace(&mut world.gateway.setup.kek, kek("k1", 9));
    assert!(
        world.gateway.start().await.is_err(),
        "it started with a wrong key"
    );
    world.gateway.kill().await?;
    let after = world.gateway.database.rows().await?;
    assert!(before == after, "a refused start changed the store");
    world.gateway.setup.kek = right;
    world.gateway.start().await?;
    assert_eq!(world.api.sessions().await?.len(), 1);
    world.finish().await
}

async fn a_second_key_encryption_key_opens_what_the_first_sealed(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked("+4915170000001").await?;
    world.gateway.stop().await?;
    world.gateway.setup.kek = format!("{},{}", kek("k2", 9), kek("k1", 7));
    world.gateway.start().await?;
    world.api.session_in(&session.id, "connected").await?;
    let other = world
        .gateway
        .admin()?
        .tenant("sealed by the second")
        .await?;
    other.create_session("a").await?;
    world.gateway.stop().await?;
    world.gateway.start().await?;
    assert_eq!(other.sessions().await?.len(), 1);
    world.finish().await
}

#[tokio::test]
async fn the_sandbox_runs_gateway_and_simulator_together_and_ends_when_asked() -> Result<()> {
    install_tls();
    let folder = TempDir::new()?;
    let announce = folder.path().join("announce.json");
    let mut command = command(&sandbox_binary()?);
    command
        .args(["sandbox", "--listen", "127.0.0.1:0", "--announce"])
        .arg(&announce);
    command.current_dir(folder.path());
    let mut sandbox = Process::start(command, &folder.path().join("log"))?;
    let told = sandbox.announced(&announce).await?;
    assert!(told["control"].is_string(), "{told}");
    let base = Base::default();
    base.set(
        told["api"]
            .as_str()
            .context("it announces the address of its API")?,
    );
    let admin = Api::new(
        base,
        told["admin_key"]
            .as_str()
            .context("it announces its admin key")?,
    )?;
    let api = admin.tenant("Acme").await?;
    assert_eq!(api.create_session("a").await?.state, "stopped");
    let shown = pasted(&next_steps(&folder.path().join("log"))?, &[]).await?;
    assert!(
        shown.contains(r#""jid":"491510000001:1@s.whatsapp.net""#),
        "{shown}"
    );
    assert!(shown.contains(r#""status":"queued""#), "{shown}");
    sandbox.terminate()?;
    assert!(sandbox.ended(Duration::from_secs(30)).await?.success());
    Ok(())
}

#[tokio::test]
async fn the_demo_ends_well_although_its_usual_ports_are_taken() -> Result<()> {
    let _taken = tokio::net::TcpListener::bind("127.0.0.1:8080").await;
    let mut command = command(&sandbox_binary()?);
    command.args(["demo", "--once"]);
    let output = tokio::time::timeout(Duration::from_secs(150), command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let count = |word: &str| text.matches(word).count();
    assert!(count("█") > 100, "no QR is drawn:\n{text}");
    assert_eq!(count("  accepted msg_"), 5, "{text}");
    for number in 1..=5 {
        let position = format!(": position {}, to be sent about 20", number - 1);
        assert!(text.contains(&position), "no {position} in:\n{text}");
        let read = format!("  text {number}: read");
        assert_eq!(count(&read), 1, "{text}");
    }
    let gaps = text
        .split_once("Gaps on the wire, in ms: [")
        .and_then(|(_, rest)| rest.split_once(']'));
    let (gaps, _) = gaps.context("the gaps are shown")?;
    let gaps: Vec<u64> = gaps.split(", ").map(str::parse).collect::<Result<_, _>>()?;
    assert!(
        gaps.len() == 4 && gaps.iter().all(|gap| *gap >= 200),
        "{gaps:?}"
    );
    assert_eq!(count("  message.received from +"), 5, "{text}");
    let answer = "Her phone shows: We are open from 9 to 18 o'clock, Ada.";
    let held = "The second text waits: hold unanswered, to be sent about 20";
    let went = "Bob's phone has got: Bob, the pick-up code is 4712.";
    for word in ["curl", "/docs", "API key: ", answer, held, went] {
        assert!(
            text.contains(word),
            "the demo does not show {word}:\n{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_stays_up_until_it_is_asked_to_end() -> Result<()> {
    install_tls();
    let folder = TempDir::new()?;
    let log = folder.path().join("log");
    let mut command = command(&sandbox_binary()?);
    command.arg("demo").current_dir(folder.path());
    let mut demo = Process::start(command, &log)?;
    let page = passerelle_tests::within(
        Duration::from_secs(150),
        "the demo prints its page",
        async || {
            let text = std::fs::read_to_string(&log)?;
            let page = text
                .split_once("Try it: ")
                .and_then(|(_, rest)| rest.split_once('\n'));
            Ok(page
                .filter(|(_, rest)| rest.contains("Press Ctrl-C"))
                .map(|(page, _)| page.trim().to_owned()))
        },
    )
    .await?;
    let shown = reqwest::get(&page).await?;
    assert!(shown.status().is_success(), "{page}");
    let answers = pasted(&next_steps(&log)?, &[]).await?;
    assert!(answers.contains(r#""status":"queued""#), "{answers}");
    assert!(answers.contains(r#""state":"connected""#), "{answers}");
    demo.terminate()?;
    assert!(demo.ended(Duration::from_secs(30)).await?.success());
    Ok(())
}

#[tokio::test]
async fn the_admin_key_is_made_at_the_first_start_when_none_is_given() -> Result<()> {
    install_tls();
    let folder = TempDir::new()?;
    let (key, url) = (
        kek("k1", 1),
        format!("sqlite:{}", folder.path().join("p.db").display()),
    );
    let start = || {
        let announce = folder.path().join("announce.json");
        std::fs::remove_file(&announce).ok();
        let mut command = command(&plain_binary()?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--announce"])
            .arg(&announce);
        command
            .env("PASSERELLE_KEK", &key)
            .env("PASSERELLE_DATABASE_URL", &url);
        anyhow::Ok((
            Process::start(command, &folder.path().join("log"))?,
            announce,
        ))
    };
    let (mut first, announce) = start()?;
    let told = first.announced(&announce).await?;
    let log = first.log_end();
    let at = log
        .find("padm_")
        .with_context(|| format!("no admin key is shown: {log}"))?;
    let shown: String = log[at..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    assert_ne!(shown, ADMIN_KEY);
    let base = Base::default();
    base.set(
        told["api"]
            .as_str()
            .context("it announces the address of its API")?,
    );
    let admin = Api::new(base.clone(), &shown)?;
    let made = admin
        .post("/v1/organisations", &json!({ "name": "Acme" }))
        .await?;
    assert_eq!(made.status.as_u16(), 201);
    first.terminate()?;
    first.ended(Duration::from_secs(30)).await?;
    let (mut second, announce) = start()?;
    let told = second.announced(&announce).await?;
    base.set(
        told["api"]
            .as_str()
            .context("it announces the address of its API")?,
    );
    assert_eq!(
        admin.get("/v1/organisations").await?.status.as_u16(),
        200,
        "the key still works"
    );
    second.terminate()?;
    second.ended(Duration::from_secs(30)).await?;
    let log = second.log_end();
    assert_eq!(log.matches("padm_").count(), 1, "it is shown once: {log}");
    Ok(())
}

//! What the gateway publishes about itself: the OpenAPI document, its page, health and metrics.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, World, browser, on_every_shape};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    the_served_document_is_the_committed_one,
    the_first_page_leads_to_the_reference_health_and_the_guide,
    the_docs_page_asks_nothing_of_other_hosts,
    a_browser_shows_every_operation_and_asks_no_other_host,
    health_and_metrics_answer_without_a_key,
);

async fn the_served_document_is_the_committed_one(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let mut served: Value = world.api.get("/openapi.json").await?.into(200)?;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    let mut committed: Value = serde_json::from_str(&std::fs::read_to_string(root)?)?;
    for document in [&mut served, &mut committed] {
        document
            .as_object_mut()
            .context("it is an object")?
            .remove("servers");
    }
    assert!(
        served == committed,
        "run `cargo run -p passerelle -- openapi > openapi/openapi.json`"
    );
    assert_eq!(served["openapi"], json!("3.1.0"));
    assert!(
        served["webhooks"]
            .as_object()
            .is_some_and(|hooks| hooks.contains_key("message.received"))
    );
    for (path, operations) in served["paths"].as_object().context("it has paths")? {
        for (method, operation) in operations.as_object().context("a path has operations")? {
            assert!(
                operation["operationId"].is_string(),
                "{method} {path} has no name"
            );
            assert!(
                operation["responses"]
                    .as_object()
                    .is_some_and(|all| all.len() > 1),
                "{method} {path}"
            );
        }
    }
    world.finish().await
}

async fn the_first_page_leads_to_the_reference_health_and_the_guide(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let base = world.api.base().get();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let page = http.get(format!("{base}/")).send().await?;
    assert_eq!(page.status().as_u16(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str()?;
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let html = page.text().await?;
    let links: Vec<_> = html
        .split("<a href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for link in ["/docs", "/openapi.json", "/healthz"] {
        assert!(links.contains(&link), "no {link} in {links:?}");
    }
    for link in links {
        assert!(link.starts_with('/'), "the page links to {link}");
        let reply = http.get(format!("{base}{link}")).send().await?;
        assert_eq!(reply.status().as_u16(), 200, "{link}");
    }
    assert!(
        html.contains("docs/guide") && !html.contains("//"),
        "{html}"
    );
    let post = http.post(format!("{base}/")).send().await?;
    assert_eq!(post.status().as_u16(), 405);
    assert_eq!(post.headers()["allow"], "GET, HEAD");
    world.finish().await
}

async fn the_docs_page_asks_nothing_of_other_hosts(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let page = world.api.request(Method::GET, "/docs").send().await?;
    assert_eq!(page.status().as_u16(), 200);
    assert!(page.headers().contains_key("content-security-policy"));
    let html = page.text().await?;
    for part in html
        .split(['"', '\''])
        .filter(|part| part.starts_with("http") || part.starts_with("//"))
    {
        assert!(
            part.starts_with("http://www.w3.org/"),
            "the page names {part}"
        );
    }
    let is_file = |part: &&str| {
        let end = part.rsplit('.').next();
        matches!(end, Some("js" | "css")) && !part.contains(char::is_whitespace)
    };
    let links = html.split(['"', '\'']).filter(is_file);
    for link in links {
        let path = if link.starts_with('/') {
            link.to_owned()
        } else {
            format!("/docs/{}", link.trim_start_matches("./"))
        };
        let file = world.api.request(Method::GET, &path).send().await?;
        assert_eq!(file.status().as_u16(), 200, "{path}");
    }
    world.finish().await
}

async fn a_browser_shows_every_operation_and_asks_no_other_host(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let base = world.api.base().get();
    let net_log = world.folder().join("net.json");
    let flags = [
        format!("--log-net-log={}", net_log.display()),
        "--dump-dom".to_owned(),
    ];
    let shown = browser::open(world.folder(), flags, &format!("{base}/docs")).await?;
    let page = String::from_utf8(shown)?;
    let document: Value = world.api.get("/openapi.json").await?.into(200)?;
    let paths = document["paths"].as_object().context("it has paths")?;
    for operation in paths
        .values()
        .filter_map(|path| path.as_object())
        .flat_map(serde_json::Map::values)
    {
        let id = operation["operationId"].as_str().context("it has a name")?;
        assert!(
            page.contains(&format!("-{id}\"")),
            "{id} is not on the page"
        );
    }
    let asked = asked_by_pages(&serde_json::from_slice(&std::fs::read(net_log)?)?);
    assert!(
        asked.len() >= 4,
        "the page asks for its own files: {asked:?}"
    );
    for url in asked {
        assert!(url.starts_with(&base), "the page asked for {url}");
    }
    world.finish().await
}

/// Returns the addresses that pages requested. The browser's own requests have no page as their initiator
/// and are left out.
fn asked_by_pages(net_log: &Value) -> Vec<String> {
    let events = net_log["events"].as_array().into_iter().flatten();
    let requests = events.filter(|event| {
        let initiator = event["params"]["initiator"].as_str();
        initiator.is_some_and(|initiator| initiator.starts_with("http"))
    });
    requests
        .filter_map(|event| Some(event["params"]["url"].as_str()?.to_owned()))
        .collect()
}

async fn health_and_metrics_answer_without_a_key(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = http
            .get(format!("{}{path}", world.api.base().get()))
            .send()
            .await?;
        assert_eq!(reply.status().as_u16(), 200, "{path}");
        let text = reply.text().await?;
        assert!(!text.contains("+49"), "{path} contains a number");
    }
    let metrics = http
        .get(format!("{}/metrics", world.api.base().get()))
        .send()
        .await?
        .text()
        .await?;
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("# TYPE passerelle_")),
        "{metrics}"
    );
    world.finish().await
}

//! The control API and the port that it shares.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sim::Sim;

#[tokio::test]
async fn a_wrong_call_says_why() {
    let sim = Sim::start();
    let post = |path: &'static str, body| sim.call("POST", path, Some(body));
    for (status, (got, reply)) in [
        (
            400,
            post("/phones", json!({"phone": "+4915", "x": 1})).await,
        ),
        (400, post("/phones", json!({"phone": "hello"})).await),
        (400, post("/phones", json!([])).await),
        (
            400,
            post("/faults", json!({"on": "login", "do": "nack"})).await,
        ),
        (400, post("/kick", json!({"how": "gently"})).await),
        (
            404,
            post(
                "/phones/+491510000001/say",
                json!({"to": "+49151", "text": "x"}),
            )
            .await,
        ),
        (
            404,
            post("/phones/+491510000001/unlink", json!({"device": 1})).await,
        ),
        (404, post("/nothing", json!({})).await),
        (405, sim.call("DELETE", "/stats", None).await),
        (400, sim.call("GET", "/ledger?kind=odd", None).await),
        (400, sim.call("GET", "/ledger?odd=1", None).await),
        (404, sim.call("DELETE", "/faults/7", None).await),
    ] {
        assert_eq!(got, status, "{reply}");
        assert!(reply["error"].is_string(), "{reply}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let sim = Sim::start();
    let body = json!({"phone": "+491510000001", "name": "x".repeat(300_000)});
    assert_eq!(sim.call("POST", "/phones", Some(body)).await.0, 413);
}

#[tokio::test]
async fn a_phone_keeps_what_is_not_mentioned() {
    let sim = Sim::start();
    let phone = "+491510000001";
    sim.post(
        "/phones",
        json!({"phone": phone, "echo": true, "reads": false, "name": "Ada"}),
    )
    .await;
    sim.post("/phones", json!({"phone": phone, "reads": true}))
        .await;
    let reply = sim.get("/phones/491510000001").await;
    assert_eq!(
        (&reply["echo"], &reply["reads"], &reply["name"]),
        (&json!(true), &json!(true), &json!("Ada"))
    );
}

#[tokio::test]
async fn one_port_serves_tls_too() {
    let sim = Sim::start();
    let pem = sim.get("/cert").await;
    let certificate = reqwest::Certificate::from_pem(pem.as_str().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let url = sim.server.control_url().replace("http:", "https:");
    let root = client.get(format!("{url}/root")).send().await.unwrap();
    assert_eq!(root.text().await.unwrap().len(), 64);
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let options = passerelle_simulator::Options {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Default::default()
    };
    assert!(passerelle_simulator::Simulator::start(options).is_err());
}

#[tokio::test]
async fn another_protocol_on_the_socket_is_cut_off() {
    let sim = Sim::start();
    let mut socket = tokio::net::TcpStream::connect(sim.server.addr())
        .await
        .unwrap();
    socket.write_all(b"EHLO there\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    let read = socket.read_to_end(&mut reply);
    let limit = std::time::Duration::from_secs(15);
    tokio::time::timeout(limit, read)
        .await
        .expect("an end")
        .unwrap();
    assert_eq!(sim.get("/stats").await["connections"], 0);
}

#[tokio::test]
async fn a_stopped_simulator_frees_its_port() {
    let sim = Sim::start();
    let _companion = sim.companion("+491510000001").await;
    let addr = sim.server.addr();
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, sim.server.stop())
        .await
        .expect("a stop");
    tokio::net::TcpListener::bind(addr).await.unwrap();
}

/// Returns the calls of a route in the document's notation: `POST /control/groups/{group}`.
fn calls(route: &str) -> Vec<String> {
    let (path, methods) = route.split_once("\",").expect("a path and its methods");
    let path: Vec<String> = path
        .trim_start_matches(['\"', '\n', ' '])
        .split('/')
        .map(|part| match part.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => part.to_owned(),
        })
        .collect();
    let methods = ["get", "post", "put", "delete"]
        .into_iter()
        .filter(|method| methods.contains(&format!("{method}(")));
    methods
        .map(|method| format!("`{} /control{}", method.to_uppercase(), path.join("/")))
        .collect()
}

#[test]
fn every_call_is_in_the_document() {
    let document = include_str!("../../CONTROL.md");
    let source = include_str!("../../src/control/mod.rs");
    let routes: Vec<&str> = source.split(".at(").skip(1).collect();
    assert!(routes.len() > 15);
    for call in routes.into_iter().flat_map(calls) {
        let ends = ["`", "?"].map(|end| format!("{call}{end}"));
        assert!(ends.iter().any(|one| document.contains(one)), "{call}");
    }
}

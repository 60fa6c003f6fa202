//! Bad input is refused with a stable code and the right status, in bounded memory.

use anyhow::{Context as _, Result};
use futures_util::stream;
use passerelle_tests::{
    Api, Backing, Finished, World, api::Reply, on_every_shape, simulator::Phone,
};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

on_every_shape!(
    every_bad_field_of_a_send_has_its_code,
    every_bad_field_elsewhere_has_its_code,
    a_text_of_the_longest_length_goes_out,
    sixty_megabytes_are_refused_in_bounded_memory,
    half_a_request_leaves_nothing_behind,
    half_a_request_is_told_when_its_time_is_over,
    a_full_lane_a_full_list_and_a_full_minute_say_so,
    a_wrong_path_method_or_type_is_a_problem_too,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// Asserts that a refusal has the shape of RFC 9457, and that its body and status line agree.
fn problem(reply: &Reply, status: u16, code: &str, what: &str) {
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (status, code),
        "{what}: {}",
        reply.body
    );
    assert_eq!(
        reply.headers["content-type"], "application/problem+json",
        "{what}"
    );
    assert_eq!(reply.body["status"], json!(status), "{what}");
    for field in ["type", "title", "request_id", "instance"] {
        assert!(
            reply.body[field].is_string(),
            "{what} has no {field}: {}",
            reply.body
        );
    }
    assert_eq!(
        reply.body["request_id"].as_str(),
        reply.headers["x-request-id"].to_str().ok(),
        "{what}"
    );
}

/// Builds a body to send with one field replaced.
fn with(session: &str, field: &str, value: Value) -> Value {
    let mut body = Api::text(session, CONTACT, "hello");
    body[field] = value;
    body
}

/// Builds a body to send without one field.
fn without(session: &str, field: &str) -> Value {
    let mut body = Api::text(session, CONTACT, "hello");
    body.as_object_mut().map(|fields| fields.remove(field));
    body
}

/// A body, and the expected status and code.
type Case = (Value, u16, &'static str);

/// Returns bodies with the wrong shape: 400.
fn misshapen(session: &str) -> Vec<Case> {
    let shape = |body| (body, 400, "validation_failed");
    let unknown = |body| (body, 400, "unknown_field");
    let no_id = |id: String| (with(session, "session_id", json!(id)), 400, "invalid_id");
    vec![
        shape(without(session, "session_id")),
        shape(without(session, "type")),
        shape(without(session, "to")),
        shape(without(session, "text")),
        shape(with(session, "session_id", json!(5))),
        no_id("nonsense".to_owned()),
        no_id(session.replace("ses_", "msg_")),
        shape(with(session, "type", json!("carrier_pigeon"))),
        shape(with(session, "to", json!([CONTACT, CONTACT]))),
        shape(with(session, "text", json!("hello"))),
        shape(with(session, "text", json!({}))),
        shape(with(session, "text", json!({ "body": 5 }))),
        shape(with(session, "expires_at", json!("tomorrow"))),
        shape(json!([])),
        shape(Value::Null),
        unknown(with(session, "urgent", json!(true))),
        unknown(with(session, "text", json!({ "body": "x", "also": [] }))),
    ]
}

/// Returns bodies with the right shape and an unusable value: 422.
fn unusable(session: &str) -> Vec<Case> {
    let recipients = [
        "",
        "0151 99000001",
        "612345678",
        "+33 6 12 34",
        "+49151CALLME",
        "+4",
        "+4915199000001234567",
        "+0915199000001",
        "4915199000001@example.org",
    ];
    let recipient = |to| (with(session, "to", json!(to)), 422, "invalid_recipient");
    let text = |body: String, code| (with(session, "text", json!({ "body": body })), 422, code);
    let past = with(session, "expires_at", json!("2001-01-01T00:00:00Z"));
    let mut cases: Vec<Case> = recipients.map(recipient).into();
    for nothing in ["", " ", "\n\t \u{a0}"] {
        cases.push(text(nothing.to_owned(), "text_empty"));
    }
    cases.push(text("x".repeat(65_537), "text_too_long"));
    cases.push((past, 422, "invalid_expiry"));
    cases
}

async fn every_bad_field_of_a_send_has_its_code(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("a").await?.id;
    let cases = misshapen(&session).into_iter().chain(unusable(&session));
    for (body, status, code) in cases {
        let what: String = body.to_string().chars().take(200).collect();
        problem(
            &world.api.post("/v1/messages", &body).await?,
            status,
            code,
            &what,
        );
    }
    assert!(
        world.api.messages("").await?.is_empty(),
        "bad input was accepted"
    );
    world.finish().await
}

/// A path and body to post, and the expected status and code.
type Posted = (String, Value, u16, &'static str);

/// Returns bodies of operations other than sending.
fn bad_bodies(session: &str) -> Vec<Posted> {
    let code = &format!("/v1/sessions/{session}/pairing-code");
    let hook = "http://127.0.0.1:9/";
    let shape = |path: &str, body| (path.to_owned(), body, 400, "validation_failed");
    let unknown = |path: &str, body| (path.to_owned(), body, 400, "unknown_field");
    let name = |path: &str, name: &str| {
        let body = json!({ "name": name });
        (path.to_owned(), body, 422, "invalid_name")
    };
    let endpoint = |body| shape("/v1/webhook-endpoints", body);
    let no_event = json!({ "url": hook, "events": ["message.sent", "message.eaten"] });
    vec![
        shape("/v1/sessions", json!({})),
        shape("/v1/sessions", json!({ "name": 5 })),
        unknown("/v1/sessions", json!({ "name": "a", "pacing": "off" })),
        name("/v1/sessions", ""),
        name("/v1/sessions", &"x".repeat(10_000)),
        shape("/v1/api-keys", json!({})),
        shape("/v1/api-keys", json!({ "name": [] })),
        unknown("/v1/api-keys", json!({ "name": "a", "scope": "all" })),
        name("/v1/api-keys", ""),
        endpoint(json!({ "events": [] })),
        endpoint(json!({ "url": 5, "events": [] })),
        endpoint(json!({ "url": hook, "events": "all" })),
        endpoint(json!({ "url": hook, "events": [5] })),
        unknown(
            "/v1/webhook-endpoints",
            json!({ "url": hook, "secret": "mine" }),
        ),
        (
            "/v1/webhook-endpoints".to_owned(),
            no_event,
            422,
            "unknown_event_type",
        ),
        shape(code, json!({})),
        shape(code, json!({ "phone": 5 })),
        unknown(code, json!({ "phone": NUMBER, "also": 1 })),
        (code.clone(), json!({ "phone": "12" }), 422, "invalid_phone"),
    ]
}

const BAD_PATHS: [(&str, &str); 8] = [
    ("/v1/sessions/nonsense", "invalid_id"),
    ("/v1/sessions/msg_01jd9x3v9qe4x8w5t7c2n6k1ra", "invalid_id"),
    ("/v1/messages?cursor=nonsense", "invalid_cursor"),
    ("/v1/messages?limit=0", "validation_failed"),
    ("/v1/messages?limit=101", "validation_failed"),
    ("/v1/messages?limit=many", "validation_failed"),
    ("/v1/messages?status=lost", "validation_failed"),
    ("/v1/messages?session_id=nonsense", "invalid_id"),
];

async fn every_bad_field_elsewhere_has_its_code(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("a").await?.id;
    for (path, body, status, code) in bad_bodies(&session) {
        problem(
            &world.api.post(&path, &body).await?,
            status,
            code,
            &format!("{path} {body}"),
        );
    }
    for (path, code) in BAD_PATHS {
        problem(&world.api.get(path).await?, 400, code, path);
    }
    for (body, status, code) in [
        (json!({ "name": "" }), 422, "invalid_name"),
        (json!({ "name": "a\u{7}" }), 422, "invalid_name"),
        (json!({ "name": null }), 400, "validation_failed"),
        (json!({ "name": "a", "plan": "gold" }), 400, "unknown_field"),
    ] {
        let refused = world.admin.post("/v1/organisations", &body).await?;
        problem(&refused, status, code, &body.to_string());
    }
    for url in [
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://10.0.0.1/",
        "http://[::1]/",
    ] {
        let refused = world
            .api
            .post("/v1/webhook-endpoints", &json!({ "url": url }))
            .await?;
        problem(&refused, 422, "url_not_allowed", url);
    }
    for key in ["", &"k".repeat(300), "k\u{fc}"] {
        let body = Api::text(&session, CONTACT, "hello");
        let refused = world.api.send_once(key, &body).await?;
        problem(&refused, 400, "idempotency_key_invalid", key);
    }
    assert!(world.api.messages("").await?.is_empty());
    world.finish().await
}

async fn a_full_lane_a_full_list_and_a_full_minute_say_so(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.api.create_session("a").await?.id;
    for n in 0..20 {
        // A type that is given twice counts once.
        let (id, _) = world
            .api
            .create_endpoint("http://127.0.0.1:9/", &["message.sent", "message.sent"])
            .await?;
        let path = format!("/v1/webhook-endpoints/{id}");
        let made: Value = world.api.get(&path).await?.into(200)?;
        assert_eq!(made["events"], json!(["message.sent"]), "endpoint {n}");
    }
    let endpoint = json!({ "url": "http://127.0.0.1:9/" });
    let refused = world.api.post("/v1/webhook-endpoints", &endpoint).await?;
    problem(&refused, 429, "limit_reached", "the 21st endpoint");

    world.gateway.stop().await?;
    world.gateway.setup.flags = ["--lane-limit", "3"].map(str::to_owned).into();
    world.gateway.setup.requests_per_minute = 100;
    world.gateway.start().await?;
    let send = async || {
        let text = Api::text(&session, CONTACT, "hello");
        world.api.post("/v1/messages", &text).await
    };
    for left in (7..10).rev() {
        let taken = send().await?;
        assert_eq!(taken.status.as_u16(), 202);
        let told = taken.headers["ratelimit"].to_str()?.to_owned();
        let remaining = told.trim_start_matches("\"org\";r=").split(';').next();
        let remaining: u32 = remaining.unwrap_or_default().parse()?;
        // Every 600 ms allows one more request.
        assert!((left..10).contains(&remaining), "{told}");
    }
    problem(&send().await?, 429, "queue_full", "a fourth in the lane");
    let mut refused = send().await?;
    for _ in 0..20 {
        if refused.code() == "rate_limited" {
            break;
        }
        refused = send().await?;
    }
    problem(
        &refused,
        429,
        "rate_limited",
        "more than the limit of a minute",
    );
    assert!(refused.headers.contains_key("retry-after"));
    let other = world.admin.tenant("Globex").await?;
    assert_eq!(other.get("/v1/sessions").await?.status.as_u16(), 200);
    world.finish_with_work_undone().await
}

async fn a_text_of_the_longest_length_goes_out(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let text = "ü".repeat(32_768);
    let sent = world.api.send(&session.id, CONTACT, &text).await?;
    world.api.message_at(&sent.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, [text]);
    world.finish().await
}

async fn sixty_megabytes_are_refused_in_bounded_memory(backing: Backing) -> Result<Finished> {
    const SIZE: usize = 60 << 20;
    let mut world = World::start(backing).await?;
    let before = world.gateway.process()?.peak_memory()?;
    let request = || {
        world
            .api
            .request(Method::POST, "/v1/messages")
            .header("Content-Type", "application/json")
    };
    let whole = Api::reply(request().body(vec![b' '; SIZE])).await?;
    problem(&whole, 413, "body_too_large", "60 MB with a length");
    let parts = stream::iter((0..SIZE >> 16).map(|_| Ok::<_, io::Error>(vec![b' '; 1 << 16])));
    let chunked = Api::reply(request().body(Body::wrap_stream(parts))).await?;
    problem(&chunked, 413, "body_too_large", "60 MB in chunks");
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let nested = Api::reply(request().body(deep)).await?;
    problem(&nested, 400, "malformed_json", "half a million brackets");
    let grown = world
        .gateway
        .process()?
        .peak_memory()?
        .saturating_sub(before);
    assert!(grown < 30 << 20, "the gateway grew by {grown} bytes");
    world.finish().await
}

async fn half_a_request_leaves_nothing_behind(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let base = world.api.base().get();
    let address = base
        .strip_prefix("http://")
        .context("the address is http")?;
    let body = Api::text(&session.id, CONTACT, "never whole").to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        world.api.key,
        body.len(),
    );
    let whole = format!("{head}{body}");
    let mut open = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(&whole.as_bytes()[..whole.len() * (n % 20) / 20])
            .await?;
        if n % 2 == 0 {
            open.push(stream); // every second one closes its connection
        }
    }
    let sent = world.api.send(&session.id, CONTACT, "whole").await?;
    world.api.message_at(&sent.id, "read").await?;
    let mut broken = TcpStream::connect(address).await?;
    broken
        .write_all(b"GET / HTTP/1.1\r\nContent-Length: minus one\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), broken.read_to_end(&mut answer)).await??;
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    drop(open);
    assert_eq!(
        world.api.messages("").await?.len(),
        1,
        "half a request was accepted"
    );
    assert!(world.gateway.process()?.runs());
    world.finish().await
}

async fn half_a_request_is_told_when_its_time_is_over(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let base = world.api.base().get();
    let address = base
        .strip_prefix("http://")
        .context("the address is http")?;
    let head = format!("POST /v1/sessions HTTP/1.1\r\nHost: {address}\r\n");
    let rest = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"name\":",
        world.api.key
    );
    let ended = async |half: String| {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(half.as_bytes()).await?;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        let read = tokio::time::timeout(Duration::from_mins(1), read).await;
        read.context("the connection stays open")??;
        anyhow::Ok(answer)
    };
    let (body, head) = tokio::try_join!(ended(format!("{head}{rest}")), ended(head.clone()))?;
    for told in [body, head] {
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        assert!(told.contains("application/problem+json"), "{told}");
        assert!(told.contains("request_timeout"), "{told}");
    }
    assert!(world.api.sessions().await?.is_empty());
    world.finish().await
}

async fn a_wrong_path_method_or_type_is_a_problem_too(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    problem(
        &world.api.get("/v1/nothing").await?,
        404,
        "not_found",
        "an unknown path",
    );
    let method = Api::reply(world.api.request(Method::PUT, "/v1/messages")).await?;
    problem(&method, 405, "method_not_allowed", "an unknown method");
    assert!(method.headers["allow"].to_str()?.contains("POST"));
    let post = || world.api.request(Method::POST, "/v1/messages");
    let kind = Api::reply(post().header("Content-Type", "text/plain").body("hello")).await?;
    problem(&kind, 415, "unsupported_media_type", "text/plain");
    let json = || post().header("Content-Type", "application/json");
    problem(
        &Api::reply(json().body("{\"a\":")).await?,
        400,
        "malformed_json",
        "cut JSON",
    );
    problem(
        &Api::reply(json().body("")).await?,
        400,
        "malformed_json",
        "no body",
    );
    problem(
        &Api::reply(json().body(&b"{\"to\":\"\xff\"}"[..])).await?,
        400,
        "malformed_json",
        "no UTF-8",
    );
    let session = world.api.create_session("a").await?.id;
    let once = Api::text(&session, CONTACT, "hello").to_string();
    let twice = once.replacen('{', &format!("{{\"to\":\"{NUMBER}\","), 1);
    problem(
        &Api::reply(json().body(twice)).await?,
        400,
        "validation_failed",
        "a field twice",
    );
    assert!(world.api.messages("").await?.is_empty());
    world.finish().await
}

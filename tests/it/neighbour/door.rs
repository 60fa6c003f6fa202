//! Bodies, uploads, forms, connections and wrong keys: what arrives at the door.

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use passerelle_tests::{
    Api, Backing, Finished, World, gateway::Setup, on_both_stores, wait::within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::ORDINARY;

on_both_stores!(
    bodies_of_strangers_are_never_held,
    an_organisation_with_slow_bodies_waits_for_itself,
    a_form_has_little_before_its_file,
    an_upload_that_trickles_ends,
    json_of_very_many_values_is_refused,
    a_client_behind_a_proxy_has_its_own_maximum,
    keys_that_are_not_valid_are_slowed,
);

const CONTACT: &str = "+4915199000001";
const MIB: usize = 1 << 20;

/// Opens a connection and sends the beginning of a request.
async fn begin(world: &World, head: &str, body: &[u8]) -> Result<TcpStream> {
    let base = world.api.base().get();
    let address = base
        .strip_prefix("http://")
        .context("the address is http")?;
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{head}\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    Ok(stream)
}

async fn answer(mut stream: TcpStream) -> Result<String> {
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_mins(1), stream.read(&mut answer));
    let read = read.await.context("no answer")??;
    answer.truncate(read);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn with_key(api: &Api, head: &str) -> String {
    format!("{head}\r\nAuthorization: Bearer {}", api.key)
}

/// Sends a text with a file in it, which makes a body of about five megabytes.
async fn large(api: &Api, session: &str) -> Result<(u16, Duration)> {
    let began = Instant::now();
    let file = json!({ "base64": "A".repeat(5 * MIB), "file_name": "a.txt" });
    let body = Api::of_kind(
        session,
        CONTACT,
        json!({ "type": "document", "document": file }),
    );
    let reply = api.post("/v1/messages", &body).await?;
    Ok((reply.status.as_u16(), began.elapsed()))
}

async fn bodies_of_strangers_are_never_held(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let before = world.gateway.process()?.peak_memory()?;
    let length = 8 * MIB;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}"
    );
    let part = vec![b' '; 7 * MIB];
    let mut strangers = Vec::new();
    for n in 0..16 {
        let key = format!("{head}\r\nAuthorization: Bearer psl_{n}");
        strangers.push(begin(&world, if n % 2 == 0 { &head } else { &key }, &part).await?);
    }
    let (status, took) = large(&world.api, &session).await?;
    assert_eq!(status, 202);
    assert!(took < ORDINARY, "{took:?}");
    let after = world.gateway.process()?.peak_memory()?;
    let more = after.saturating_sub(before) / MIB as u64;
    assert!(more < 64, "112 MiB from strangers took {more} MiB");
    let mut whole = strangers.swap_remove(0);
    whole.write_all(&vec![b' '; MIB]).await?;
    let answer = answer(whole).await?;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("missing_credentials"), "{answer}");
    drop(strangers);
    world.finish_with_work_undone().await
}

async fn an_organisation_with_slow_bodies_waits_for_itself(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let noisy = world.admin.tenant("Noisy").await?;
    let session = world.api.create_session("front desk").await?.id;
    let theirs = noisy.create_session("front desk").await?.id;
    let length = 8 * MIB - 1024;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}"
    );
    let mut slow = Vec::new();
    for _ in 0..12 {
        slow.push(begin(&world, &with_key(&noisy, &head), b"{").await?);
    }
    let (own, (status, took), small) =
        tokio::try_join!(large(&noisy, &theirs), large(&world.api, &session), async {
            noisy
                .send(&theirs, CONTACT, "a text waits for no file")
                .await
        },)?;
    assert_eq!(own.0, 503, "the share of the noisy one is used up");
    assert_eq!(status, 202);
    assert!(took < ORDINARY, "{took:?}");
    assert!(!small.id.is_empty());
    drop(slow);
    within(ORDINARY, "its share is free again", async || {
        Ok((large(&noisy, &theirs).await?.0 == 202).then_some(()))
    })
    .await?;
    world.finish_with_work_undone().await
}

/// Builds a form with a file after some bytes.
fn form(before: &str) -> (String, Vec<u8>) {
    let file = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n";
    let body = format!("{before}{file}").into_bytes();
    ("multipart/form-data; boundary=x".to_owned(), body)
}

async fn upload(api: &Api, (kind, body): (String, Vec<u8>)) -> Result<(u16, Value)> {
    let upload = api
        .request(Method::POST, "/v1/media?kind=document")
        .header("Content-Type", kind)
        .body(body);
    let reply = Api::reply(upload).await?;
    Ok((reply.status.as_u16(), reply.body))
}

async fn a_form_has_little_before_its_file(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let field = |size: usize| {
        let value = "x".repeat(size);
        format!("--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n{value}\r\n")
    };
    let (status, made) = upload(&world.api, form(&field(10 << 10))).await?;
    assert_eq!(status, 201, "{made}");
    let before = world.gateway.process()?.peak_memory()?;
    let header = format!("--x\r\nX-Long: {}\r\n", "x".repeat(32 * MIB));
    for before in ["-".repeat(32 * MIB), field(32 * MIB), header] {
        let (status, refused) = upload(&world.api, form(&before)).await?;
        assert_eq!((status, &refused["code"]), (413, &json!("body_too_large")));
    }
    let after = world.gateway.process()?.peak_memory()?;
    let more = after.saturating_sub(before) / MIB as u64;
    assert!(more < 16, "forms without a file took {more} MiB");
    world.finish().await
}

async fn an_upload_that_trickles_ends(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let noisy = world.admin.tenant("Noisy").await?;
    let head = "POST /v1/media/stream?kind=document HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000";
    // As many as one organisation may have at once, so that none of them waits for another.
    let mut trickling = Vec::new();
    for _ in 0..4 {
        trickling.push(begin(&world, &with_key(&noisy, head), b"x").await?);
    }
    let (status, made) = upload(&world.api, form("")).await?;
    assert_eq!(status, 201, "{made}");
    let mut last = trickling.swap_remove(0);
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let ended = loop {
        tick.tick().await;
        let mut answer = [0; 4096];
        // A drop now and then, far below the least rate.
        let _ = last.write_all(b"drop").await;
        let read = tokio::time::timeout(Duration::from_millis(100), last.read(&mut answer)).await;
        if let Ok(read) = read {
            break String::from_utf8_lossy(&answer[..read?]).into_owned();
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it trickles on");
    };
    assert!(ended.starts_with("HTTP/1.1 408"), "{ended}");
    assert!(ended.contains("request_timeout"), "{ended}");
    drop(trickling);
    world.finish().await
}

async fn json_of_very_many_values_is_refused(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let before = world.gateway.process()?.peak_memory()?;
    let mut body = Api::text(&session, CONTACT, "hello");
    // Less than the megabyte that a body may have, so that only the number of values is too large.
    body["mentions"] = json!(vec![0; 400_000]);
    let refused = world.api.post("/v1/messages", &body).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (413, "body_too_large")
    );
    let after = world.gateway.process()?.peak_memory()?;
    let more = after.saturating_sub(before) / MIB as u64;
    assert!(more < 16, "400,000 values took {more} MiB");
    let mut body = Api::text(&session, CONTACT, &"x".repeat(2 * MIB));
    body["document"] = json!({ "base64": "A".repeat(2 * MIB) });
    let refused = world.api.post("/v1/messages", &body).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (413, "body_too_large")
    );
    world.finish().await
}

async fn a_client_behind_a_proxy_has_its_own_maximum(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        flags: [
            "--trusted-proxies",
            "127.0.0.1",
            "--connections-per-address",
            "4",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let head = with_key(
        &world.api,
        "POST /v1/sessions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\nX-Forwarded-For: 198.51.100.1",
    );
    let mut open = FuturesUnordered::new();
    for _ in 0..6 {
        open.push(answer(begin(&world, &head, b"{").await?));
    }
    // Four are held, because they have not ended. Two are more than the maximum.
    for _ in 0..2 {
        let refused = tokio::time::timeout(ORDINARY, open.next()).await?;
        let refused = refused.context("a request more")??;
        assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
        assert!(refused.contains("too_many_connections"), "{refused}");
        assert!(refused.contains("retry-after"), "{refused}");
    }
    let from = async |client: &str| {
        let ask = world.api.request(Method::GET, "/v1/sessions");
        Api::reply(ask.header("X-Forwarded-For", client)).await
    };
    let refused = from("203.0.113.9, 198.51.100.1").await?;
    assert_eq!(refused.code(), "too_many_connections");
    assert_eq!(from("198.51.100.2").await?.status.as_u16(), 200);
    assert!(
        world.api.sessions().await?.is_empty(),
        "the proxy itself is not limited"
    );
    drop(open);
    within(ORDINARY, "the address is free again", async || {
        Ok((from("198.51.100.1").await?.status.as_u16() == 200).then_some(()))
    })
    .await?;
    world.finish().await
}

async fn keys_that_are_not_valid_are_slowed(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let guess = world.api.with_key("psl_not_a_key");
    let mut answers = Vec::new();
    for _ in 0..100 {
        let reply = guess.get("/v1/sessions").await?;
        answers.push((
            reply.status.as_u16(),
            reply.headers.contains_key("retry-after"),
        ));
    }
    assert_eq!(answers[0], (401, false));
    assert!(answers[59..].contains(&(429, true)), "{answers:?}");
    assert!(
        world.api.sessions().await?.is_empty(),
        "a valid key is not slowed"
    );
    world.finish().await
}

//! What a file does to the process that decodes it. A stand-in for the decoder takes memory or time, or
//! dies, as a mark in the file says.

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use passerelle_tests::{
    Api, Backing, Finished, World,
    gateway::Setup,
    on_both_stores,
    process::sandbox_binary,
    shop::{Page, Shop},
    simulator::Phone,
    wait::soon,
};
use serde_json::{Value, json};
use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

on_both_stores!(
    a_file_that_takes_memory_or_time_or_kills_is_damaged_and_holds_up_nobody,
    a_file_at_an_address_that_kills_its_decoder_is_damaged,
    a_file_that_ends_the_whole_process_is_given_up_after_three_tries,
    a_stop_waits_for_no_decoder,
);

const PHOTO: &[u8] = include_bytes!("../../assets/photo.jpg");
const FILM: &[u8] = include_bytes!("../../assets/hevc.mp4");
const CONTACT: &str = "+4915199000001";
/// An answer that takes longer than this is not what another organisation expects.
const ORDINARY: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

/// Returns a photo whose comment tells the stand-in what to do.
fn photo(does: &str) -> Vec<u8> {
    let comment = format!("passerelle stand-in: {does}");
    let length = u16::try_from(comment.len() + 2).expect("a short comment");
    let (start, rest) = PHOTO.split_at(2);
    [
        start,
        &[0xff, 0xfe],
        &length.to_be_bytes(),
        comment.as_bytes(),
        rest,
    ]
    .concat()
}

/// Returns a recording of silence with such a comment.
fn recording(does: &str) -> Vec<u8> {
    let mut note = format!("passerelle stand-in: {does}").into_bytes();
    note.resize(note.len().next_multiple_of(2), b' ');
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let length = u32::try_from(body.len()).expect("a short chunk");
        [&name[..], &length.to_le_bytes(), body].concat()
    };
    // One channel of 8,000 samples a second, 16 bits each.
    let format = b"\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0";
    let body = [
        b"WAVE".to_vec(),
        chunk(b"fmt ", format),
        chunk(b"note", &note),
        chunk(b"data", &[0; 16_000]),
    ];
    chunk(b"RIFF", &body.concat())
}

/// Uploads a file and returns the code of its refusal.
async fn refused(api: &Api, kind: &str, file: Vec<u8>) -> Result<String> {
    let reply = api.upload(kind, file).await?;
    assert_eq!(reply.status.as_u16(), 422, "{:?}", reply.body);
    Ok(reply.code().to_owned())
}

/// Uploads a photo and returns how long that took.
async fn served(api: &Api) -> Result<Duration> {
    let began = Instant::now();
    api.upload("image", PHOTO).await?.into::<Value>(201)?;
    Ok(began.elapsed())
}

async fn a_file_that_takes_memory_or_time_or_kills_is_damaged_and_holds_up_nobody(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let other = world.admin.tenant("Other").await?;
    served(&other).await?;
    let before = world.gateway.process()?.peak_memory()?;
    let api = &world.api.clone();
    let ends = async |does: &str| {
        let files = [("image", photo(does)), ("voice", recording(does))];
        let refusals = files.map(|(kind, file)| refused(api, kind, file));
        for code in try_join_all(refusals).await? {
            assert_eq!(code, "media_damaged", "{does}");
        }
        anyhow::Ok(())
    };
    for does in ["memory", "death"] {
        let ((), took) = tokio::try_join!(ends(does), served(&other))?;
        assert!(took < ORDINARY, "another organisation waited {took:?}");
    }
    // Both take their whole time.
    let slow = try_join_all((0..2).map(|_| refused(api, "image", photo("time"))));
    tokio::pin!(slow);
    let codes = loop {
        tokio::select! {
            codes = &mut slow => break codes?,
            took = served(&other) => {
                let took = took?;
                assert!(took < ORDINARY, "another organisation waited {took:?}");
            }
        }
    };
    assert!(
        codes.iter().all(|code| code == "media_damaged"),
        "{codes:?}"
    );
    // A good file of the same organisation is decoded by a new process.
    served(&world.api).await?;
    let took = world
        .gateway
        .process()?
        .peak_memory()?
        .saturating_sub(before);
    assert!(took < 128 * MIB, "the gateway took {took} bytes itself");
    world.finish().await
}

async fn a_file_at_an_address_that_kills_its_decoder_is_damaged(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked("+4915170000001").await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let shop = Shop::open().await?;
    let url = shop.put("/photo.jpg", Page::File("image/jpeg", photo("death")));
    let body = json!({ "type": "image", "image": { "url": url } });
    let message = world.api.send_kind(&session, CONTACT, body).await?;
    let failed = world.api.message_at(&message.id, "failed").await?;
    assert_eq!(failed.error_code(), "media_damaged");
    assert_eq!(shop.asked("/photo.jpg"), 1, "it was fetched again");
    world.finish().await
}

async fn a_file_that_ends_the_whole_process_is_given_up_after_three_tries(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked("+4915170000001").await?.id;
    let shop = Shop::open().await?;
    let url = shop.put("/photo.jpg", Page::Hanging);
    let body = json!({ "type": "image", "image": { "url": url } });
    let message = world.api.send_kind(&session, CONTACT, body).await?;
    soon("it is fetched", async || {
        Ok((shop.asked("/photo.jpg") > 0).then_some(()))
    })
    .await?;
    world.gateway.kill().await?;
    // As if each of three processes had ended while it fetched the file.
    let third = "UPDATE media SET attempts = 3, due_at = 0 WHERE status = 'fetching'";
    assert_eq!(world.gateway.database.execute(third).await?, 1);
    shop.put("/photo.jpg", Page::File("image/jpeg", PHOTO.to_vec()));
    let asked = shop.asked("/photo.jpg");
    world.gateway.start().await?;
    let message = world.api.whole_message(&message.id).await?;
    let file = message["image"]["media_id"].as_str().context("its file")?;
    let file = world.api.media_at(file, "failed").await?;
    assert_eq!(file["error"]["code"], "media_damaged");
    assert_eq!(shop.asked("/photo.jpg"), asked, "it was fetched again");
    world.finish().await
}

/// Returns whether a process has a child that is confined.
fn has_worker(parent: u32) -> Result<bool> {
    let parent = format!("PPid:\t{parent}\n");
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        // A process may end while it is looked at.
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        if read("status").contains(&parent) && read("cmdline").contains("confined") {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn a_stop_waits_for_no_decoder(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let api = world.api.clone();
    let upload = async move { api.upload("image", photo("time")).await };
    let workers = "a worker decodes";
    let stop = async {
        let pid = world.gateway.process()?.pid()?;
        soon(workers, async || Ok(has_worker(pid)?.then_some(()))).await?;
        let began = Instant::now();
        let status = world.gateway.stop().await?;
        assert!(status.success(), "{status}");
        anyhow::Ok(began.elapsed())
    };
    let (reply, took) = tokio::join!(upload, stop);
    assert!(took? < Duration::from_secs(10), "the stop waited");
    assert_eq!(reply?.code(), "shutting_down");
    world.gateway.start().await?;
    world.finish().await
}

/// Writes a program that becomes the gateway on a kernel that refuses these system calls.
fn on_a_kernel_without(calls: &[i64], folder: &Path) -> Result<PathBuf> {
    let gateway = sandbox_binary()?.display().to_string();
    let program = folder.join("gateway");
    let text = format!(
        r#"#!/usr/bin/python3
import ctypes, os, struct, sys
calls = {calls:?}
load, equal, answer = 0x20, 0x15, 0x06
steps = [(load, 0, 0, 0)]
for call in calls:
    steps += [(equal, 0, 1, call), (answer, 0, 0, 0x00050000 | 38)]
steps.append((answer, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execv({gateway:?}, [{gateway:?}] + sys.argv[1:])
"#
    );
    std::fs::write(&program, text)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

async fn world_without(calls: &[i64], flags: &[&str]) -> Result<(World, TempDir)> {
    let folder = tempfile::tempdir()?;
    let setup = Setup {
        program: Some(on_a_kernel_without(calls, folder.path())?),
        flags: flags.iter().map(ToString::to_string).collect(),
        ..Setup::default()
    };
    Ok((World::with(Backing::Sqlite, setup).await?, folder))
}

/// `seccomp(2)`, which filters system calls.
const SECCOMP: i64 = if cfg!(target_arch = "x86_64") {
    317
} else {
    277
};
/// `landlock_create_ruleset(2)`.
const LANDLOCK: i64 = 444;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_system_calls_cannot_be_filtered_no_file_is_decoded() -> Result<()> {
    let (world, _folder) = world_without(&[SECCOMP], &[]).await?;
    let reply = world.api.upload("image", PHOTO).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (503, "decoding_unavailable")
    );
    let text = world.api.upload("document", "a text").await?;
    text.into::<Value>(201)?;
    world.finish().await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_landlock_films_are_converted_only_if_the_operator_says_so() -> Result<()> {
    let (world, _folder) = world_without(&[LANDLOCK], &[]).await?;
    served(&world.api).await?;
    let reply = world.api.upload("video", FILM).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (422, "transcoding_unavailable")
    );
    let detail = reply.body["detail"].as_str().context("a detail")?;
    assert!(
        detail.contains("Landlock") && detail.contains("--ffmpeg-unconfined"),
        "{detail}"
    );
    world.finish().await?;
    let (world, _folder) = world_without(&[LANDLOCK], &["--ffmpeg-unconfined"]).await?;
    let converted: Value = world.api.upload("video", FILM).await?.into(201)?;
    assert_eq!(converted["mime_type"], "video/mp4");
    world.finish().await.map(drop)
}

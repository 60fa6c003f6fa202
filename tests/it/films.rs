//! Videos: any video of a tenant becomes one that a phone can play, and a conversion stays within its
//! limits.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Api, Backing, Finished, Setup, Shop, World,
    api::Reply,
    ffmpeg::{self, children, film, pretender},
    on_both_stores, on_every_shape,
    shop::Page,
    soon, within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::Path, pin::pin, time::Duration};
use tempfile::TempDir;

use crate::media::{CONTACT, FILM, HEVC, linked_with, objects, sha256, shown, uploaded};

on_every_shape!(a_film_of_any_kind_reaches_the_phone_as_one_it_plays);

mod stores {
    use super::*;

    on_both_stores!(
        a_film_that_a_phone_plays_stays_as_it_is_and_gets_a_thumbnail,
        a_film_that_plays_elsewhere_is_packed_anew_and_keeps_its_pictures,
        fidelity_a_gif_becomes_a_film_that_plays_in_a_loop,
        fidelity_a_picture_becomes_a_sticker,
        without_ffmpeg_the_refusal_says_what_is_needed_and_what_plays_is_sent,
        a_film_that_is_cut_off_is_damaged,
    );

    pub(super) use super::{
        a_film_that_a_phone_plays_stays_as_it_is_and_gets_a_thumbnail,
        a_film_that_is_cut_off_is_damaged,
        a_film_that_plays_elsewhere_is_packed_anew_and_keeps_its_pictures,
        fidelity_a_gif_becomes_a_film_that_plays_in_a_loop, fidelity_a_picture_becomes_a_sticker,
        without_ffmpeg_the_refusal_says_what_is_needed_and_what_plays_is_sent,
    };
}

const SOURCE: &str =
    "-f lavfi -i testsrc2=size=WIDTHxHEIGHT:rate=10:duration=3 -f lavfi -i sine=duration=3";

/// Makes a video of three seconds with sound and this size, with these encoder options.
fn made(folder: &TempDir, name: &str, (width, height): (u32, u32), coded: &str) -> Result<Vec<u8>> {
    let source = SOURCE.replace("WIDTH", &width.to_string());
    let source = source.replace("HEIGHT", &height.to_string());
    film(folder.path(), name, &format!("{source} {coded}"))
}

fn webm(folder: &TempDir) -> Result<Vec<u8>> {
    let coded = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -c:a libopus";
    made(folder, "a.webm", (320, 240), coded)
}

fn scratch() -> Result<TempDir> {
    Ok(TempDir::with_prefix("passerelle-films-")?)
}

async fn content(world: &World, id: &Value) -> Result<Vec<u8>> {
    let path = format!("/v1/media/{}/content", id.as_str().context("an id")?);
    Ok(Api::bytes(world.api.request(Method::GET, &path)).await?.2)
}

fn place(film: &[u8], name: &[u8]) -> Option<usize> {
    film.windows(4).position(|at| at == name)
}

/// Asserts that the phone received a video it can play, with a thumbnail to show before it is loaded.
async fn plays(world: &World, scratch: &Path, seen: &Value, size: (u32, u32)) -> Result<Value> {
    assert_eq!(seen["type"], "video");
    assert_eq!(seen["mimetype"], "video/mp4", "{seen}");
    assert_eq!(seen["media"]["undecryptable"], Value::Null, "{seen}");
    assert_eq!(
        (&seen["width"], &seen["height"]),
        (&json!(size.0), &json!(size.1))
    );
    assert!(matches!(seen["seconds"].as_u64(), Some(3 | 4)), "{seen}");
    let thumbnail = seen["thumbnail"].as_u64().context("a thumbnail")?;
    assert!((300..=10_240).contains(&thumbnail), "{thumbnail}");
    let message = world.api.messages("").await?.into_iter().next();
    let message = message.context("a message")?;
    let told = world.api.whole_message(&message.id).await?;
    let film = content(world, &told["video"]["media_id"]).await?;
    assert_eq!(json!(sha256(&film)), seen["media"]["sha256"]);
    assert!(
        place(&film, b"moov") < place(&film, b"mdat"),
        "the video starts late"
    );
    let probed = ffmpeg::probe(scratch, &film)?;
    let streams = probed["streams"].as_array().context("streams")?;
    let of = |kind: &str| streams.iter().find(|stream| stream["codec_type"] == kind);
    let (video, audio) = (of("video").context("pictures")?, of("audio"));
    assert_eq!(video["codec_name"], "h264");
    assert_eq!(video["pix_fmt"], "yuv420p");
    assert_eq!(audio.context("sound")?["codec_name"], "aac");
    Ok(probed)
}

async fn a_film_of_any_kind_reaches_the_phone_as_one_it_plays(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let (scratch, shop) = (scratch()?, Shop::open().await?);
    // Videos as phones, browsers and cameras make them: large, with odd sizes, rotated.
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 -c:a aac \
        -metadata location=+48.1371+011.5754/";
    let avi = "-c:v mpeg4 -c:a libmp3lame";
    let films = [
        ("upload", webm(&scratch)?, (320, 240)),
        (
            "upload",
            made(&scratch, "a.mov", (1920, 1080), hevc)?,
            (1280, 720),
        ),
        (
            "base64",
            made(&scratch, "a.avi", (241, 361), avi)?,
            (240, 360),
        ),
        (
            "url",
            made(&scratch, "a.mpg", (720, 1500), "-r 25")?,
            (614, 1280),
        ),
    ];
    for (way, bytes, size) in films {
        let source = match way {
            "upload" => json!({ "media_id": uploaded(&world.api, "video", &bytes).await?["id"] }),
            "base64" => json!({ "base64": STANDARD.encode(&bytes) }),
            _ => json!({ "url": shop.put("/film", Page::File("video/mpeg", bytes)) }),
        };
        let message = json!({ "type": "video", "video": source });
        let seen = shown(&world, &session, message).await?;
        let probed = plays(&world, scratch.path(), &seen, size).await?;
        assert_eq!(probed["streams"][0]["profile"], "High");
        // The place of recording is removed, as from a picture.
        assert_eq!(probed["format"]["tags"]["location"], Value::Null);
    }
    world.finish().await
}

pub(super) async fn a_film_that_a_phone_plays_stays_as_it_is_and_gets_a_thumbnail(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let file = uploaded(&world.api, "video", FILM).await?;
    assert_eq!(file["sha256"], json!(sha256(FILM)), "the file was changed");
    let video = json!({ "type": "video", "video": { "media_id": file["id"] } });
    let seen = shown(&world, &session, video).await?;
    assert_eq!(seen["media"]["sha256"], file["sha256"]);
    assert!(seen["thumbnail"].as_u64() > Some(100), "{seen}");
    world.finish().await
}

pub(super) async fn a_film_that_plays_elsewhere_is_packed_anew_and_keeps_its_pictures(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let scratch = scratch()?;
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac";
    // As a camera writes it, with the index at the end, and in QuickTime's container. The size is above
    // the limit of a conversion, because it is not converted.
    let size = (1400, 1050);
    let late = made(&scratch, "late.mp4", size, coded)?;
    assert!(place(&late, b"mdat") < place(&late, b"moov"));
    for bytes in [late, made(&scratch, "other.mov", size, coded)?] {
        let before = ffmpeg::probe(scratch.path(), &bytes)?;
        let file = uploaded(&world.api, "video", &bytes).await?;
        let video = json!({ "type": "video", "video": { "media_id": file["id"] } });
        let seen = shown(&world, &session, video).await?;
        let after = plays(&world, scratch.path(), &seen, size).await?;
        assert_eq!(
            after["streams"][0]["profile"],
            before["streams"][0]["profile"]
        );
        assert_eq!(
            after["streams"][0]["nb_frames"],
            before["streams"][0]["nb_frames"]
        );
        assert_eq!(
            after["streams"][0]["bit_rate"],
            before["streams"][0]["bit_rate"]
        );
    }
    world.finish().await
}

pub(super) async fn without_ffmpeg_the_refusal_says_what_is_needed_and_what_plays_is_sent(
    backing: Backing,
) -> Result<Finished> {
    let mut setup = Setup::quick();
    let nowhere = ("PASSERELLE_FFMPEG".to_owned(), "/nowhere/ffmpeg".to_owned());
    setup.environment = vec![nowhere];
    let (mut world, session) = linked_with(backing, setup).await?;
    let scratch = scratch()?;
    let webm = webm(&scratch)?;
    for named in ["/nowhere/ffmpeg", ""] {
        world.gateway.stop().await?;
        named.clone_into(&mut world.gateway.setup.environment[0].1);
        world.gateway.start().await?;
        for film in [&webm[..], HEVC] {
            let refused = world.api.upload("video", film.to_vec()).await?;
            assert_eq!(refused.status.as_u16(), 422);
            assert_eq!(refused.code(), "transcoding_unavailable");
            let detail = refused.body["detail"].as_str().context("a detail")?;
            assert!(detail.contains("MP4 with H.264 and AAC"), "{detail}");
        }
        assert_eq!(objects(&world).len(), 0);
    }
    let shop = Shop::open().await?;
    let at = shop.put("/film", Page::File("video/webm", webm));
    let video = json!({ "type": "video", "video": { "url": at } });
    let sent = world.api.send_kind(&session, CONTACT, video).await?;
    let failed = world.api.message_at(&sent.id, "failed").await?;
    assert_eq!(failed.error_code(), "transcoding_unavailable");
    let file = uploaded(&world.api, "video", FILM).await?;
    let video = json!({ "type": "video", "video": { "media_id": file["id"] } });
    let seen = shown(&world, &session, video).await?;
    assert_eq!(seen["media"]["sha256"], json!(sha256(FILM)));
    assert_eq!(seen["thumbnail"], Value::Null);
    world.finish().await
}

pub(super) async fn a_film_that_is_cut_off_is_damaged(backing: Backing) -> Result<Finished> {
    let (world, _) = linked_with(backing, Setup::quick()).await?;
    let scratch = scratch()?;
    let coded = "-c:v mpeg4 -q:v 3 -c:a libmp3lame";
    let size = (320, 240);
    for film in [
        webm(&scratch)?,
        made(&scratch, "a.avi", size, coded)?,
        made(&scratch, "a.mov", size, coded)?,
        made(&scratch, "a.mp4", size, "-c:v libx264 -movflags +faststart")?,
        HEVC.to_vec(),
    ] {
        let cut = film[..film.len() * 2 / 3].to_vec();
        let refused = world.api.upload("video", cut).await?;
        assert_eq!(refused.code(), "media_damaged", "{}", refused.body);
    }
    // A file that only begins like a video.
    let mut noise = webm(&scratch)?[..300].to_vec();
    noise.extend(
        (0..100_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap_or(0)),
    );
    let refused = world.api.upload("video", noise).await?;
    assert_eq!(refused.code(), "media_damaged", "{}", refused.body);
    let detail = refused.body["detail"].as_str().context("a detail")?;
    assert_eq!(
        detail, "The file is damaged.",
        "the detail must not contain ffmpeg's messages"
    );
    assert_eq!(objects(&world).len(), 0);
    world.finish().await
}

/// Starts a gateway with a script as ffmpeg, and returns it with a video.
async fn deceived(script: &str, scratch: &TempDir) -> Result<(World, Vec<u8>)> {
    let mut setup = Setup::quick();
    let program = pretender(scratch.path(), script)?;
    setup.flags = vec!["--ffmpeg".to_owned(), program.display().to_string()];
    let temporary = scratch.path().join("tmp");
    std::fs::create_dir_all(&temporary)?;
    setup.environment = vec![("TMPDIR".to_owned(), temporary.display().to_string())];
    let film = webm(scratch)?;
    Ok((World::with(Backing::Sqlite, setup).await?, film))
}

/// Uploads a video that takes as long as allowed, and returns the answer.
async fn patiently(world: &World, film: Vec<u8>) -> Result<Reply> {
    let path = "/v1/media/stream?kind=video";
    let upload = world.api.request(Method::POST, path).body(film);
    Api::reply(upload.timeout(Duration::from_mins(3))).await
}

/// Asserts that no process and no temporary file is left.
async fn nothing_is_left(world: &mut World, scratch: &TempDir) -> Result<()> {
    let gateway = world.gateway.process()?.pid()?;
    soon("its process is gone", async || {
        Ok(children(gateway).is_empty().then_some(()))
    })
    .await?;
    let temporary = std::fs::read_dir(scratch.path().join("tmp"))?;
    assert_eq!(temporary.count(), 0);
    Ok(())
}

/// Returns the gateway's only process that works on a video.
async fn converting(gateway: u32) -> Result<u32> {
    soon("it works on the film", async || {
        let working = children(gateway);
        // Processes of the check at start have ended.
        let asleep = working.into_iter().find(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == "sleep")
        });
        Ok(asleep)
    })
    .await
}

async fn gone(pid: u32) -> Result<()> {
    soon("the process is gone", async || {
        let there = Path::new("/proc").join(pid.to_string()).exists();
        Ok((!there).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_what_it_should_not_is_refused_it_and_ends() -> Result<()> {
    for (script, code) in [
        // Writes endlessly.
        ("exec cat /dev/zero", "media_too_large"),
        // Starts a process that would outlive it.
        ("sleep 1000 & exit 0", "media_damaged"),
        // Takes all memory.
        ("exec tail /dev/zero", "media_damaged"),
        // Writes nothing, and something that is not a video.
        ("exit 0", "media_damaged"),
        ("echo no film", "media_damaged"),
        ("kill -SEGV $$; exit 1", "media_damaged"),
    ] {
        let scratch = scratch()?;
        let (mut world, film) = deceived(script, &scratch).await?;
        let refused = world.api.upload("video", film).await?;
        assert_eq!(refused.code(), code, "{script}: {}", refused.body);
        nothing_is_left(&mut world, &scratch).await?;
        assert_eq!(objects(&world).len(), 0, "{script}");
        world.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_sees_its_film_and_nothing_else() -> Result<()> {
    let scratch = scratch()?;
    let secret = scratch.path().join("secret");
    std::fs::write(&secret, "of the gateway's user\n")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (secret, written) = (secret.display(), scratch.path().join("written"));
    let written = written.display();
    // Each of these must fail. Otherwise no video is made.
    let script = format!(
        "[ -z \"$PASSERELLE_KEK$PASSERELLE_ADMIN_KEY$HOME\" ] || exit 11\n\
         {{ : < {secret}; }} 2>/dev/null && exit 12\n\
         {{ echo x > {written}; }} 2>/dev/null && exit 13\n\
         {{ : < /proc/$PPID/environ; }} 2>/dev/null && exit 14\n\
         {{ : < /etc/passwd; }} 2>/dev/null && exit 15\n\
         {{ : <> /dev/tcp/127.0.0.1/{port}; }} 2>/dev/null && exit 16\n\
         kill -0 $PPID 2>/dev/null && exit 17\n\
         ulimit -t unlimited 2>/dev/null && exit 18\n\
         exec /usr/bin/ffmpeg \"$@\""
    );
    let (world, film) = deceived(&script, &scratch).await?;
    let file = uploaded(&world.api, "video", &film).await?;
    assert_eq!(file["mime_type"], "video/mp4");
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_waiting_ends_the_program() -> Result<()> {
    let scratch = scratch()?;
    let (mut world, film) = deceived("exec sleep 1000", &scratch).await?;
    // The client closes its connection.
    let gateway = world.gateway.process()?.pid()?;
    let upload = world.api.upload("video", film.clone());
    let pid = tokio::select! {
        answered = upload => anyhow::bail!("it was answered: {}", answered?.body),
        pid = converting(gateway) => pid?,
    };
    gone(pid).await?;
    // The upload's encrypted file is left. No row refers to it, and the reconciler deletes it.
    nothing_is_left(&mut world, &scratch).await?;
    // The gateway stops, and answers first.
    let api = world.api.clone();
    let mut upload = pin!(api.upload("video", film.clone()));
    let pid = tokio::select! {
        answered = &mut upload => anyhow::bail!("it was answered: {}", answered?.body),
        pid = converting(gateway) => pid?,
    };
    world.gateway.process()?.terminate()?;
    let refused = upload.await?;
    assert_eq!(refused.code(), "shutting_down", "{}", refused.body);
    gone(pid).await?;
    let status = world
        .gateway
        .process()?
        .ended(Duration::from_secs(5))
        .await?;
    assert!(status.success(), "{status}");
    // The gateway is killed.
    world.gateway.start().await?;
    let gateway = world.gateway.process()?.pid()?;
    let mut upload = pin!(api.upload("video", film));
    let pid = tokio::select! {
        answered = &mut upload => anyhow::bail!("it was answered: {}", answered?.body),
        pid = converting(gateway) => pid?,
    };
    world.gateway.kill().await?;
    gone(pid).await?;
    assert!(upload.await.is_err(), "nobody answered");
    world.gateway.start().await?;
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_nothing_ends_with_its_deadline() -> Result<()> {
    let scratch = scratch()?;
    let (mut world, film) = deceived("exec sleep 1000", &scratch).await?;
    let refused = patiently(&world, film).await?;
    assert_eq!(refused.code(), "transcoding_limit", "{}", refused.body);
    nothing_is_left(&mut world, &scratch).await?;
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_film_that_plays_for_hours_takes_half_a_minute_of_a_core_and_no_more() -> Result<()>
{
    let scratch = scratch()?;
    let source = "-f lavfi -i color=black:size=640x360:rate=30:duration=10 -c:v mpeg4 -q:v 31";
    film(scratch.path(), "second.avi", source)?;
    let again = format!(
        "-stream_loop 400 -i {}/second.avi -c copy",
        scratch.path().display()
    );
    let hours = film(scratch.path(), "hours.avi", &again)?;
    assert!(hours.len() < 64 << 20, "{} bytes", hours.len());
    let other = webm(&scratch)?;
    let mut world = World::with(Backing::Sqlite, Setup::quick()).await?;
    let gateway = world.gateway.process()?.pid()?;
    let refused = patiently(&world, hours).await?;
    assert_eq!(refused.code(), "transcoding_limit", "{}", refused.body);
    within(Duration::from_secs(5), "its process is gone", async || {
        Ok(children(gateway).is_empty().then_some(()))
    })
    .await?;
    assert_eq!(objects(&world).len(), 0);
    // Other videos are still converted.
    let file = patiently(&world, other).await?;
    assert_eq!(file.body["mime_type"], "video/mp4", "{}", file.body);
    world.finish().await?;
    Ok(())
}

async fn fidelity_a_gif_becomes_a_film_that_plays_in_a_loop(backing: Backing) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let folder = scratch()?;
    let source = "-f lavfi -i testsrc2=size=101x75:rate=10:duration=2 -c:v gif";
    let gif = film(folder.path(), "a.gif", source)?;
    let body = json!({ "type": "video", "video": { "base64": STANDARD.encode(&gif) } });
    let seen = shown(&world, &session, body).await?;
    assert_eq!(
        (&seen["type"], &seen["gif"]),
        (&json!("video"), &json!(true)),
        "{seen}"
    );
    let message = world.api.messages("").await?.into_iter().next();
    let told = world
        .api
        .whole_message(&message.context("a message")?.id)
        .await?;
    assert_eq!(told["video"]["gif"], true);
    assert_eq!(seen["mimetype"], "video/mp4");
    let made = content(&world, &told["video"]["media_id"]).await?;
    let probed = ffmpeg::probe(folder.path(), &made)?;
    let coded = probed["streams"].as_array().context("streams")?;
    assert_eq!(coded.len(), 1, "it has sound: {probed}");
    assert_eq!(coded[0]["codec_name"], "h264");
    world.finish().await
}

async fn fidelity_a_picture_becomes_a_sticker(backing: Backing) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let folder = scratch()?;
    let still = "-f lavfi -i testsrc2=size=900x300:rate=1:duration=1 -frames:v 1";
    let moving = "-f lavfi -i testsrc2=size=100x100:rate=10:duration=1";
    for (name, source, animated) in [
        ("a.png", still, false),
        ("a.jpg", still, false),
        ("a.gif", moving, true),
    ] {
        let picture = film(folder.path(), name, source)?;
        let body = json!({ "type": "sticker", "sticker": { "base64": STANDARD.encode(&picture) } });
        let seen = shown(&world, &session, body).await?;
        assert_eq!(
            (&seen["type"], &seen["mimetype"]),
            (&json!("sticker"), &json!("image/webp"))
        );
        assert_eq!(
            (&seen["width"], &seen["height"]),
            (&json!(512), &json!(512)),
            "{name}"
        );
        let message = world.api.messages("").await?.into_iter().next();
        let told = world
            .api
            .whole_message(&message.context("a message")?.id)
            .await?;
        let made = content(&world, &told["sticker"]["media_id"]).await?;
        let moves = made.windows(4).any(|part| part == b"ANMF");
        assert_eq!(moves, animated, "{name}");
        let most = if animated { 500 } else { 100 };
        assert!(made.len() <= most * 1024, "{name}: {} bytes", made.len());
    }
    world.finish().await
}

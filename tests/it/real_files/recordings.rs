//! Recordings as telephones, browsers and call centres make them.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, on_every_shape};
use serde_json::{Value, json};

use super::tools::{Workshop, content, received, sent};
use crate::media::{linked_with, objects, sha256};

on_every_shape!(recordings_are_known_by_what_is_in_them);

const OPUS: &str = "audio/ogg; codecs=opus";

/// A recording, its type, and its length in whole seconds.
type Recording = (&'static str, Vec<u8>, &'static str, u64);

/// Makes the recordings that are sent unchanged: 2.4 seconds of sound.
fn played(shop: &Workshop) -> Result<Vec<Recording>> {
    let tone = |name: &str, coded: &str| shop.tone(name, 2.4, coded);
    let live = "-movflags frag_keyframe+empty_moov+default_base_moof -frag_duration 500000";
    let fragmented = tone("live.mp4", &format!("-c:a aac -brand iso5 {live}"))?;
    shop.tone("a.wav", 2.4, "-ar 8000 -ac 1")?;
    // With a checksum in every frame.
    shop.run("lame", &["--quiet", "-p", "-b", "32", "a.wav", "crc.mp3"])?;
    // 120 frames of 12.2 kbit/s, alone and in the container of old telephones.
    let amr = [b"#!AMR\n", &[0x3c; 32].repeat(120)[..]].concat();
    shop.put("a.amr", &amr)?;
    let amr_3gp = shop.ffmpeg(
        "amr.3gp",
        &format!("-i {} -c copy", shop.path("a.amr").display()),
    )?;
    let song = tone(
        "plain.mp3",
        "-c:a libmp3lame -q:a 2 -write_xing 0 -id3v2_version 0",
    )?;
    // A tag as long as a cover.
    let mut tagged = b"ID3\x03\0\0\0\x03\0\0".to_vec();
    tagged.resize(10 + (3 << 14), 0);
    tagged.extend(&song);
    Ok(vec![
        (
            "android",
            tone("android.mp4", "-c:a aac -brand mp42")?,
            "audio/mp4",
            3,
        ),
        ("browser", fragmented, "audio/mp4", 3),
        (
            "old telephone",
            tone("a.3gp", "-c:a aac -ar 16000 -ac 1")?,
            "audio/3gpp",
            3,
        ),
        ("older telephone", amr_3gp, "audio/3gpp", 3),
        ("3g2", tone("a.3g2", "-c:a aac")?, "audio/3gpp2", 3),
        ("amr", amr, "audio/amr", 3),
        (
            "telephone line",
            tone("line.mp3", "-ar 8000 -c:a libmp3lame")?,
            "audio/mpeg",
            3,
        ),
        ("checksums", shop.read("crc.mp3")?, "audio/mpeg", 3),
        ("no header of the length", song, "audio/mpeg", 3),
        ("a long tag", tagged, "audio/mpeg", 3),
        (
            "layer II",
            tone("a.mp2", "-c:a mp2 -b:a 128k")?,
            "audio/mpeg",
            3,
        ),
        ("adts", tone("a.aac", "-c:a aac")?, "audio/aac", 3),
        ("opus", tone("a.opus", "-c:a libopus")?, OPUS, 3),
    ])
}

async fn recordings_are_known_by_what_is_in_them(backing: Backing) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let shop = Workshop::open()?;
    // All of them on one shape, a few on the others.
    let step = if backing == Backing::Sqlite { 1 } else { 4 };
    for (name, bytes, mime_type, seconds) in played(&shop)?.into_iter().step_by(step) {
        let (file, seen) = sent(&world, &session, "audio", &bytes).await?;
        assert_eq!(file["sha256"], json!(sha256(&bytes)), "{name} was changed");
        assert_eq!(seen["mimetype"], mime_type, "{name}");
        assert_eq!(seen["seconds"], seconds, "{name}");
        assert_eq!(file["seconds"], seconds, "{name}");
        // The sender's word for it is wrong.
        let said = ("video/mp4", None);
        let media = received(&world, &receiver, "audio", &bytes, said).await?;
        assert_eq!(media["mime_type"], mime_type, "{name}");
    }
    world.finish().await
}

/// Makes recordings that become voice notes: 2.4 seconds of sound in everything that is decoded.
fn decoded(shop: &Workshop) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let tone = |name: &str, coded: &str| shop.tone(name, 2.4, coded);
    let surround = "-af pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0 -c:a libopus -mapping_family 1";
    // As a browser streams it: without a duration, in clusters of unknown length.
    let live = tone("live.webm", "-c:a libopus -f webm -live 1")?;
    Ok(vec![
        ("android", tone("android.mp4", "-c:a aac -brand mp42")?),
        ("browser", live),
        ("webm", tone("a.webm", "-c:a libopus")?),
        ("webm with vorbis", tone("v.webm", "-c:a libvorbis")?),
        ("matroska", tone("a.mka", "-c:a flac")?),
        ("opus in mp4", tone("opus.mp4", "-c:a libopus -strict -2")?),
        ("3gp", tone("a.3gp", "-c:a aac -ar 16000 -ac 1")?),
        ("a-law", tone("a.wav", "-ar 8000 -c:a pcm_alaw")?),
        ("mu-law", tone("u.wav", "-ar 8000 -c:a pcm_mulaw")?),
        (
            "adpcm of microsoft",
            tone("ms.wav", "-ar 8000 -c:a adpcm_ms")?,
        ),
        (
            "adpcm of ima",
            tone("ima.wav", "-ar 8000 -c:a adpcm_ima_wav")?,
        ),
        ("streamed wav", {
            let mut wav = tone("s.wav", "-c:a pcm_s16le -bitexact")?;
            // A recorder that could not go back to write the lengths.
            wav[4..8].fill(0xff);
            wav[40..44].fill(0xff);
            wav
        }),
        ("alac", tone("alac.m4a", "-c:a alac")?),
        ("aiff", tone("a.aiff", "")?),
        ("caf", tone("a.caf", "-c:a pcm_s16le")?),
        (
            "telephone line",
            tone("line.mp3", "-ar 8000 -c:a libmp3lame")?,
        ),
        ("layer II", tone("a.mp2", "-c:a mp2 -b:a 128k")?),
        ("surround", tone("5.opus", surround)?),
        ("flac in ogg", tone("flac.ogg", "-c:a flac")?),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recording_that_can_be_decoded_becomes_a_voice_note() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Workshop::open()?;
    for (n, (name, bytes)) in decoded(&shop)?.into_iter().enumerate() {
        let file = crate::media::uploaded(&world.api, "voice", &bytes).await;
        let file = file.with_context(|| name.to_owned())?;
        assert_eq!(file["mime_type"], OPUS, "{name}");
        assert_eq!(file["seconds"], 3, "{name}: {file}");
        let heard = shop.played(&content(&world, &file["id"]).await?)?;
        assert!((heard - 2.4).abs() < 0.2, "{name} plays {heard} s");
        if n % 6 == 0 {
            let voice = json!({ "type": "voice", "voice": { "media_id": file["id"] } });
            let seen = crate::media::shown(&world, &session, voice).await?;
            assert_eq!(seen["media"]["sha256"], file["sha256"], "{name}");
            assert_eq!(
                (&seen["seconds"], &seen["waveform"]),
                (&json!(3), &json!(64))
            );
        }
    }
    // The honest code for the others.
    let stored = objects(&world).len();
    shop.put("a.amr", &[b"#!AMR\n", &[0x3c; 32].repeat(120)[..]].concat())?;
    let amr = shop.path("a.amr").display().to_string();
    let tone = |name: &str, coded: &str| shop.tone(name, 2.4, coded);
    for (bytes, found) in [
        (tone("gsm.wav", "-ar 8000 -c:a libgsm_ms")?, "audio/wav"),
        (tone("ac3.mp4", "-c:a ac3")?, "audio/mp4"),
        (
            tone("a.spx.ogg", "-ar 16000 -c:a libspeex")?,
            "audio/ogg; codecs=speex",
        ),
        (
            shop.ffmpeg("amr.3gp", &format!("-i {amr} -c copy"))?,
            "audio/3gpp",
        ),
        (shop.read("a.amr")?, "audio/amr"),
    ] {
        let refused = world.api.upload("voice", bytes).await?;
        assert_eq!(
            refused.code(),
            "media_type_not_supported",
            "{}",
            refused.body
        );
        assert_eq!(refused.body["detected"], found);
    }
    assert_eq!(objects(&world).len(), stored);
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joined_recordings_of_opus_are_sent_whole_or_not_at_all() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let shop = Workshop::open()?;
    let opus = |name: &str, seconds: f64, channels: u32| -> Result<Vec<u8>> {
        shop.tone("a.wav", seconds, &format!("-ar 48000 -ac {channels}"))?;
        shop.run("opusenc", &["--quiet", "--bitrate", "32", "a.wav", name])?;
        shop.read(name)
    };
    let (first, second) = (opus("1.opus", 2.0, 1)?, opus("2.opus", 3.4, 1)?);
    let (wide, wider) = (opus("3.opus", 2.0, 2)?, opus("4.opus", 1.5, 2)?);
    let vorbis = shop.tone("v.ogg", 1.0, "-c:a libvorbis")?;
    for (kind, parts, seconds) in [
        ("voice", vec![&first, &second], 5.4),
        ("audio", vec![&first, &second, &first], 7.4),
        ("audio", vec![&wide, &wider], 3.5),
        ("voice", vec![&wide, &wider], 3.5),
    ] {
        let joined: Vec<u8> = parts.into_iter().flatten().copied().collect();
        let (file, seen) = sent(&world, &session, kind, &joined).await?;
        let got = content(&world, &file["id"]).await?;
        let begins = got.windows(8).filter(|at| *at == b"OpusHead").count();
        assert_eq!(begins, 1, "{kind}: one stream");
        let heard = shop.played(&got)?;
        assert!(
            (heard - seconds).abs() < 0.1,
            "{kind} plays {heard} s of {seconds}"
        );
        let said = seen["seconds"].as_f64().context("seconds")?;
        assert!(
            (heard..heard + 1.05).contains(&said),
            "{kind} is said to play {said} s"
        );
        assert_eq!(seen["mimetype"], OPUS);
    }
    for kind in ["voice", "audio"] {
        for other in [&wide, &vorbis] {
            let refused = world.api.upload(kind, [&first[..], other].concat()).await?;
            assert_eq!(refused.code(), "media_mixed", "{}", refused.body);
            assert_eq!(refused.body["detected"], OPUS);
        }
    }
    // What comes in is kept as it came.
    let joined = [&first[..], &second].concat();
    let media = received(&world, &receiver, "voice", &joined, (OPUS, None)).await?;
    assert_eq!(media["mime_type"], OPUS);
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opus_is_taken_out_of_the_containers_of_browsers() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let shop = Workshop::open()?;
    for (name, coded) in [
        ("live.webm", "-ac 2 -c:a libopus -f webm -live 1"),
        ("a.webm", "-ac 2 -c:a libopus"),
        ("a.mp4", "-ac 2 -c:a libopus -strict -2"),
    ] {
        let bytes = shop.tone(name, 2.4, coded)?;
        let (file, seen) = sent(&world, &session, "audio", &bytes).await?;
        assert_eq!(
            (&seen["mimetype"], &seen["seconds"]),
            (&json!(OPUS), &json!(3))
        );
        let got = content(&world, &file["id"]).await?;
        assert!(got.starts_with(b"OggS"), "{name}");
        let heard = shop.played(&got)?;
        assert!((heard - 2.4).abs() < 0.1, "{name} plays {heard} s");
        // Inbound files are not changed.
        let said = ("video/webm", None);
        let media = received(&world, &receiver, "audio", &bytes, said).await?;
        let right = if name == "a.mp4" {
            "audio/mp4"
        } else {
            "audio/webm"
        };
        assert_eq!(media["mime_type"], right, "{name}");
    }
    let vorbis = shop.tone("v.webm", 1.0, "-c:a libvorbis")?;
    let refused = world.api.upload("audio", vorbis).await?;
    assert_eq!(
        refused.code(),
        "media_type_not_supported",
        "{}",
        refused.body
    );
    assert_eq!(refused.body["detected"], "audio/webm");
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_in_fragments_has_its_length_also_without_ffmpeg() -> Result<()> {
    let mut setup = Setup::quick();
    setup.flags = vec!["--ffmpeg".to_owned(), String::new()];
    let (world, session) = linked_with(Backing::Sqlite, setup).await?;
    let shop = Workshop::open()?;
    let source =
        "-f lavfi -i testsrc2=size=160x120:rate=10:duration=4.5 -f lavfi -i sine=duration=4.5";
    let coded = "-c:v libx264 -pix_fmt yuv420p -g 10 -c:a aac";
    let live = "-movflags frag_keyframe+empty_moov+default_base_moof";
    let film = shop.ffmpeg("a.mp4", &format!("{source} {coded} {live}"))?;
    let (file, seen) = sent(&world, &session, "video", &film).await?;
    assert_eq!((&file["seconds"], &seen["seconds"]), (&json!(5), &json!(5)));
    // Nothing but the description: unknown, not invented.
    let moof = film.windows(4).position(|at| at == b"moof");
    let begun = film[..moof.context("a fragment")? - 4].to_vec();
    let file = crate::media::uploaded(&world.api, "video", &begun).await?;
    assert_eq!(file["seconds"], Value::Null);
    world.finish().await?;
    Ok(())
}

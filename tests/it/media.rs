//! Files, sent and received: every kind, byte for byte, from every source.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Api, Backing, Finished, Receiver, Setup, Shop, World, bucket::Bucket, on_every_shape, probes,
    shop::Page, simulator::Phone, soon,
};
use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, time::Duration};

on_every_shape!(
    each_kind_goes_out_and_the_phone_opens_it,
    each_kind_comes_in_and_is_served_byte_by_byte,
    a_file_comes_from_an_address_in_the_request_or_from_an_upload,
    what_is_no_file_of_its_kind_is_refused_and_leaves_nothing,
    an_address_that_gives_no_file_fails_its_message_with_a_code,
    a_picture_loses_what_its_camera_wrote,
    a_file_that_is_gone_from_whatsapp_is_asked_for_once_more,
    a_link_opens_one_file_until_it_ends,
    a_deleted_message_takes_its_file_along,
    nobody_sees_a_file_of_another_organisation,
    a_refused_message_leaves_no_file,
    an_endpoint_may_want_small_files_in_their_events,
    files_may_lie_in_a_bucket,
    when_the_disk_is_full_texts_go_on_and_files_wait,
    a_worker_that_dies_while_it_fetches_is_followed_by_another,
);

pub(crate) const NUMBER: &str = "+4915170000001";
pub(crate) const CONTACT: &str = "+4915199000001";

const PHOTO: &[u8] = include_bytes!("../assets/photo.jpg");
pub(crate) const FILM: &[u8] = include_bytes!("../assets/film.mp4");
pub(crate) const HEVC: &[u8] = include_bytes!("../assets/hevc.mp4");
const SONG: &[u8] = include_bytes!("../assets/song.mp3");
const VOICE: &[u8] = include_bytes!("../assets/voice.ogg");
const VORBIS: &[u8] = include_bytes!("../assets/vorbis.ogg");
const AMR: &[u8] =
    b"#!AMR\n\x3c\x48\x77\x24\x96\x66\x79\xe1\xe0\x01\xe7\xba\xf0\x00\x00\x00\xc0\x00";
const STICKER: &[u8] = include_bytes!("../assets/sticker.webp");
const PAPER: &[u8] = b"%PDF-1.4\n% an invoice over CANARY euros\n";

/// Every kind with a file of it, and the type that is detected from its content.
const KINDS: [(&str, &[u8], &str); 6] = [
    ("image", PHOTO, "image/jpeg"),
    ("video", FILM, "video/mp4"),
    ("audio", SONG, "audio/mpeg"),
    ("voice", VOICE, "audio/ogg; codecs=opus"),
    ("document", PAPER, "application/pdf"),
    ("sticker", STICKER, "image/webp"),
];

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn linked(backing: Backing) -> Result<(World, String)> {
    linked_with(backing, Setup::quick()).await
}

pub(crate) async fn linked_with(backing: Backing, setup: Setup) -> Result<(World, String)> {
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    Ok((world, session))
}

pub(crate) async fn uploaded(api: &Api, kind: &str, bytes: &[u8]) -> Result<Value> {
    api.upload(kind, bytes.to_vec()).await?.into(201)
}

/// Returns what the contact's phone shows of a message.
async fn on_the_phone(world: &World, wa_id: &str) -> Result<Value> {
    soon("the phone shows it", async || {
        let shown = world.simulator.chat(CONTACT, NUMBER).await?;
        let found = shown.into_iter().find(|one| one["id"] == json!(wa_id));
        Ok(found.map(|one| one["message"].clone()))
    })
    .await
}

/// Sends a message, waits until the phone shows it, and returns that.
pub(crate) async fn shown(world: &World, session: &str, message: Value) -> Result<Value> {
    let sent = world.api.send_kind(session, CONTACT, message).await?;
    world.api.message_at(&sent.id, "sent").await?;
    let wa_id = sent
        .wa_message_id
        .context("a WhatsApp id is chosen at accept")?;
    on_the_phone(world, &wa_id).await
}

/// Builds a form with a field and a file, as a browser writes it (RFC 7578).
fn form(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut form =
        b"--edge\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n".to_vec();
    let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    form.extend(format!("--edge\r\n{head}\r\n\r\n").bytes());
    form.extend(bytes);
    form.extend(b"\r\n--edge--\r\n");
    form
}

/// Returns the paths of the files in the object store.
pub(crate) fn objects(world: &World) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let orgs = std::fs::read_dir(world.folder().join("media"))
        .into_iter()
        .flatten()
        .flatten();
    for org in orgs {
        let files = std::fs::read_dir(org.path())
            .into_iter()
            .flatten()
            .flatten();
        found.extend(files.map(|file| file.path()));
    }
    found
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

async fn each_kind_goes_out_and_the_phone_opens_it(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    for (kind, bytes, mime_type) in KINDS {
        let file = uploaded(&world.api, kind, bytes).await?;
        assert_eq!(file["status"], "available", "{file}");
        assert_eq!(file["mime_type"], mime_type);
        assert_eq!(file["kind"], kind);
        let mut carried = json!({ "media_id": file["id"] });
        if matches!(kind, "image" | "video" | "document") {
            carried["caption"] = json!("look");
        }
        if kind == "document" {
            carried["file_name"] = json!("../Invoice 1042.pdf");
        }
        let seen = shown(&world, &session, json!({ "type": kind, kind: carried })).await?;
        assert_eq!(seen["type"], kind, "{seen}");
        assert_eq!(seen["media"]["sha256"], file["sha256"], "{kind}: {seen}");
        assert_eq!(seen["media"]["undecryptable"], Value::Null, "{seen}");
        assert_eq!(seen["mimetype"], mime_type);
        assert_eq!(seen["file_length"], file["size"]);
        assert_eq!(seen["caption"], carried["caption"]);
        match kind {
            "image" => {
                assert_eq!(
                    (&seen["width"], &seen["height"]),
                    (&json!(320), &json!(240))
                );
                assert!(seen["thumbnail"].as_u64() > Some(100), "{seen}");
            }
            "video" => {
                assert_eq!(
                    (&seen["width"], &seen["height"]),
                    (&json!(160), &json!(120))
                );
                assert_eq!(seen["seconds"], 2);
            }
            "audio" => assert!(matches!(seen["seconds"].as_u64(), Some(2 | 3)), "{seen}"),
            "voice" => {
                assert_eq!(
                    (&seen["seconds"], &seen["waveform"]),
                    (&json!(3), &json!(64))
                );
                assert_eq!(seen["ptt"], true);
            }
            "document" => assert_eq!(seen["file_name"], "Invoice 1042.pdf"),
            _ => {}
        }
    }
    // Other recordings are converted to voice notes.
    for recording in [SONG, VORBIS] {
        let file = uploaded(&world.api, "voice", recording).await?;
        assert_eq!(file["mime_type"], "audio/ogg; codecs=opus");
        let voice = json!({ "type": "voice", "voice": { "media_id": file["id"] } });
        let seen = shown(&world, &session, voice).await?;
        assert_eq!(seen["media"]["sha256"], file["sha256"]);
        assert_eq!(seen["waveform"], 64);
    }
    // Stored files are encrypted, and a file that needs no change arrives unchanged.
    let paper = uploaded(&world.api, "document", PAPER).await?;
    assert_eq!(paper["sha256"], json!(sha256(PAPER)));
    let kept = objects(&world);
    assert!(kept.len() >= 7, "{kept:?}");
    for object in kept {
        assert!(
            !holds(&std::fs::read(&object)?, b"CANARY"),
            "{}",
            object.display()
        );
    }
    world.finish().await
}

async fn each_kind_comes_in_and_is_served_byte_by_byte(backing: Backing) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "media.available"])
        .await?;
    for (kind, bytes, mime_type) in KINDS {
        let mut said =
            json!({ "type": kind, "bytes_base64": STANDARD.encode(bytes), "mimetype": mime_type });
        if kind == "document" {
            said["file_name"] = json!("invoice.pdf");
        }
        world
            .simulator
            .tell(CONTACT, NUMBER, json!({ "message": said }))
            .await?;
    }
    let told = receiver.wait_for("message.received", KINDS.len()).await?;
    let here = receiver.wait_for("media.available", KINDS.len()).await?;
    for (kind, bytes, mime_type) in KINDS {
        let message = told.iter().map(|one| &one.body["data"]);
        let data = message.clone().find(|data| data["message"]["type"] == kind);
        let data = data.with_context(|| format!("{kind} was reported"))?;
        let carried = &data["message"][kind];
        assert_eq!(carried["sha256"], json!(sha256(bytes)));
        assert_eq!(carried["media_id"], data["media"]["id"]);
        assert_eq!(data["media"]["status"], "pending");
        let media = here.iter().map(|one| &one.body["data"]["media"]);
        let media = media
            .clone()
            .find(|media| media["id"] == carried["media_id"]);
        let media = media.with_context(|| format!("{kind} is available"))?;
        assert_eq!(media["status"], "available");
        assert_eq!(media["message_id"], data["message"]["id"]);
        assert_eq!(media["mime_type"], mime_type);
        assert_eq!(media["size"], json!(bytes.len()));
        // The file can be fetched with the API key, and by the link alone. The link of the first event
        // works too.
        let id = media["id"].as_str().context("an id")?;
        let content = format!("/v1/media/{id}/content");
        let (status, headers, body) = Api::bytes(world.api.request(Method::GET, &content)).await?;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, bytes), "{kind}");
        assert_eq!(headers["content-type"], mime_type);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let disposition = headers["content-disposition"].to_str()?;
        assert!(disposition.starts_with("attachment"), "{disposition}");
        for url in [&media["url"], &data["media"]["url"]] {
            let path = url.as_str().context("a link")?;
            let path = path
                .find("/media/")
                .map(|at| &path[at..])
                .context("a link")?;
            let whole = format!("{}{path}", world.api.base().get());
            let (status, _, body) = Api::bytes(world.api.open(&whole)).await?;
            assert_eq!((status, body.as_slice()), (StatusCode::OK, bytes), "{kind}");
        }
        let half = bytes.len() / 2;
        let part = world
            .api
            .request(Method::GET, &content)
            .header("range", format!("bytes={half}-"));
        let (status, headers, body) = Api::bytes(part).await?;
        assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(body, bytes[half..], "{kind}");
        let place = format!("bytes {half}-{}/{}", bytes.len() - 1, bytes.len());
        assert_eq!(headers["content-range"], place.as_str());
        // The API shows the same as the webhook.
        let message = data["message"]["id"].as_str().context("an id")?;
        assert_eq!(world.api.whole_message(message).await?, data["message"]);
    }
    for object in objects(&world) {
        assert!(
            !holds(&std::fs::read(&object)?, b"CANARY"),
            "{}",
            object.display()
        );
    }
    world.finish().await
}

async fn a_file_comes_from_an_address_in_the_request_or_from_an_upload(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let shop = Shop::open().await?;
    // The server's content type is wrong, and the type is detected from the content. Three redirects are
    // followed.
    let at = shop.put("/paper", Page::File("image/png", PAPER.to_vec()));
    let moved = (0..3).fold(at, |to, n| {
        shop.put(&format!("/moved/{n}"), Page::Moved(to))
    });
    let by_url = json!({ "type": "document", "document": { "url": moved, "file_name": "a.pdf" } });
    let seen = shown(&world, &session, by_url).await?;
    assert_eq!(seen["media"]["sha256"], json!(sha256(PAPER)));
    assert_eq!(seen["mimetype"], "application/pdf");
    let inline = json!({ "type": "document", "document": { "base64": STANDARD.encode(PAPER) } });
    let seen = shown(&world, &session, inline).await?;
    assert_eq!(seen["media"]["sha256"], json!(sha256(PAPER)));
    // A form also sets the file name.
    let upload = world.api.request(Method::POST, "/v1/media?kind=document");
    let upload = upload.header(CONTENT_TYPE, "multipart/form-data; boundary=edge");
    let file: Value = Api::reply(upload.body(form("b.pdf", PAPER)))
        .await?
        .into(201)?;
    assert_eq!(file["file_name"], "b.pdf");
    let by_id = json!({ "type": "document", "document": { "media_id": file["id"] } });
    for _ in 0..2 {
        // A file may be sent again. The second time WhatsApp already has it.
        let seen = shown(&world, &session, by_id.clone()).await?;
        assert_eq!(seen["media"]["sha256"], json!(sha256(PAPER)));
        assert_eq!(seen["file_name"], "b.pdf");
    }
    // Sends by the kind's own route, as a reply.
    let first = world.api.messages("").await?.pop().context("a message")?;
    let path = format!("/v1/sessions/{session}/messages/document");
    let body =
        json!({ "to": CONTACT, "document": { "media_id": file["id"] }, "reply_to": first.id });
    let sent: Value = world.api.post(&path, &body).await?.into(202)?;
    let wa_id = sent["wa_message_id"].as_str().context("an id")?;
    let seen = on_the_phone(&world, wa_id).await?;
    assert_eq!(seen["quoted"]["id"], json!(first.wa_message_id));
    world.finish().await
}

async fn what_is_no_file_of_its_kind_is_refused_and_leaves_nothing(
    backing: Backing,
) -> Result<Finished> {
    let mut setup = Setup::quick();
    // `films` tests videos with ffmpeg.
    setup.flags = vec!["--ffmpeg".to_owned(), String::new()];
    let (world, session) = linked_with(backing, setup).await?;
    let bomb = {
        // 30,000 by 30,000 pixels in the header of a PNG.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30, 8, 2, 0, 0, 0]);
        png.extend([
            0xe9, 0x45, 0x6f, 0xed, 0, 0, 0, 0, b'I', b'D', b'A', b'T', 0, 0, 0, 0,
        ]);
        png
    };
    let long = vec![0xff; 16 * 1024 * 1024 + 1];
    let mut long_photo = PHOTO.to_vec();
    long_photo.extend(long);
    for (kind, bytes, code) in [
        ("image", &b""[..], "media_empty"),
        ("image", PAPER, "media_type_not_supported"),
        (
            "image",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "media_type_not_supported",
        ),
        ("image", &PHOTO[..PHOTO.len() / 4], "media_damaged"),
        ("image", &long_photo, "media_too_large"),
        ("sticker", PHOTO, "transcoding_unavailable"),
        ("sticker", PAPER, "media_type_not_supported"),
        ("video", HEVC, "transcoding_unavailable"),
        ("video", &FILM[..FILM.len() / 8], "media_damaged"),
        ("voice", AMR, "media_type_not_supported"),
        ("voice", PAPER, "media_type_not_supported"),
        ("audio", PAPER, "media_type_not_supported"),
    ] {
        let refused = world.api.upload(kind, bytes.to_vec()).await?;
        assert_eq!(refused.code(), code, "{kind}: {}", refused.body);
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let bomb = world.api.upload("image", bomb).await?;
    assert_eq!(bomb.code(), "media_dimensions", "{}", bomb.body);
    assert_eq!(objects(&world), Vec::<std::path::PathBuf>::new());
    // Wrong values in the file of a message.
    let file = uploaded(&world.api, "document", PAPER).await?;
    let unknown = "med_01kaq6h3zve9qbw4r2t8n5c7xd";
    for (carried, code) in [
        (json!({}), "media_source"),
        (
            json!({ "media_id": unknown, "url": "https://shop.example/a" }),
            "media_source",
        ),
        (json!({ "media_id": unknown }), "media_not_found"),
        (json!({ "media_id": file["id"] }), "media_kind_mismatch"),
        (json!({ "base64": "no base64!" }), "invalid_base64"),
        (
            json!({ "base64": STANDARD.encode(PAPER) }),
            "media_type_not_supported",
        ),
        (
            json!({ "base64": STANDARD.encode(vec![0; 5 * 1024 * 1024 + 1]) }),
            "media_too_large",
        ),
        (json!({ "url": "ftp://shop.example/a" }), "url_not_allowed"),
        (json!({ "url": "http://10.0.0.1/a" }), "url_not_allowed"),
        (
            json!({ "url": "http://[::ffff:169.254.169.254]/latest" }),
            "url_not_allowed",
        ),
        (
            json!({ "media_id": unknown, "caption": "x".repeat(4097) }),
            "text_too_long",
        ),
    ] {
        let body = Api::of_kind(
            &session,
            CONTACT,
            json!({ "type": "image", "image": carried }),
        );
        let refused = world.api.post("/v1/messages", &body).await?;
        assert_eq!(refused.code(), code, "{}", refused.body);
    }
    assert_eq!(objects(&world).len(), 1, "only the one document is stored");
    world.finish().await
}

async fn an_address_that_gives_no_file_fails_its_message_with_a_code(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let shop = Shop::open().await?;
    let inside = "http://[fd00::1]/secret".to_owned();
    let to = |n: u32| {
        shop.put(
            &format!("/round/{n}"),
            Page::Moved(format!("/round/{}", n + 1)),
        )
    };
    (0..9).for_each(|n| drop(to(n)));
    let cases = [
        (shop.put("/404", Page::Status(404)), "media_url_not_found"),
        (shop.put("/403", Page::Status(403)), "media_url_refused"),
        (to(0), "media_url_redirects"),
        (shop.put("/in", Page::Moved(inside)), "url_not_allowed"),
        (
            shop.put("/wrong", Page::File("image/jpeg", PAPER.to_vec())),
            "media_type_not_supported",
        ),
        (
            shop.put("/endless", Page::Endless),
            "media_type_not_supported",
        ),
        (
            shop.put("/empty", Page::File("image/jpeg", Vec::new())),
            "media_empty",
        ),
    ];
    let mut sent = Vec::new();
    for (url, code) in &cases {
        let image = json!({ "type": "image", "image": { "url": url } });
        let message = world.api.send_kind(&session, CONTACT, image).await?;
        sent.push((message.id, *code));
    }
    // The lane continues.
    let text = world.api.send(&session, CONTACT, "still here").await?;
    for (id, code) in sent {
        let failed = world.api.message_at(&id, "failed").await?;
        assert_eq!(failed.error_code(), code);
    }
    world.api.message_at(&text.id, "sent").await?;
    // A download that breaks half-way succeeds at the next try.
    let url = shop.put("/broken", Page::Broken(PHOTO.to_vec()));
    let image = json!({ "type": "image", "image": { "url": url } });
    let waiting = world.api.send_kind(&session, CONTACT, image).await?;
    soon("the file was requested", async || {
        Ok((shop.asked("/broken") > 0).then_some(()))
    })
    .await?;
    shop.put("/broken", Page::File("image/jpeg", PHOTO.to_vec()));
    world.api.message_at(&waiting.id, "sent").await?;
    world.finish().await
}

/// Returns a picture with this orientation and an EXIF block that holds a word.
fn taken(orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(b"CANARY");
    let length = u8::try_from(exif.len() + 2).unwrap_or(u8::MAX);
    let mut photo = PHOTO[..2].to_vec();
    photo.extend([0xff, 0xe1, 0, length]);
    photo.extend(exif);
    photo.extend_from_slice(&PHOTO[2..]);
    photo
}

async fn a_picture_loses_what_its_camera_wrote(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    for (orientation, width, height) in [(1, 320, 240), (6, 240, 320)] {
        assert!(holds(&taken(orientation), b"CANARY"));
        let file = uploaded(&world.api, "image", &taken(orientation)).await?;
        assert_eq!(
            (&file["width"], &file["height"]),
            (&json!(width), &json!(height))
        );
        let path = format!(
            "/v1/media/{}/content",
            file["id"].as_str().context("an id")?
        );
        let (_, _, kept) = Api::bytes(world.api.request(Method::GET, &path)).await?;
        assert!(!holds(&kept, b"CANARY") && !holds(&kept, b"Exif"));
        assert_eq!(json!(sha256(&kept)), file["sha256"]);
    }
    world.finish().await
}

async fn a_file_that_is_gone_from_whatsapp_is_asked_for_once_more(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["media.failed", "media.available"]).await?;
    // The number is offline while the contact's phone uploads two files, and they expire before it
    // returns. The phone itself no longer has the second one.
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let path = format!("/phones/{}/say", CONTACT.replace('+', "%2B"));
    for (text, lost) in [("kept by its phone", false), ("lost", true)] {
        let document = json!({ "type": "document", "bytes_base64": STANDARD.encode(text) });
        let said = json!({ "to": NUMBER, "message": document });
        let put = world
            .simulator
            .call(Method::POST, &path, Some(&said))
            .await?;
        let gone =
            json!({ "direct_path": put["media"]["direct_path"], "expire": 410, "lost": lost });
        world
            .simulator
            .call(Method::POST, "/media", Some(&gone))
            .await?;
    }
    world.api.connect(&session).await?;
    let here = receiver.wait_for("media.available", 1).await?;
    let media = &here[0].body["data"]["media"];
    assert_eq!(media["sha256"], json!(sha256(b"kept by its phone")));
    let told = receiver.wait_for("media.failed", 1).await?;
    let media = &told[0].body["data"]["media"];
    assert_eq!(media["status"], "expired", "{media}");
    let path = format!(
        "/v1/media/{}/content",
        media["id"].as_str().context("an id")?
    );
    let refused = world.api.get(&path).await?;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::GONE, "media_unavailable")
    );
    world.finish().await
}

async fn a_deleted_message_takes_its_file_along(backing: Backing) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let receiver = world
        .endpoint(&["media.available", "message.deleted"])
        .await?;
    let image = json!({ "type": "image", "bytes_base64": STANDARD.encode(PHOTO) });
    let said = world
        .simulator
        .tell(CONTACT, NUMBER, json!({ "message": image }))
        .await?;
    let here = receiver.wait_for("media.available", 1).await?;
    let id = here[0].body["data"]["media"]["id"]
        .as_str()
        .context("an id")?;
    let revoke = json!({ "message": { "type": "revoke", "target": said } });
    world.simulator.tell(CONTACT, NUMBER, revoke).await?;
    receiver.wait_for("message.deleted", 1).await?;
    for path in [format!("/v1/media/{id}"), format!("/v1/media/{id}/content")] {
        assert_eq!(world.api.get(&path).await?.status, StatusCode::NOT_FOUND);
    }
    world.finish().await
}

async fn a_link_opens_one_file_until_it_ends(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let file = uploaded(&world.api, "document", PAPER).await?;
    let url = file["url"].as_str().context("a link")?;
    let (status, _, body) = Api::bytes(world.api.open(url)).await?;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, PAPER));
    // With another file, time or digest the link does not work.
    let (head, link) = url.rsplit_once('/').context("a link")?;
    let parts: Vec<_> = link.split('.').collect();
    let other = uploaded(&world.api, "document", b"another").await?;
    let other = other["id"].as_str().context("an id")?;
    for forged in [
        format!("{}.{other}.{}.{}", parts[0], parts[2], parts[3]),
        format!("{}.{}.{}9.{}", parts[0], parts[1], parts[2], parts[3]),
        format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], &parts[3][1..]),
        parts[..3].join("."),
    ] {
        let (status, ..) = Api::bytes(world.api.open(&format!("{head}/{forged}"))).await?;
        assert_eq!(status, StatusCode::NOT_FOUND, "{forged}");
    }
    let path = format!("/v1/media/{}", parts[1]);
    assert_eq!(
        world.api.delete(&path).await?.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(world.api.delete(&path).await?.status, StatusCode::NOT_FOUND);
    let (status, ..) = Api::bytes(world.api.open(url)).await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(objects(&world).len(), 1, "the deleted file is still stored");
    world.finish().await
}

async fn nobody_sees_a_file_of_another_organisation(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let other = world.admin.tenant("Other").await?;
    let file = uploaded(&other, "document", PAPER).await?;
    let id = file["id"].as_str().context("an id")?;
    for path in [format!("/v1/media/{id}"), format!("/v1/media/{id}/content")] {
        assert_eq!(
            world.api.get(&path).await?.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let path = format!("/v1/media/{id}");
    assert_eq!(world.api.delete(&path).await?.status, StatusCode::NOT_FOUND);
    let message = json!({ "type": "document", "document": { "media_id": id } });
    let body = Api::of_kind(&session, CONTACT, message);
    assert_eq!(
        world.api.post("/v1/messages", &body).await?.code(),
        "media_not_found"
    );
    assert_eq!(other.get(&path).await?.status, StatusCode::OK);
    world.finish().await
}

async fn a_refused_message_leaves_no_file(backing: Backing) -> Result<Finished> {
    let (mut world, session) = linked(backing).await?;
    let document = json!({ "type": "document", "document": { "base64": STANDARD.encode(PAPER) } });
    let mut expired = Api::of_kind(&session, CONTACT, document.clone());
    expired["expires_at"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(
        world.api.post("/v1/messages", &expired).await?.code(),
        "invalid_expiry"
    );
    assert_eq!(objects(&world).len(), 0);
    // A repeat gets the first answer and stores no second copy.
    let body = Api::of_kind(&session, CONTACT, document);
    let first = world.api.send_once("order-1042", &body).await?;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let again = world.api.send_once("order-1042", &body).await?;
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(objects(&world).len(), 1);
    // A repeat is answered even if no new file can be stored, because it stores none.
    world.gateway.stop().await?;
    world.gateway.setup.flags = vec!["--media-disk-max".to_owned(), "1".to_owned()];
    world.gateway.start().await?;
    let again = world.api.send_once("order-1042", &body).await?;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let id = first.body["id"].as_str().context("an id")?;
    world.api.message_at(id, "sent").await?;
    world.finish().await
}

async fn files_may_lie_in_a_bucket(backing: Backing) -> Result<Finished> {
    let scratch = tempfile::TempDir::with_prefix("passerelle-bucket-")?;
    let bucket = Bucket::start(scratch.path()).await?;
    let mut setup = Setup::quick();
    setup.flags = vec!["--media-store".to_owned(), bucket.place().to_owned()];
    setup.environment = bucket.environment();
    let (world, session) = linked_with(backing, setup).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    // Larger than one part of an S3 upload, so it is uploaded in several parts.
    let long: Vec<u8> = PAPER
        .iter()
        .copied()
        .cycle()
        .take(6 * 1024 * 1024)
        .collect();
    let file = uploaded(&world.api, "document", &long).await?;
    let document = json!({ "type": "document", "document": { "media_id": file["id"] } });
    let seen = shown(&world, &session, document).await?;
    assert_eq!(seen["media"]["sha256"], json!(sha256(&long)));
    let path = format!(
        "/v1/media/{}/content",
        file["id"].as_str().context("an id")?
    );
    let part = world
        .api
        .request(Method::GET, &path)
        .header("range", "bytes=5000000-5000999");
    let (status, _, body) = Api::bytes(part).await?;
    assert_eq!(
        (status, body.as_slice()),
        (StatusCode::PARTIAL_CONTENT, &long[5_000_000..5_001_000])
    );
    for (kind, bytes, _) in KINDS {
        let file = uploaded(&world.api, kind, bytes).await?;
        let carried = json!({ "type": kind, kind: { "media_id": file["id"] } });
        let seen = shown(&world, &session, carried).await?;
        assert_eq!(seen["media"]["sha256"], file["sha256"], "{kind}");
        let said = json!({ "message": { "type": kind, "bytes_base64": STANDARD.encode(bytes) } });
        world.simulator.tell(CONTACT, NUMBER, said).await?;
    }
    let here = receiver.wait_for("media.available", KINDS.len()).await?;
    for (kind, bytes, _) in KINDS {
        let media = here.iter().map(|one| &one.body["data"]["media"]);
        let media = media
            .clone()
            .find(|media| media["sha256"] == json!(sha256(bytes)));
        let media = media.with_context(|| format!("{kind} is available"))?;
        let id = media["id"].as_str().context("an id")?;
        let content = world
            .api
            .request(Method::GET, &format!("/v1/media/{id}/content"));
        let (status, _, body) = Api::bytes(content).await?;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, bytes), "{kind}");
    }
    let objects = bucket.objects().await?;
    assert_eq!(objects.len(), 1 + 2 * KINDS.len(), "{objects:?}");
    for object in &objects {
        assert!(object.starts_with("kept/org_"), "{object}");
        assert!(!holds(&bucket.object(object).await?, b"CANARY"), "{object}");
    }
    let path = format!("/v1/media/{}", file["id"].as_str().context("an id")?);
    assert_eq!(
        world.api.delete(&path).await?.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(bucket.objects().await?.len(), 2 * KINDS.len());
    world.finish().await
}

async fn when_the_disk_is_full_texts_go_on_and_files_wait(backing: Backing) -> Result<Finished> {
    let mut setup = Setup::quick();
    // Every disk is fuller than this limit.
    setup.flags = vec!["--media-disk-max".to_owned(), "1".to_owned()];
    let (mut world, session) = linked_with(backing, setup).await?;
    let receiver = world
        .endpoint(&["message.received", "media.available"])
        .await?;
    let full = world.api.upload("document", PAPER.to_vec()).await?;
    assert_eq!((full.status.as_u16(), full.code()), (507, "storage_full"));
    // A message that needs room for its file is refused too, because it would hold up its lane.
    let image = json!({ "type": "image", "image": { "url": "http://127.0.0.1:9/a.jpg" } });
    let body = Api::of_kind(&session, CONTACT, image);
    let full = world.api.post("/v1/messages", &body).await?;
    assert_eq!((full.status.as_u16(), full.code()), (507, "storage_full"));
    let said = json!({ "message": { "type": "document", "bytes_base64": STANDARD.encode(PAPER) } });
    world.simulator.tell(CONTACT, NUMBER, said).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let media = told[0].body["data"]["media"].clone();
    assert_eq!(media["status"], "deferred", "{media}");
    let text = world.api.send(&session, CONTACT, "still here").await?;
    world.api.message_at(&text.id, "sent").await?;
    // When there is room again, the file is fetched.
    world.gateway.stop().await?;
    world.gateway.setup.flags.clear();
    world.gateway.start().await?;
    let here = receiver
        .wait_for_within(Duration::from_secs(90), "media.available", 1)
        .await?;
    assert_eq!(here[0].body["data"]["media"]["id"], media["id"]);
    world.finish().await
}

async fn an_endpoint_may_want_small_files_in_their_events(backing: Backing) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let (plain, inline) = (
        world.endpoint(&["media.available"]).await?,
        Receiver::start().await?,
    );
    let wanted =
        json!({ "url": inline.url(), "events": ["media.available"], "inline_media": true });
    let made: Value = world
        .api
        .post("/v1/webhook-endpoints", &wanted)
        .await?
        .into(201)?;
    assert_eq!(made["inline_media"], true);
    inline.trust(made["secret"].as_str().context("a secret")?);
    let large = 1024 * 1024 + 1;
    for file in [
        json!({ "bytes_base64": STANDARD.encode(PAPER) }),
        json!({ "size": large }),
    ] {
        let mut document = file;
        document["type"] = json!("document");
        let said = json!({ "message": document });
        world.simulator.tell(CONTACT, NUMBER, said).await?;
    }
    for arrival in inline.wait_for("media.available", 2).await? {
        let media = &arrival.body["data"]["media"];
        let small = media["size"] == json!(PAPER.len());
        let expected = small.then(|| STANDARD.encode(PAPER));
        assert_eq!(media["base64"], json!(expected), "{}", media["size"]);
    }
    for arrival in plain.wait_for("media.available", 2).await? {
        assert_eq!(arrival.body["data"]["media"]["base64"], Value::Null);
    }
    assert_eq!(inline.signatures().forged(), Vec::<String>::new());
    world.finish().await
}

/// The points where a process that fetches files is killed. The first two belong to files that travel as
/// tokens, and to files that do not.
pub(crate) const KILLED_AT: [&str; 5] = [
    "media.token.before_commit",
    "media.claim.before_commit",
    "media.fetched",
    "media.before_commit",
    "media.after_commit",
];

async fn a_worker_that_dies_while_it_fetches_is_followed_by_another(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, _) = linked(backing).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let not_here = usize::from(backing == Backing::Cluster);
    let mut points = KILLED_AT.to_vec();
    points.remove(not_here);
    for (n, point) in (1..).zip(points.iter().copied()) {
        world.gateway.stop().await?;
        world.gateway.setup.failpoints = Some(format!("{point}=return"));
        world.gateway.start().await?;
        if backing == Backing::Cluster {
            // Until tokens travel, files are claimed without a token.
            probes::travels(&world.gateway, true).await?;
        }
        let bytes = STANDARD.encode(format!("file {n}"));
        let said = json!({ "message": { "type": "document", "bytes_base64": bytes } });
        world.simulator.tell(CONTACT, NUMBER, said).await?;
        let crash = world
            .gateway
            .crash_and_restart(Duration::from_secs(30))
            .await;
        crash.with_context(|| format!("{point} was never hit"))?;
        receiver
            .wait_for_within(Duration::from_secs(90), "media.available", n)
            .await?;
    }
    let mut told = BTreeSet::new();
    for arrival in receiver.arrivals() {
        let media = &arrival.body["data"]["media"];
        told.insert((media["id"].to_string(), arrival.id.clone()));
        let path = format!(
            "/v1/media/{}/content",
            media["id"].as_str().context("an id")?
        );
        let (status, _, body) = Api::bytes(world.api.request(Method::GET, &path)).await?;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(json!(sha256(&body)), media["sha256"]);
    }
    assert_eq!(
        told.len(),
        points.len(),
        "each file must be reported by one event: {told:?}"
    );
    world.finish().await
}

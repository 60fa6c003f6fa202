//! What a file is: office documents, bytes that could be anything, and what their senders say.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{Api, Backing, Finished, Setup, Shop, World, on_every_shape, shop::Page};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::path::Path;

use super::tools::{Workshop, received, sent};
use crate::media::{CONTACT, linked_with, objects, sha256, shown, uploaded};

on_every_shape!(a_document_has_its_type_in_both_directions);

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const OCTETS: &str = "application/octet-stream";

/// Writes a document with each of the usual libraries.
const WRITE: &str = "
import docx, pptx, openpyxl, xlsxwriter, xlwt, zipfile
from odf.opendocument import OpenDocumentText
docx.Document().save('python.docx')
pptx.Presentation().save('python.pptx')
openpyxl.Workbook().save('openpyxl.xlsx')
book = xlsxwriter.Workbook('xlsxwriter.xlsx'); book.add_worksheet(); book.close()
book = xlwt.Workbook(); book.add_sheet('a'); book.save('old.xls')
OpenDocumentText().save('odf.odt')
# The same document, with its entries the other way round and not compressed.
with zipfile.ZipFile('python.docx') as old, zipfile.ZipFile('turned.docx', 'w') as new:
    for entry in reversed(old.infolist()):
        new.writestr(entry.filename, old.read(entry), zipfile.ZIP_STORED)
with zipfile.ZipFile('python.docx') as old, zipfile.ZipFile('bzip2.docx', 'w') as new:
    for entry in old.infolist():
        new.writestr(entry.filename, old.read(entry), zipfile.ZIP_BZIP2)
with zipfile.ZipFile('book.epub', 'w') as book:
    book.writestr('mimetype', 'application/epub+zip')
    book.writestr('META-INF/container.xml', '<container/>')
with zipfile.ZipFile('plain.zip', 'w') as plain:
    plain.writestr('notes/a.txt', 'a')
";

fn documents() -> Result<Vec<(String, &'static str, Vec<u8>)>> {
    let shop = Workshop::open()?;
    shop.python(WRITE)?;
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/exceljs/make.mjs");
    let beside = beside.to_str().context("a path")?;
    shop.run("node", &[beside, "exceljs.xlsx"])?;
    let made = [
        ("python.docx", DOCX),
        ("turned.docx", DOCX),
        ("bzip2.docx", DOCX),
        ("python.pptx", PPTX),
        ("openpyxl.xlsx", XLSX),
        ("xlsxwriter.xlsx", XLSX),
        ("exceljs.xlsx", XLSX),
        ("old.xls", "application/vnd.ms-excel"),
        ("odf.odt", "application/vnd.oasis.opendocument.text"),
        ("book.epub", "application/epub+zip"),
        ("plain.zip", "application/zip"),
    ];
    let read = |(name, mime_type): (&str, _)| Ok((name.to_owned(), mime_type, shop.read(name)?));
    made.into_iter().map(read).collect()
}

async fn a_document_has_its_type_in_both_directions(backing: Backing) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    // All of them on one shape, a few on the others.
    let step = if backing == Backing::Sqlite { 1 } else { 4 };
    for (n, (name, mime_type, bytes)) in documents()?.into_iter().enumerate().step_by(step) {
        // Nobody says what it is; it goes out unchanged.
        let file = uploaded(&world.api, "document", &bytes).await?;
        assert_eq!(file["mime_type"], mime_type, "{name}");
        assert_eq!(file["sha256"], json!(sha256(&bytes)), "{name}");
        // The phones of some of them are asked, too, because each takes the pace of a lane.
        if n % 4 == 0 {
            let (_, seen) = sent(&world, &session, "document", &bytes).await?;
            assert_eq!(seen["mimetype"], mime_type, "{name}");
            assert_eq!(seen["media"]["sha256"], json!(sha256(&bytes)), "{name}");
        }
        // The sender does not know, or is wrong.
        let said = if n % 2 == 0 { OCTETS } else { "text/html" };
        let media = received(&world, &receiver, "document", &bytes, (said, None)).await?;
        assert_eq!(media["mime_type"], mime_type, "{name}");
    }
    world.finish().await
}

/// Uploads with a query, and returns the answer's type.
async fn typed(world: &World, query: &str, bytes: &[u8]) -> Result<Value> {
    let path = format!("/v1/media/stream?kind=document{query}");
    let upload = world.api.request(Method::POST, &path).body(bytes.to_vec());
    let file: Value = Api::reply(upload).await?.into(201)?;
    Ok(file["mime_type"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_bytes_are_vague_the_sender_or_the_name_says_what_they_are() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Shop::open().await?;
    let receiver = world.endpoint(&["media.available"]).await?;
    let csv = b"order;price\n1042;12,50 CANARY\n";
    let latin = b"order;caf\xe9\n1042;12,50\n";
    let program = std::fs::read("/bin/true")?;
    let executable = uploaded(&world.api, "document", &program).await?;
    let executable = executable["mime_type"].as_str().context("a type")?;
    // In a message: bytes, an address, an upload.
    let kept = uploaded(&world.api, "document", csv).await?;
    assert_eq!(kept["mime_type"], "text/plain");
    let at = shop.put("/export", Page::File("application/json", csv.to_vec()));
    let inline = STANDARD.encode(csv);
    for (source, right) in [
        (
            json!({ "base64": inline, "mime_type": "Text/CSV" }),
            "text/csv",
        ),
        (
            json!({ "base64": inline, "file_name": "a.csv" }),
            "text/csv",
        ),
        (
            json!({ "base64": inline, "mime_type": "image/png" }),
            "text/plain",
        ),
        (
            json!({ "media_id": kept["id"], "mime_type": "text/csv; header=present" }),
            "text/csv; header=present",
        ),
        (json!({ "media_id": kept["id"] }), "text/plain"),
        (json!({ "url": at, "mime_type": "text/csv" }), "text/csv"),
        (json!({ "url": at, "file_name": "a.csv" }), "text/csv"),
        (json!({ "url": at }), "application/json"),
        (
            json!({ "base64": STANDARD.encode(latin), "mime_type": "text/csv" }),
            "text/csv",
        ),
        // Never against what is known.
        (
            json!({ "base64": STANDARD.encode(&program), "mime_type": "image/png" }),
            executable,
        ),
    ] {
        let message = json!({ "type": "document", "document": source });
        let seen = shown(&world, &session, message).await?;
        assert_eq!(seen["mimetype"], right, "{source}");
    }
    // In an upload: a parameter, the form, the name.
    assert_eq!(typed(&world, "&mime_type=text/csv", csv).await?, "text/csv");
    assert_eq!(typed(&world, "&file_name=a.csv", csv).await?, "text/csv");
    assert_eq!(
        typed(&world, "&mime_type=image/png", &program).await?,
        executable
    );
    let form = [
        &b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"export\"\r\n"[..],
        b"Content-Type: text/csv\r\n\r\n",
        csv,
        b"\r\n--edge--\r\n",
    ]
    .concat();
    let upload = world.api.request(Method::POST, "/v1/media?kind=document");
    let upload = upload.header(CONTENT_TYPE, "multipart/form-data; boundary=edge");
    let file: Value = Api::reply(upload.body(form)).await?.into(201)?;
    assert_eq!(file["mime_type"], "text/csv");
    // Inbound: the sender's word, else the name; never against what is known.
    for (bytes, said, name, right) in [
        (&csv[..], "text/csv", None, "text/csv"),
        (csv, OCTETS, Some("export.csv"), "text/csv"),
        (
            b"#!/usr/bin/env python3\nprint(1)\n",
            "text/x-python",
            None,
            "text/x-python",
        ),
        (
            b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "image/svg+xml",
            None,
            "image/svg+xml",
        ),
        (&program, "image/png", Some("a.png"), executable),
        (&latin[..], "image/png", None, OCTETS),
    ] {
        let media = received(&world, &receiver, "document", bytes, (said, name)).await?;
        assert_eq!(media["mime_type"], right, "{said}");
    }
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_media_type_is_checked_and_is_part_of_the_request() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let document = |mime_type: &str| {
        let carried = json!({ "base64": STANDARD.encode("a"), "mime_type": mime_type });
        Api::of_kind(
            &session,
            CONTACT,
            json!({ "type": "document", "document": carried }),
        )
    };
    let long = format!("text/{}", "x".repeat(200));
    for malformed in [
        "csv",
        "text/",
        "text/csv\r\nx: y",
        "a/b/c",
        "*/*",
        "",
        &long,
    ] {
        let refused = world.api.post("/v1/messages", &document(malformed)).await?;
        assert_eq!(refused.code(), "invalid_mime_type", "{}", refused.body);
        assert_eq!(refused.body["errors"][0]["pointer"], "/document/mime_type");
        assert_eq!(refused.status.as_u16(), 422);
    }
    let path = "/v1/media/stream?kind=document&mime_type=csv";
    let refused = Api::reply(world.api.request(Method::POST, path).body("a")).await?;
    assert_eq!(refused.code(), "invalid_mime_type", "{}", refused.body);
    let image = json!({ "type": "image", "image": { "base64": "YQ==", "mime_type": "image/png" } });
    let refused = world
        .api
        .post("/v1/messages", &Api::of_kind(&session, CONTACT, image))
        .await?;
    assert_eq!(refused.code(), "unknown_field", "{}", refused.body);
    assert_eq!(objects(&world).len(), 0);
    // Another type is another request.
    let first = world
        .api
        .send_once("order-1042", &document("text/csv"))
        .await?;
    assert_eq!(first.status.as_u16(), 202, "{}", first.body);
    let again = world
        .api
        .send_once("order-1042", &document("text/csv"))
        .await?;
    assert_eq!(again.body["id"], first.body["id"]);
    let other = world
        .api
        .send_once("order-1042", &document("text/html"))
        .await?;
    assert_eq!(other.code(), "idempotency_key_reused", "{}", other.body);
    world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_what_the_file_is_and_leaves_nothing() -> Result<()> {
    let mut setup = Setup::quick();
    setup.flags = vec!["--ffmpeg".to_owned(), String::new()];
    let (world, session) = linked_with(Backing::Sqlite, setup).await?;
    let shop = Workshop::open()?;
    shop.python(WRITE)?;
    let docx = shop.read("python.docx")?;
    let pictures = "-f lavfi -i testsrc2=size=64x64:rate=5:duration=2";
    let film = shop.ffmpeg(
        "a.mp4",
        &format!("{pictures} -c:v libx264 -pix_fmt yuv420p"),
    )?;
    let webm = shop.ffmpeg("a.webm", &format!("{pictures} -c:v libvpx"))?;
    let song = shop.tone("a.m4a", 2.0, "-c:a aac -movflags +faststart")?;
    let late = shop.tone("late.m4a", 2.0, "-c:a aac")?;
    let wav = shop.tone("a.wav", 2.0, "-c:a pcm_s16le")?;
    let flac = shop.tone("a.flac", 2.0, "-c:a flac")?;
    let mp3 = shop.tone("a.mp3", 2.0, "-c:a libmp3lame")?;
    let opus = shop.tone("a.opus", 2.0, "-c:a libopus")?;
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let (unavailable, other) = ("transcoding_unavailable", "media_type_not_supported");
    let cut = "media_damaged";
    for (kind, bytes, code, found) in [
        ("image", docx.clone(), other, "application/zip"),
        ("audio", docx.clone(), other, DOCX),
        ("voice", docx, other, DOCX),
        ("voice", b"not sound".to_vec(), other, "text/plain"),
        ("audio", film.clone(), other, "video/mp4"),
        ("voice", film.clone(), other, "video/mp4"),
        ("video", song.clone(), other, "audio/mp4"),
        ("video", webm, unavailable, "video/webm"),
        ("audio", wav.clone(), unavailable, "audio/wav"),
        ("audio", half(&song), cut, "audio/mp4"),
        ("voice", half(&song), cut, "audio/mp4"),
        ("voice", half(&late), cut, "audio/mp4"),
        ("voice", half(&wav), cut, "audio/wav"),
        ("voice", half(&flac), cut, "audio/flac"),
        ("voice", half(&mp3), cut, "audio/mpeg"),
        ("audio", half(&mp3), cut, "audio/mpeg"),
        ("voice", half(&opus), cut, "audio/ogg; codecs=opus"),
        ("audio", half(&opus), cut, "audio/ogg; codecs=opus"),
        ("video", half(&film), cut, "video/mp4"),
    ] {
        let refused = world.api.upload(kind, bytes.clone()).await?;
        assert_eq!(refused.code(), code, "{kind} {found}: {}", refused.body);
        assert_eq!(refused.body["detected"], found, "{kind}: {}", refused.body);
        // The same in a message.
        let carried = json!({ "type": kind, kind: { "base64": STANDARD.encode(&bytes) } });
        let body = Api::of_kind(&session, CONTACT, carried);
        let refused = world.api.post("/v1/messages", &body).await?;
        assert_eq!(
            (refused.code(), &refused.body["detected"]),
            (code, &json!(found))
        );
    }
    assert_eq!(objects(&world).len(), 0);
    world.finish().await?;
    Ok(())
}

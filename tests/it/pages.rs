//! The page count of a document: counted for sent documents, taken from the sender for received ones. No
//! document can harm the gateway that counts its pages.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, on_both_stores, on_every_shape};
use serde_json::{Value, json};
use std::fmt::Write as _;

use crate::media::{CONTACT, NUMBER, linked_with, shown, uploaded};

on_every_shape!(a_documents_pages_are_counted_on_the_way_out_and_told_on_the_way_in);

mod stores {
    use super::*;

    on_both_stores!(a_document_that_is_none_or_a_trap_has_no_pages_and_harms_nobody);

    pub(super) use super::a_document_that_is_none_or_a_trap_has_no_pages_and_harms_nobody;
}

/// Builds a PDF of these objects. The first one is its root (ISO 32000-1, 7.5).
fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut text = "%PDF-1.4\n".to_owned();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (n, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", text.len());
        let _ = write!(text, "{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let (at, count) = (text.len(), objects.len() + 1);
    let _ = write!(
        text,
        "{table}trailer\n<< /Size {count} /Root 1 0 R {trailer} >>\nstartxref\n{at}\n%%EOF\n"
    );
    text.into_bytes()
}

fn of_pages(count: usize) -> Vec<String> {
    let kids = (0..count).fold(String::new(), |kids, n| format!("{kids}{} 0 R ", n + 3));
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {count} /Kids [ {kids}] >>"),
    ];
    let page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Resources << >> >>";
    objects.extend(std::iter::repeat_n(page.to_owned(), count));
    objects
}

async fn a_documents_pages_are_counted_on_the_way_out_and_told_on_the_way_in(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    for count in [1, 300] {
        let file = uploaded(&world.api, "document", &pdf(&of_pages(count), "")).await?;
        assert_eq!(file["pages"], json!(count), "{file}");
        let document = json!({ "type": "document", "document": { "media_id": file["id"] } });
        let seen = shown(&world, &session, document).await?;
        assert_eq!(seen["pages"], json!(count), "{seen}");
        let message = world.api.messages("").await?.into_iter().next();
        let message = message.context("a message")?;
        let told = world.api.whole_message(&message.id).await?;
        assert_eq!(told["document"]["pages"], json!(count));
    }
    // For a received document the sender's count is reported, whatever the file has.
    let receiver = world
        .endpoint(&["message.received", "media.available"])
        .await?;
    let said = json!({ "type": "document", "size": 100, "pages": 7 });
    world
        .simulator
        .tell(CONTACT, NUMBER, json!({ "message": said }))
        .await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let message = &told[0].body["data"]["message"];
    assert_eq!(message["document"]["pages"], 7, "{message}");
    let here = receiver.wait_for("media.available", 1).await?;
    assert_eq!(here[0].body["data"]["media"]["pages"], 7);
    let id = message["id"].as_str().context("an id")?;
    assert_eq!(&world.api.whole_message(id).await?, message);
    world.finish().await
}

pub(super) async fn a_document_that_is_none_or_a_trap_has_no_pages_and_harms_nobody(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked_with(backing, Setup::quick()).await?;
    let whole = pdf(&of_pages(9), "");
    let encrypted =
        "/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O (a) /U (b) >> /ID [(c) (c)]";
    let lying = "<< /Type /Pages /Count 90 /Kids [ 3 0 R ] >>".to_owned();
    let mut liar = of_pages(1);
    liar[1] = lying;
    let mut round = of_pages(1);
    "<< /Type /Pages /Count 1 /Kids [ 2 0 R 2 0 R ] >>".clone_into(&mut round[1]);
    // A recursive parser overflows its stack on these, which would kill the process.
    let mut deep = of_pages(1);
    deep[1] = "[".repeat(8 << 20);
    let mut deeper = of_pages(1);
    deeper[1] = "<< /A ".repeat(2 << 20);
    for (what, bytes) in [
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("only a head", b"%PDF-1.7\n".to_vec()),
        ("encrypted", pdf(&of_pages(9), encrypted)),
        ("at odds with itself", pdf(&liar, "")),
        ("round", pdf(&round, "")),
        ("deep", pdf(&deep, "")),
        ("deeper", pdf(&deeper, "")),
    ] {
        let file = uploaded(&world.api, "document", &bytes).await?;
        assert_eq!(file["pages"], Value::Null, "{what}");
        assert_eq!(file["mime_type"], "application/pdf");
        assert_eq!(file["size"], json!(bytes.len()));
    }
    let mut long = whole.clone();
    long.resize(16 << 20, b'%');
    long.extend_from_slice(&whole);
    let file = uploaded(&world.api, "document", &long).await?;
    assert_eq!(file["pages"], Value::Null, "too long to be counted");
    assert_eq!(
        uploaded(&world.api, "document", &whole).await?["pages"],
        json!(9)
    );
    world.finish().await
}

//! A document always has a name, with an extension that fits its type.

use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use passerelle_tests::{Backing, Finished, Setup, Shop, on_every_shape, shop::Page};
use serde_json::{Value, json};

use super::media::{linked_with, shown, uploaded};

on_every_shape!(fidelity_a_document_without_a_name_gets_one);

const PAPER: &[u8] = b"%PDF-1.4\n% an invoice over 20 euros\n";

/// Replaces the date in a name that was made of it.
fn undated(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    let date = name
        .strip_prefix("document-")
        .filter(|rest| rest.starts_with("20"));
    date.map_or_else(
        || name.to_owned(),
        |date| format!("document-DATE{}", &date[10..]),
    )
}

async fn fidelity_a_document_without_a_name_gets_one(backing: Backing) -> Result<Finished> {
    let (world, session) = linked_with(backing, Setup::quick()).await?;
    let shop = Shop::open().await?;
    let said = "attachment; filename=\"R.pdf\"; filename*=UTF-8''Rechnung%20%C3%A4.pdf";
    let paper = || Page::File("text/html", PAPER.to_vec());
    let moved = shop.put("/7f3a", paper());
    let kept = uploaded(&world.api, "document", PAPER).await?;
    let long = format!("{}.pdf", "x".repeat(300));
    let long_kept = format!("{}.pdf", "x".repeat(251));
    for (document, name) in [
        (
            json!({ "url": shop.put("/download", Page::Named(said, PAPER.to_vec())) }),
            "Rechnung ä.pdf",
        ),
        (
            json!({ "url": shop.put("/Invoice%201042.php", paper()) }),
            "Invoice 1042.pdf",
        ),
        (
            json!({ "url": shop.put("/latest", Page::Moved(moved)) }),
            "latest.pdf",
        ),
        (
            json!({ "url": shop.put("/", paper()) }),
            "document-DATE.pdf",
        ),
        (
            json!({ "base64": "data:text/csv;base64,YSxiCjEsMgo=" }),
            "document-DATE.csv",
        ),
        (json!({ "media_id": kept["id"] }), "document-DATE.pdf"),
        (
            json!({ "base64": BASE64_STANDARD.encode(PAPER), "file_name": long }),
            &*long_kept,
        ),
        // The tenant's own name stays as it is.
        (
            json!({ "base64": BASE64_STANDARD.encode(PAPER), "file_name": "Export 1042" }),
            "Export 1042",
        ),
    ] {
        let what = document.to_string();
        let by_url = document.get("url").is_some();
        let message = json!({ "type": "document", "document": document });
        let seen = shown(&world, &session, message).await?;
        assert_eq!(undated(&seen["file_name"]), name, "{what:.200}");
        // The list is newest first.
        let sent = world.api.messages("").await?.into_iter().next();
        let sent = world
            .api
            .whole_message(&sent.context("it is listed")?.id)
            .await?;
        let id = sent["document"]["media_id"].as_str().context("an id")?;
        let file: Value = world.api.get(&format!("/v1/media/{id}")).await?.into(200)?;
        if by_url {
            assert_eq!(undated(&file["file_name"]), name);
        } else {
            assert_eq!(undated(&sent["document"]["file_name"]), name);
        }
    }
    world.finish().await
}

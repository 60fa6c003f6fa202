//! Links in texts, as people write them.

use anyhow::Result;
use passerelle_tests::{Backing, Setup, Shop, shop::Page};
use serde_json::{Value, json};

use crate::media::{linked_with, shown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_shows_the_page_that_was_meant() -> Result<()> {
    let (world, session) = linked_with(Backing::Sqlite, Setup::quick()).await?;
    let shop = Shop::open().await?;
    let page = |title: &str| {
        let html = format!("<!doctype html><title>{title}</title>");
        Page::File("text/html; charset=utf-8", html.into_bytes())
    };
    let plain = shop.put("/orders/1042", page("Order 1042"));
    let marked = shop.put("/orders/_1043_", page("Order 1043"));
    let bracketed = shop.put("/orders/(1044)", page("Order 1044"));
    for (before, link, after, title) in [
        ("see _", &plain, "_ now", "Order 1042"),
        ("*~", &plain, "~*", "Order 1042"),
        ("```", &plain, "```", "Order 1042"),
        ("„", &plain, "“, bitte", "Order 1042"),
        ("« ", &plain, "\u{a0}».", "Order 1042"),
        ("“", &plain, ".”", "Order 1042"),
        ("「", &plain, "」をご覧ください", "Order 1042"),
        ("انظر ", &plain, "، شكرا", "Order 1042"),
        ("请看", &plain, "。", "Order 1042"),
        ("", &plain, "…", "Order 1042"),
        ("", &marked, "", "Order 1043"),
        ("_see ", &marked, "_", "Order 1043"),
        ("(", &bracketed, ")", "Order 1044"),
    ] {
        let body = format!("{before}{link}{after}");
        let text = json!({ "type": "text", "text": { "body": body, "link_preview": true } });
        let seen = shown(&world, &session, text).await?;
        assert_eq!(
            seen["text"],
            json!(body),
            "the text is sent as it was written"
        );
        assert_eq!(
            (&seen["link"], &seen["title"]),
            (&json!(link), &json!(title)),
            "{body}: {seen}"
        );
        assert_ne!(seen["title"], Value::Null);
    }
    world.finish().await?;
    Ok(())
}

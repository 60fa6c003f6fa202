//! Link previews: the text is sent with the page's own description of itself, and no page delays it for
//! long.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, Shop, World, on_both_stores, on_every_shape, shop::Page,
    simulator::Phone, soon, within,
};
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(a_text_goes_out_with_what_its_link_leads_to);

mod stores {
    use super::*;

    on_both_stores!(
        a_page_that_cannot_be_had_leaves_the_text_plain_and_in_time,
        a_page_that_is_quick_costs_no_gap,
        nothing_is_fetched_that_nobody_asked_for_or_may_be_called,
        a_preview_that_comes_in_is_told,
        a_preview_is_fetched_by_whoever_starts_next,
        fidelity_a_page_for_known_agents_has_a_preview_and_the_operator_may_name_another,
    );

    pub(super) use super::{
        a_page_that_cannot_be_had_leaves_the_text_plain_and_in_time,
        a_page_that_is_quick_costs_no_gap, a_preview_is_fetched_by_whoever_starts_next,
        a_preview_that_comes_in_is_told,
        fidelity_a_page_for_known_agents_has_a_preview_and_the_operator_may_name_another,
        nothing_is_fetched_that_nobody_asked_for_or_may_be_called,
    };
}

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const PHOTO: &[u8] = include_bytes!("../assets/photo.jpg");
const HTML: &str = "text/html; charset=utf-8";

async fn linked(backing: Backing) -> Result<(World, String)> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    Ok((world, session))
}

fn html(head: &str) -> Page {
    let page = format!("<!doctype html><html><head>{head}</head><body>CANARY</body></html>");
    Page::File(HTML, page.into_bytes())
}

/// Returns a text message that asks for a preview.
fn asks(body: &str) -> Value {
    json!({ "type": "text", "text": { "body": body, "link_preview": true } })
}

async fn sent(world: &World, session: &str, body: &str) -> Result<String> {
    Ok(world.api.send_kind(session, CONTACT, asks(body)).await?.id)
}

/// Returns what the contact's phone shows of a message.
async fn shown(world: &World, id: &str) -> Result<Value> {
    let message = world.api.message_at(id, "sent").await?;
    soon("the phone shows it", async || {
        let chat = world.simulator.chat(CONTACT, NUMBER).await?;
        let found = chat
            .into_iter()
            .find(|one| one["id"] == json!(message.wa_message_id));
        Ok(found.map(|one| one["message"].clone()))
    })
    .await
}

async fn a_text_goes_out_with_what_its_link_leads_to(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let receiver = world.endpoint(&["message.sent"]).await?;
    let shop = Shop::open().await?;
    shop.put("/photo.jpg", Page::File("image/jpeg", PHOTO.to_vec()));
    let page = shop.put(
        "/orders/1042",
        html(
            "<title>Shop</title><meta property='og:title' content='Order 1042 &amp; more'>\
              <meta property='og:description' content='Ready for\n pick-up'>\
              <meta property='og:image' content='/photo.jpg'>",
        ),
    );
    // The picture's address is relative to the address after the redirect.
    let link = shop.put("/short", Page::Moved(page));
    let body = format!("It is ready: {link}. See you!");
    let id = sent(&world, &session, &body).await?;
    let seen = shown(&world, &id).await?;
    assert_eq!(seen["text"], json!(body));
    assert_eq!(seen["link"], json!(link));
    assert_eq!(seen["title"], "Order 1042 & more");
    assert_eq!(seen["description"], "Ready for pick-up");
    assert!(seen["thumbnail"].as_u64() > Some(100), "{seen}");
    let preview =
        json!({ "url": link, "title": "Order 1042 & more", "description": "Ready for pick-up" });
    let text = json!({ "body": body, "link_preview": preview });
    assert_eq!(world.api.whole_message(&id).await?["text"], text);
    let told = receiver.wait_for("message.sent", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["text"], text);

    // Without Open Graph tags, the page's title is used. A picture that is not one is left out.
    shop.put(
        "/no-photo.jpg",
        Page::File("image/jpeg", b"no picture".to_vec()),
    );
    let plain = shop.put(
        "/plain",
        html("<title>Opening hours</title><meta property='og:image' content='no-photo.jpg'>"),
    );
    let id = sent(&world, &session, &plain).await?;
    let seen = shown(&world, &id).await?;
    assert_eq!(
        (&seen["title"], &seen["thumbnail"]),
        (&json!("Opening hours"), &Value::Null)
    );
    // Nothing of the fetched page is stored unencrypted.
    let dump = world.gateway.database.dump(world.folder()).await?;
    assert!(!dump.windows(13).any(|part| part == b"Opening hours"));
    world.finish().await
}

async fn a_page_that_cannot_be_had_leaves_the_text_plain_and_in_time(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let shop = Shop::open().await?;
    let head = "<title>no</title>".to_owned();
    let huge = format!("{head}{}", "x".repeat(8 * 1024 * 1024));
    let late = format!("{}{head}", "<!-- x -->".repeat(60 * 1024));
    let round = shop.put("/round", Page::Moved("/round".to_owned()));
    let hidden = shop.put("/in", Page::Moved("http://[fd00::1]/secret".to_owned()));
    let plain = [
        shop.put("/404", Page::Status(404)),
        shop.put("/nothing", html("<meta name=robots content=none>")),
        shop.put("/late", Page::File(HTML, late.into_bytes())),
        shop.put(
            "/json",
            Page::File("application/json", head.clone().into_bytes()),
        ),
        shop.put("/broken", Page::Broken(head.into_bytes())),
        round,
        hidden,
        "http://127.0.0.1:1/closed".to_owned(),
    ];
    let mut ids = Vec::new();
    for link in &plain {
        ids.push(sent(&world, &session, link).await?);
    }
    for (id, link) in ids.iter().zip(&plain) {
        let seen = shown(&world, id).await?;
        assert_eq!(
            (&seen["text"], &seen["link"]),
            (&json!(link), &Value::Null),
            "{seen}"
        );
        assert_eq!(
            world.api.whole_message(id).await?["text"],
            json!({ "body": link })
        );
    }
    // Only the beginning of an endless page is read.
    let id = sent(
        &world,
        &session,
        &shop.put("/huge", Page::File(HTML, huge.into_bytes())),
    )
    .await?;
    assert_eq!(shown(&world, &id).await?["title"], "no");
    // Servers that never answer delay each message for a few seconds, and all messages together not
    // longer.
    let silent = [
        shop.put("/silent", Page::Silent),
        shop.put("/trickling", Page::Trickling(vec![b' '; 1000])),
        shop.put(
            "/picture",
            html("<title>Late</title><meta property='og:image' content='/silent'>"),
        ),
    ];
    let mut ids = Vec::new();
    for link in &silent {
        ids.push(sent(&world, &session, link).await?);
    }
    let behind = world.api.send(&session, CONTACT, "behind them").await?.id;
    within(
        Duration::from_secs(12),
        "all messages are sent",
        async || {
            let message = world.api.message(&behind).await?;
            Ok(message.sent_at.map(drop))
        },
    )
    .await?;
    for id in &ids[..2] {
        assert_eq!(shown(&world, id).await?["link"], Value::Null);
    }
    let seen = shown(&world, &ids[2]).await?;
    assert_eq!(
        (&seen["title"], &seen["thumbnail"]),
        (&json!("Late"), &Value::Null)
    );
    world.finish().await
}

async fn a_page_that_is_quick_costs_no_gap(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 20_000,
        gap_ceiling_ms: 21_000,
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let shop = Shop::open().await?;
    let link = shop.put("/page", html("<title>Order</title>"));
    let id = sent(&world, &session, &link).await?;
    within(Duration::from_secs(10), "the message is sent", async || {
        Ok(world.api.message(&id).await?.sent_at.map(drop))
    })
    .await?;
    assert_eq!(shown(&world, &id).await?["title"], "Order");
    world.finish().await
}

async fn nothing_is_fetched_that_nobody_asked_for_or_may_be_called(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    // Tests may call 127.0.0.0/8, but no other internal address.
    let inside = std::net::TcpListener::bind("[::1]:0")?;
    inside.set_nonblocking(true)?;
    let secret = format!("http://{}/secret", inside.local_addr()?);
    let shop = Shop::open().await?;
    let link = shop.put("/page", html("<title>Order</title>"));
    for text in [
        json!({ "body": link }),
        json!({ "body": link, "link_preview": false }),
    ] {
        let message = json!({ "type": "text", "text": text });
        let sent = world.api.send_kind(&session, CONTACT, message).await?;
        assert_eq!(shown(&world, &sent.id).await?["link"], Value::Null);
    }
    assert_eq!(shop.asked("/page"), 0);
    // Internal addresses are not called, and the text is sent without a preview.
    let moved = shop.put("/inside", Page::Moved(secret.clone()));
    for body in [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "no link at all",
        &secret,
        &moved,
    ] {
        let id = sent(&world, &session, body).await?;
        assert_eq!(shown(&world, &id).await?["link"], Value::Null);
    }
    let head = format!("<title>Shown</title><meta property='og:image' content='{secret}'>");
    let id = sent(&world, &session, &shop.put("/pictured", html(&head))).await?;
    let seen = shown(&world, &id).await?;
    assert_eq!(
        (&seen["title"], &seen["thumbnail"]),
        (&json!("Shown"), &Value::Null)
    );
    let called = inside
        .accept()
        .expect_err("nothing may connect to the internal address")
        .kind();
    assert_eq!(
        called,
        std::io::ErrorKind::WouldBlock,
        "the internal address was called"
    );
    let wrong = json!({ "type": "text", "text": { "body": link, "link_preview": "yes" } });
    let body = passerelle_tests::Api::of_kind(&session, CONTACT, wrong);
    let refused = world.api.post("/v1/messages", &body).await?;
    assert_eq!(refused.code(), "validation_failed", "{}", refused.body);
    // An edit removes the preview together with the old text.
    let id = sent(&world, &session, &link).await?;
    assert_eq!(shown(&world, &id).await?["title"], "Order");
    let edit = json!({ "type": "edit", "edit": { "message_id": id, "body": "later" } });
    let edit = world.api.send_kind(&session, CONTACT, edit).await?;
    world.api.message_at(&edit.id, "sent").await?;
    assert_eq!(
        world.api.whole_message(&id).await?["text"],
        json!({ "body": "later" })
    );
    world.finish().await
}

async fn a_preview_that_comes_in_is_told(backing: Backing) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let said = json!({ "type": "text", "text": "see https://a.example", "link": "https://a.example",
        "title": "A shop", "description": "It sells", "thumbnail_base64": "/9j/" });
    world
        .simulator
        .tell(CONTACT, NUMBER, json!({ "message": said }))
        .await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let message = &told[0].body["data"]["message"];
    let preview =
        json!({ "url": "https://a.example", "title": "A shop", "description": "It sells" });
    assert_eq!(
        message["text"],
        json!({ "body": "see https://a.example", "link_preview": preview })
    );
    let id = message["id"].as_str().context("an id")?;
    assert_eq!(world.api.whole_message(id).await?["text"], message["text"]);
    world.finish().await
}

async fn a_preview_is_fetched_by_whoever_starts_next(backing: Backing) -> Result<Finished> {
    let (mut world, session) = linked(backing).await?;
    let shop = Shop::open().await?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let link = shop.put("/page", Page::Silent);
    let id = sent(&world, &session, &link).await?;
    soon("the page is being fetched", async || {
        Ok((shop.asked("/page") == 1).then_some(()))
    })
    .await?;
    world.gateway.kill_and_restart().await?;
    shop.put("/page", html("<title>Order</title>"));
    // The claim of the killed process must expire first.
    within(
        Duration::from_secs(30),
        "the message is sent with its preview",
        async || {
            let text = world.api.whole_message(&id).await?["text"].clone();
            Ok((text["link_preview"]["title"] == "Order").then_some(()))
        },
    )
    .await?;
    world.api.connect(&session).await?;
    assert_eq!(shown(&world, &id).await?["title"], "Order");
    world.finish().await
}

async fn fidelity_a_page_for_known_agents_has_a_preview_and_the_operator_may_name_another(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, session) = linked(backing).await?;
    let shop = Shop::open().await?;
    for (agent, path) in [("WhatsApp/2", "/known"), ("acme-bot/", "/named")] {
        let page = html("<title>Order 1042</title>");
        shop.put(path, Page::For(agent, Box::new(page)));
    }
    let unknown = shop.put(
        "/unknown",
        Page::For("Mozilla", Box::new(html("<title>No</title>"))),
    );
    let base = unknown.trim_end_matches("/unknown").to_owned();
    let id = sent(&world, &session, &format!("{base}/known")).await?;
    assert_eq!(shown(&world, &id).await?["title"], "Order 1042");
    let id = sent(&world, &session, &format!("{base}/unknown")).await?;
    assert_eq!(shown(&world, &id).await?["title"], Value::Null);
    let flags = ["--preview-user-agent".to_owned(), "acme-bot/1".to_owned()];
    world.gateway.setup.flags.extend(flags);
    world.gateway.stop().await?;
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    let id = sent(&world, &session, &format!("{base}/named")).await?;
    assert_eq!(shown(&world, &id).await?["title"], "Order 1042");
    world.finish().await
}

//! The kinds: each message as a client writes it, and what is said of it. The numbers of the fields are in
//! WhatsApp's `whatsapp.proto`.

use passerelle_tests::protobuf::Proto;
use serde_json::{Value, json};

/// A kind: its name, the message, its type, its content, and what is beside the content.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) message: Proto,
    pub(super) kind: &'static str,
    pub(super) content: Value,
    pub(super) beside: Value,
}

fn row(name: &'static str, message: Proto, kind: &'static str, content: Value) -> Row {
    let beside = json!({});
    Row {
        name,
        message,
        kind,
        content,
        beside,
    }
}

pub(super) fn p() -> Proto {
    Proto::new()
}

/// `ContextInfo` with an advertisement (`externalAdReply`).
fn ad() -> Proto {
    let ad = p()
        .text(1, "New bikes")
        .text(2, "Come and see")
        .number(3, 1)
        .text(5, "https://ads.example/film")
        .bytes(6, &[1; 50])
        .text(7, "ad")
        .text(8, "1202")
        .text(9, "https://fb.example/ad")
        .text(13, "ARAkLkA8");
    p().message(28, ad)
}

fn referral() -> Value {
    json!({
        "source_type": "ad", "source_id": "1202", "source_url": "https://fb.example/ad",
        "headline": "New bikes", "body": "Come and see", "media_type": "image",
        "media_url": "https://ads.example/film", "ctwa_clid": "ARAkLkA8",
    })
}

/// A file that cannot be fetched, because nothing says where it is.
pub(super) fn image(caption: &str) -> Proto {
    p().text(2, "image/jpeg").text(3, caption)
}

fn poll() -> Proto {
    p().text(2, "When?")
        .message(3, p().text(1, "a"))
        .message(3, p().text(1, "b"))
        .number(4, 1)
}

fn texts() -> Vec<Row> {
    let extended = |text: Proto| p().message(6, text);
    vec![
        Row {
            beside: json!({ "referral": referral() }),
            ..row(
                "an ad without words",
                extended(p().message(17, ad())),
                "text",
                json!({ "body": "" }),
            )
        },
        Row {
            beside: json!({ "referral": referral() }),
            ..row(
                "an ad with words",
                extended(p().text(1, "Is it there?").message(17, ad())),
                "text",
                json!({ "body": "Is it there?" }),
            )
        },
        Row {
            beside: json!({ "via": ["ephemeralMessage", "groupMentionedMessage", "viewOnceMessageV2"] }),
            ..row(
                "wrappers",
                p().message(
                    40,
                    p().message(
                        1,
                        p().message(
                            62,
                            p().message(1, p().message(55, p().message(1, p().text(1, "inside")))),
                        ),
                    ),
                ),
                "text",
                json!({ "body": "inside" }),
            )
        },
        row(
            "a template",
            p().message(
                25,
                p().message(
                    2,
                    p().text(2, "Order 1042")
                        .text(6, "It is here.")
                        .message(8, p().message(1, p().text(1, "Thanks")))
                        .message(
                            8,
                            p().message(2, p().text(1, "Track").text(2, "https://a.example")),
                        ),
                ),
            ),
            "text",
            json!({ "body": "Order 1042\nIt is here.\n- Thanks\n- Track: https://a.example" }),
        ),
        row(
            "an interactive message",
            p().message(
                45,
                p().message(2, p().text(1, "Choose")).message(
                    6,
                    p().message(
                        1,
                        p().text(1, "quick_reply")
                            .text(2, r#"{"display_text":"Yes"}"#),
                    ),
                ),
            ),
            "text",
            json!({ "body": "Choose\n- Yes" }),
        ),
        row(
            "a list",
            p().message(
                36,
                p().text(1, "Times")
                    .text(3, "Show")
                    .message(5, p().message(2, p().text(1, "9:00"))),
            ),
            "text",
            json!({ "body": "Times\nShow\n- 9:00" }),
        ),
        row(
            "buttons",
            p().message(
                42,
                p().text(6, "Right?")
                    .message(9, p().text(1, "1").message(2, p().text(1, "Yes"))),
            ),
            "text",
            json!({ "body": "Right?\n- Yes" }),
        ),
    ]
}

fn answers() -> Vec<Row> {
    let flow = |name: &str, params: &str| {
        let answer = p().text(1, name).text(2, params);
        p().message(48, p().message(1, p().text(1, "Post")).message(2, answer))
    };
    vec![
        row(
            "a button",
            p().message(43, p().text(1, "yes").text(2, "Yes")),
            "button_reply",
            json!({ "id": "yes", "title": "Yes" }),
        ),
        row(
            "a template's button",
            p().message(29, p().text(1, "t1").text(2, "Confirm")),
            "button_reply",
            json!({ "id": "t1", "title": "Confirm" }),
        ),
        row(
            "a row of a list",
            p().message(
                39,
                p().text(1, "Monday")
                    .message(3, p().text(1, "r1"))
                    .text(5, "9 to 12"),
            ),
            "list_reply",
            json!({ "id": "r1", "title": "Monday", "description": "9 to 12" }),
        ),
        row(
            "a button of a native flow",
            flow("quick_reply", r#"{"id":"q1"}"#),
            "button_reply",
            json!({ "id": "q1", "title": "Post" }),
        ),
        row(
            "a row of a native flow",
            flow("single_select", r#"{"id":"s1"}"#),
            "list_reply",
            json!({ "id": "s1", "title": "Post" }),
        ),
        row(
            "an order",
            p().message(
                38,
                p().text(1, "1042")
                    .number(3, 2)
                    .text(6, "By Friday")
                    .text(7, "Acme")
                    .number(10, 12_500)
                    .text(11, "EUR"),
            ),
            "order",
            json!({ "order_id": "1042", "title": "Acme", "text": "By Friday", "item_count": 2,
                "total_amount_1000": 12_500, "currency": "EUR" }),
        ),
        row(
            "a product",
            p().message(
                30,
                p().message(
                    1,
                    p().text(2, "77")
                        .text(3, "Lamp")
                        .text(5, "EUR")
                        .number(6, 9990)
                        .text(7, "SKU"),
                )
                .text(5, "In stock?"),
            ),
            "product",
            json!({ "product_id": "77", "retailer_id": "SKU", "title": "Lamp", "text": "In stock?",
                "price_amount_1000": 9990, "currency": "EUR" }),
        ),
    ]
}

fn others() -> Vec<Row> {
    let asked = json!({ "question": "When?", "options": ["a", "b"], "selectable_count": 1 });
    let mut rows: Vec<Row> = [49, 60, 64, 111, 119]
        .map(|version| {
            row(
                "a poll",
                p().message(version, poll()),
                "poll",
                asked.clone(),
            )
        })
        .into();
    rows.extend([
        row(
            "a poll of version 4",
            p().message(93, p().message(1, p().message(49, poll()))),
            "poll",
            asked,
        ),
        row(
            "a live location",
            p().message(18, p().double(1, 1.5).double(2, 2.25).text(6, "on my way").number(7, 3)),
            "location",
            json!({ "latitude": 1.5, "longitude": 2.25, "caption": "on my way", "live": true, "sequence": 3 }),
        ),
        row(
            "an album",
            p().message(83, p().number(2, 2).number(3, 1)),
            "album",
            json!({ "images": 2, "videos": 1 }),
        ),
        Row {
            beside: json!({ "album_id": "3A01", "album_position": 1, "via": ["associatedChildMessage"] }),
            ..row(
                "an image of an album",
                p().message(91, p().message(1, p().message(3, image("second")))).message(
                    35,
                    p().message(10, p().number(1, 1).message(2, p().text(3, "3A01")).number(3, 1)),
                ),
                "image",
                json!({ "caption": "second", "mime_type": "image/jpeg" }),
            )
        },
        row(
            "a GIF",
            p().message(9, p().text(2, "video/mp4").number(8, 1)),
            "video",
            json!({ "mime_type": "video/mp4", "gif": true }),
        ),
        Row {
            beside: json!({ "via": ["lottieStickerMessage"] }),
            ..row(
                "a lottie sticker",
                p().message(74, p().message(1, p().message(26, p().text(5, "application/was")))),
                "sticker",
                json!({ "mime_type": "application/was" }),
            )
        },
        row(
            "an event",
            p().message(75, p().text(3, "Opening")),
            "unsupported",
            json!({ "kind": "eventMessage", "text": "Opening" }),
        ),
    ]);
    rows
}

pub(super) fn rows() -> Vec<Row> {
    let all = [texts(), answers(), others()];
    all.into_iter().flatten().collect()
}

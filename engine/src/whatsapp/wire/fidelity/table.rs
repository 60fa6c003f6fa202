//! One row for each kind: the message as a client writes it, and everything that is read of it.

use serde_json::{Value, json};
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, HydratedTemplateButton, Message,
        context_info::{
            AdReplyInfo, ExternalAdReplyInfo, ad_reply_info, external_ad_reply_info::MediaType,
        },
        hydrated_template_button::{
            HydratedButton, HydratedCallButton, HydratedQuickReplyButton, HydratedURLButton,
        },
        message::{
            AlbumMessage, ButtonsMessage, ButtonsResponseMessage, EventMessage,
            ExtendedTextMessage, FutureProofMessage, GroupInviteMessage, ImageMessage,
            InteractiveMessage, InteractiveResponseMessage, ListMessage, ListResponseMessage,
            LiveLocationMessage, OrderMessage, PollCreationMessage, ProductMessage, StickerMessage,
            TemplateButtonReplyMessage, TemplateMessage, VideoMessage, buttons_message,
            buttons_response_message::Response,
            interactive_message, interactive_response_message, list_message, list_response_message,
            order_message::OrderStatus,
            poll_creation_message, product_message,
            template_message::{self, HydratedFourRowTemplate},
        },
    },
};

use super::{json, read};

#[expect(
    clippy::unnecessary_wraps,
    reason = "every text of the schema may be absent"
)]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Asserts that the message reads as this content. The id of a file is left out.
fn reads_as(message: &Message, expected: &Value) {
    let mut shown = json(&read(message).unwrap().content);
    shown.as_object_mut().unwrap().remove("media_id");
    assert_eq!(&shown, expected);
}

macro_rules! message {
    ($field:ident: $value:expr) => {
        Message {
            $field: MessageField::some($value),
            ..Default::default()
        }
    };
}

fn ad() -> ContextInfo {
    ContextInfo {
        external_ad_reply: MessageField::some(ExternalAdReplyInfo {
            title: text("New bikes"),
            body: text("Come and see"),
            media_type: Some(MediaType::VIDEO),
            thumbnail_url: text("https://ads.example/small.jpg"),
            media_url: text("https://ads.example/film"),
            thumbnail: Some(vec![1; 100]),
            source_type: text("ad"),
            source_id: text("120212345"),
            source_url: text("https://fb.example/ad"),
            source_app: text("facebook"),
            ctwa_clid: text("ARAkLkA8"),
            r#ref: text("spring"),
            greeting_message_body: text("How can we help?"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn a_first_message_after_an_ad_is_told_with_the_ad_and_without_words_too() {
    let expected = json!({
        "source_type": "ad", "source_id": "120212345", "source_url": "https://fb.example/ad",
        "source_app": "facebook", "headline": "New bikes", "body": "Come and see",
        "media_type": "video", "media_url": "https://ads.example/film",
        "thumbnail_url": "https://ads.example/small.jpg", "ctwa_clid": "ARAkLkA8", "ref": "spring",
        "greeting": "How can we help?",
    });
    for said in [None, text(""), text("Is it still there?")] {
        let message = message!(extended_text_message: ExtendedTextMessage {
            text: said.clone(),
            context_info: ad().into(),
            ..Default::default()
        });
        let read = read(&message).unwrap();
        let body = said.unwrap_or_default();
        assert_eq!(json(&read.content), json!({ "type": "text", "body": body }));
        let referral = serde_json::to_value(read.context.referral.unwrap()).unwrap();
        assert_eq!(referral, expected);
    }
    let pictured =
        message!(image_message: ImageMessage { context_info: ad().into(), ..Default::default() });
    assert!(read(&pictured).unwrap().context.referral.is_some());
}

/// An old client names the advertiser and what the ad says, and nothing that identifies the ad.
#[test]
fn an_ad_of_an_old_client_is_told_as_well() {
    let quoted = ContextInfo {
        quoted_ad: MessageField::some(AdReplyInfo {
            advertiser_name: text("Bikes & Co"),
            caption: text("New bikes"),
            media_type: Some(ad_reply_info::MediaType::IMAGE),
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = message!(extended_text_message: ExtendedTextMessage {
        context_info: quoted.into(),
        ..Default::default()
    });
    let read = read(&message).unwrap();
    let referral = serde_json::to_value(read.context.referral.unwrap()).unwrap();
    let expected = json!({ "headline": "Bikes & Co", "body": "New bikes", "media_type": "image" });
    assert_eq!(referral, expected);
}

#[test]
fn taps_are_typed() {
    let button = message!(buttons_response_message: ButtonsResponseMessage {
        selected_button_id: text("yes-1"),
        response: Some(Response::SelectedDisplayText("Yes".into())),
        context_info: ContextInfo { stanza_id: text("3EB0"), ..Default::default() }.into(),
        ..Default::default()
    });
    reads_as(
        &button,
        &json!({ "type": "button_reply", "id": "yes-1", "title": "Yes" }),
    );
    let answered = read(&button).unwrap().context.reply_to.unwrap();
    assert_eq!(answered.target.wa_message_id, "3EB0");
    let template = message!(template_button_reply_message: TemplateButtonReplyMessage {
        selected_id: text("t-1"),
        selected_display_text: text("Confirm"),
        ..Default::default()
    });
    reads_as(
        &template,
        &json!({ "type": "button_reply", "id": "t-1", "title": "Confirm" }),
    );
    let row = message!(list_response_message: ListResponseMessage {
        title: text("Monday"),
        description: text("9 to 12"),
        single_select_reply: MessageField::some(list_response_message::SingleSelectReply {
            selected_row_id: text("row-1"),
        }),
        ..Default::default()
    });
    let expected =
        json!({ "type": "list_reply", "id": "row-1", "title": "Monday", "description": "9 to 12" });
    reads_as(&row, &expected);
    let nameless = message!(buttons_response_message: ButtonsResponseMessage {
        selected_button_id: text("yes-1"),
        ..Default::default()
    });
    reads_as(
        &nameless,
        &json!({ "type": "button_reply", "id": "yes-1", "title": "yes-1" }),
    );
}

fn flow(name: &str, params: &str, body: Option<&str>) -> Message {
    message!(interactive_response_message: InteractiveResponseMessage {
        body: body.map(|body| interactive_response_message::Body {
            text: text(body),
            ..Default::default()
        }).into(),
        interactive_response_message: Some(
            interactive_response_message::NativeFlowResponseMessage {
                name: text(name),
                params_json: text(params),
                ..Default::default()
            }
            .into(),
        ),
        ..Default::default()
    })
}

#[test]
fn answers_to_native_flows_are_typed() {
    let quick = flow(
        "quick_reply",
        r#"{"id":"q-1","display_text":"Later"}"#,
        None,
    );
    reads_as(
        &quick,
        &json!({ "type": "button_reply", "id": "q-1", "title": "Later" }),
    );
    let row = flow(
        "single_select",
        r#"{"id":"r-1","description":"by post"}"#,
        Some("Post"),
    );
    let expected =
        json!({ "type": "list_reply", "id": "r-1", "title": "Post", "description": "by post" });
    reads_as(&row, &expected);
    let form = flow("flow", r#"{"name":"Ada","seats":2}"#, Some("Sent"));
    let params = json!({ "name": "Ada", "seats": 2 });
    reads_as(
        &form,
        &json!({ "type": "button_reply", "title": "Sent", "params": params }),
    );
    let odd = flow("quick_reply", "no json", None);
    let expected = json!({ "type": "unsupported", "kind": "interactiveResponseMessage" });
    reads_as(&odd, &expected);
}

fn button(button: impl Into<HydratedButton>) -> HydratedTemplateButton {
    HydratedTemplateButton {
        index: Some(0),
        hydrated_button: Some(button.into()),
    }
}

fn template(title: Option<template_message::hydrated_four_row_template::Title>) -> Message {
    let rows = HydratedFourRowTemplate {
        title,
        hydrated_content_text: text("Your parcel is here."),
        hydrated_footer_text: text("Acme"),
        hydrated_buttons: vec![
            button(HydratedQuickReplyButton {
                display_text: text("Thanks"),
                id: text("1"),
            }),
            button(HydratedURLButton {
                display_text: text("Track"),
                url: text("https://acme.example/1"),
                ..Default::default()
            }),
            button(HydratedCallButton {
                display_text: text("Call"),
                phone_number: text("+491"),
            }),
        ],
        ..Default::default()
    };
    message!(template_message: TemplateMessage { format: Some(rows.into()), ..Default::default() })
}

const PARCEL: &str =
    "Your parcel is here.\nAcme\n- Thanks\n- Track: https://acme.example/1\n- Call: +491";

#[test]
fn templates_are_readable_and_keep_their_file() {
    use template_message::hydrated_four_row_template::Title;
    let title = Title::HydratedTitleText("Order 1042".into());
    let body = format!("Order 1042\n{PARCEL}");
    reads_as(
        &template(Some(title)),
        &json!({ "type": "text", "body": body }),
    );
    let image = ImageMessage {
        mimetype: text("image/jpeg"),
        ..Default::default()
    };
    let pictured = template(Some(Title::ImageMessage(Box::new(image))));
    let expected = json!({ "type": "image", "caption": PARCEL, "mime_type": "image/jpeg" });
    reads_as(&pictured, &expected);
}

#[test]
fn buttons_and_lists_are_readable() {
    let buttons = message!(buttons_message: ButtonsMessage {
        header: Some(buttons_message::Header::Text("Hello".into())),
        content_text: text("Is the time right?"),
        footer_text: text("Acme"),
        buttons: vec![buttons_message::Button {
            button_id: text("1"),
            button_text: MessageField::some(buttons_message::button::ButtonText {
                display_text: text("Yes"),
            }),
            ..Default::default()
        }],
        ..Default::default()
    });
    let body = "Hello\nIs the time right?\nAcme\n- Yes";
    reads_as(&buttons, &json!({ "type": "text", "body": body }));
    let list = message!(list_message: ListMessage {
        title: text("Times"),
        description: text("Choose one"),
        button_text: text("Show"),
        sections: vec![list_message::Section {
            title: text("Monday"),
            rows: vec![list_message::Row {
                title: text("9:00"),
                description: text("Ada"),
                row_id: text("r1"),
            }],
        }],
        ..Default::default()
    });
    let body = "Times\nChoose one\nShow\nMonday\n- 9:00: Ada";
    reads_as(&list, &json!({ "type": "text", "body": body }));
}

fn card(title: &str, buttons: &[(&str, &str)]) -> InteractiveMessage {
    let button = |(name, params): &(&str, &str)| {
        interactive_message::native_flow_message::NativeFlowButton {
            name: text(name),
            button_params_json: text(params),
        }
    };
    let flow = interactive_message::NativeFlowMessage {
        buttons: buttons.iter().map(button).collect(),
        ..Default::default()
    };
    InteractiveMessage {
        header: MessageField::some(interactive_message::Header {
            title: text(title),
            ..Default::default()
        }),
        body: MessageField::some(interactive_message::Body { text: text("Look") }),
        interactive_message: Some(flow.into()),
        ..Default::default()
    }
}

#[test]
fn interactive_messages_and_carousels_are_readable() {
    let link = (
        "cta_url",
        r#"{"display_text":"Shop","url":"https://a.example"}"#,
    );
    let list = (
        "single_select",
        r#"{"title":"Menu","sections":[{"title":"Hot","rows":[{"title":"Soup","description":"4 EUR","id":"s"}]}]}"#,
    );
    let one = card("Acme", &[link, list]);
    let body = "Acme\nLook\n- Shop: https://a.example\n- Menu\nHot\n- Soup: 4 EUR";
    let message = message!(interactive_message: one);
    reads_as(&message, &json!({ "type": "text", "body": body }));
    let carousel = interactive_message::CarouselMessage {
        cards: vec![card("First", &[link]), card("Second", &[])],
        ..Default::default()
    };
    let message = message!(interactive_message: InteractiveMessage {
        interactive_message: Some(carousel.into()),
        ..Default::default()
    });
    let body = "First\nLook\n- Shop: https://a.example\nSecond\nLook";
    reads_as(&message, &json!({ "type": "text", "body": body }));
}

#[test]
fn orders_and_products_keep_their_ids_and_words() {
    let order = message!(order_message: OrderMessage {
        order_id: text("1042"),
        order_title: text("Acme"),
        message: text("By Friday, please"),
        item_count: Some(2),
        status: Some(OrderStatus::INQUIRY),
        total_amount1000: Some(12_500),
        total_currency_code: text("EUR"),
        token: text("secret"),
        ..Default::default()
    });
    let expected = json!({
        "type": "order", "order_id": "1042", "title": "Acme", "text": "By Friday, please", "item_count": 2,
        "status": "inquiry", "total_amount_1000": 12_500, "currency": "EUR",
    });
    reads_as(&order, &expected);
    let product = message!(product_message: ProductMessage {
        product: MessageField::some(product_message::ProductSnapshot {
            product_id: text("77"),
            retailer_id: text("SKU-7"),
            title: text("Lamp"),
            description: text("Warm light"),
            currency_code: text("EUR"),
            price_amount1000: Some(9_990),
            url: text("https://a.example/lamp"),
            ..Default::default()
        }),
        body: text("Is it in stock?"),
        ..Default::default()
    });
    let expected = json!({
        "type": "product", "product_id": "77", "retailer_id": "SKU-7", "title": "Lamp",
        "description": "Warm light", "text": "Is it in stock?", "price_amount_1000": 9_990,
        "currency": "EUR", "url": "https://a.example/lamp",
    });
    reads_as(&product, &expected);
}

#[test]
fn a_live_location_has_its_number() {
    let place = message!(live_location_message: LiveLocationMessage {
        degrees_latitude: Some(1.5),
        degrees_longitude: Some(2.25),
        accuracy_in_meters: Some(12),
        caption: text("on my way"),
        sequence_number: Some(1_700_000_000_001),
        ..Default::default()
    });
    let expected = json!({
        "type": "location", "latitude": 1.5, "longitude": 2.25, "caption": "on my way", "live": true,
        "sequence": 1_700_000_000_001_i64, "accuracy": 12,
    });
    reads_as(&place, &expected);
}

#[test]
fn every_version_of_a_poll_is_read() {
    let poll = PollCreationMessage {
        name: text("When?"),
        options: ["a", "b"]
            .map(|name| poll_creation_message::Option {
                option_name: text(name),
                option_hash: None,
            })
            .into(),
        selectable_options_count: Some(1),
        ..Default::default()
    };
    let versions = [
        message!(poll_creation_message: poll.clone()),
        message!(poll_creation_message_v2: poll.clone()),
        message!(poll_creation_message_v3: poll.clone()),
        message!(poll_creation_message_v4: FutureProofMessage {
            message: MessageField::some(message!(poll_creation_message: poll.clone())),
        }),
        message!(poll_creation_message_v5: poll.clone()),
        message!(poll_creation_message_v6: poll),
    ];
    let expected = json!({
        "type": "poll", "question": "When?", "options": ["a", "b"], "selectable_count": 1,
    });
    for message in versions {
        reads_as(&message, &expected);
    }
}

#[test]
fn a_lottie_sticker_and_a_gif_are_files() {
    let sticker = message!(sticker_message: StickerMessage {
        direct_path: text("/v/t62.15575-24/1_n.enc?ccb=1"),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(900),
        mimetype: text("application/was"),
        is_lottie: Some(true),
        ..Default::default()
    });
    let lottie = message!(lottie_sticker_message: FutureProofMessage {
        message: MessageField::some(sticker),
    });
    let read_back = read(&lottie).unwrap();
    assert!(read_back.remote.is_some());
    assert_eq!(read_back.context.via, ["lottieStickerMessage"]);
    let expected = json!({
        "type": "sticker", "mime_type": "application/was", "size": 900, "sha256": "02".repeat(32),
    });
    reads_as(&lottie, &expected);
    let gif =
        message!(video_message: VideoMessage { gif_playback: Some(true), ..Default::default() });
    reads_as(&gif, &json!({ "type": "video", "gif": true }));
}

#[test]
fn an_album_says_how_much_follows() {
    let album = message!(album_message: AlbumMessage {
        expected_image_count: Some(3),
        expected_video_count: Some(1),
        ..Default::default()
    });
    reads_as(
        &album,
        &json!({ "type": "album", "images": 3, "videos": 1 }),
    );
}

#[test]
fn what_has_no_type_of_its_own_comes_with_its_words() {
    let event = message!(event_message: EventMessage {
        name: text("Opening"),
        description: text("with cake"),
        ..Default::default()
    });
    let expected =
        json!({ "type": "unsupported", "kind": "eventMessage", "text": "Opening\nwith cake" });
    reads_as(&event, &expected);
    let invite = message!(group_invite_message: GroupInviteMessage {
        group_name: text("Team"),
        caption: text("Join us"),
        ..Default::default()
    });
    let expected =
        json!({ "type": "unsupported", "kind": "groupInviteMessage", "text": "Team\nJoin us" });
    reads_as(&invite, &expected);
}

//! Wrappers in every order.

use proptest::prelude::*;
use wacore::proto_helpers::MessageBuilderExt as _;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        Message, MessageAssociation, MessageContextInfo, MessageKey, message::ImageMessage,
        message_association::AssociationType,
    },
};

use super::{field, of_bytes, read};
use crate::content::Content;

/// Every wrapper of the schema: its field, the field of the message in it, and its name.
const WRAPPERS: [(u32, u32, &str); 29] = [
    (31, 2, "deviceSentMessage"),
    (37, 1, "viewOnceMessage"),
    (40, 1, "ephemeralMessage"),
    (53, 1, "documentWithCaptionMessage"),
    (55, 1, "viewOnceMessageV2"),
    (58, 1, "editedMessage"),
    (59, 1, "viewOnceMessageV2Extension"),
    (62, 1, "groupMentionedMessage"),
    (67, 1, "botInvokeMessage"),
    (74, 1, "lottieStickerMessage"),
    (77, 1, "commentMessage"),
    (85, 1, "eventCoverImage"),
    (87, 1, "statusMentionMessage"),
    (90, 1, "pollCreationOptionImageMessage"),
    (91, 1, "associatedChildMessage"),
    (92, 1, "groupStatusMentionMessage"),
    (93, 1, "pollCreationMessageV4"),
    (95, 1, "statusAddYours"),
    (96, 1, "groupStatusMessage"),
    (99, 1, "limitSharingMessage"),
    (100, 1, "botTaskMessage"),
    (101, 1, "questionMessage"),
    (103, 1, "groupStatusMessageV2"),
    (104, 1, "botForwardedMessage"),
    (106, 1, "questionReplyMessage"),
    (116, 1, "newsletterAdminProfileMessage"),
    (117, 1, "newsletterAdminProfileMessageV2"),
    (118, 1, "spoilerMessage"),
    (126, 1, "newsletterAdminProfileStatusMessage"),
];

/// Puts the message in these wrappers, the first one outermost.
fn wrapped(mut inner: Vec<u8>, wrappers: &[(u32, u32, &str)]) -> Vec<u8> {
    for (outer, within, _) in wrappers.iter().rev() {
        inner = field(*outer, &field(*within, &inner));
    }
    inner
}

fn some(
    sizes: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<(u32, u32, &'static str)>> {
    prop::collection::vec(prop::sample::select(WRAPPERS.to_vec()), sizes)
}

/// What is not read, by its name.
fn told(kind: String) -> Content {
    Content::Unsupported { kind, text: None }
}

proptest! {
    #[test]
    fn wrappers_are_removed_in_any_order_and_each_is_named(wrappers in some(0..=8)) {
        let text = waproto::codec::message_to_vec(&Message::text("inside"));
        let read = of_bytes(&wrapped(text, &wrappers)).unwrap();
        prop_assert!(read.content == Content::text("inside"));
        let names: Vec<_> = wrappers.iter().map(|(_, _, name)| *name).collect();
        prop_assert_eq!(read.context.via, names);
    }

    #[test]
    fn what_is_in_more_than_eight_wrappers_is_told_and_not_read(wrappers in some(9..=12)) {
        let text = waproto::codec::message_to_vec(&Message::text("inside"));
        let read = of_bytes(&wrapped(text, &wrappers)).unwrap();
        let ninth = wrappers[8].2.to_owned();
        prop_assert!(read.content == told(ninth));
        prop_assert_eq!(read.context.via.len(), 8);
    }

    #[test]
    fn a_wrapper_with_nothing_in_it_is_told(wrappers in some(1..=8)) {
        let kind = wrappers.last().unwrap().2.to_owned();
        let read = of_bytes(&wrapped(Vec::new(), &wrappers)).unwrap();
        prop_assert!(read.content == told(kind));
    }
}

#[test]
fn an_album_s_image_in_wrappers_names_the_album_and_its_place() {
    let association = |kind| MessageAssociation {
        association_type: Some(kind),
        parent_message_key: MessageField::some(MessageKey {
            id: Some("3A0123".into()),
            ..Default::default()
        }),
        message_index: Some(2),
    };
    let info = |kind| MessageContextInfo {
        message_association: MessageField::some(association(kind)),
        ..Default::default()
    };
    let image = |info: Option<MessageContextInfo>| Message {
        image_message: MessageField::some(ImageMessage {
            caption: Some("third".into()),
            ..Default::default()
        }),
        message_context_info: info.into(),
        ..Default::default()
    };
    // The relation is beside the image, or beside the wrapper.
    let inside = image(Some(info(AssociationType::MEDIA_ALBUM)));
    let child = wrapped(
        waproto::codec::message_to_vec(&inside),
        &[
            (40, 1, "ephemeralMessage"),
            (91, 1, "associatedChildMessage"),
        ],
    );
    let mut beside = wrapped(
        waproto::codec::message_to_vec(&image(None)),
        &[(91, 1, "associatedChildMessage")],
    );
    let around = Message {
        message_context_info: info(AssociationType::MEDIA_ALBUM).into(),
        ..Default::default()
    };
    beside.extend(waproto::codec::message_to_vec(&around));
    for bytes in [child, beside] {
        let read = of_bytes(&bytes).unwrap();
        let part_of = read.context.part_of.unwrap();
        assert!(part_of.is_album());
        assert_eq!(part_of.wa_message_id, "3A0123");
        assert_eq!(part_of.position, Some(2));
        assert_eq!(read.content.kind(), "image");
    }
    let hd = image(Some(info(AssociationType::HD_IMAGE_DUAL_UPLOAD)));
    let part_of = read(&hd).unwrap().context.part_of.unwrap();
    assert_eq!(part_of.kind, "hd_image_dual_upload");
    assert!(!part_of.is_album());
}

use proptest::prelude::*;
use wacore::proto_helpers::MessageBuilderExt as _;
use whatsapp_rust::{
    Jid,
    buffa::MessageField,
    waproto::whatsapp::{
        Message, MessageContextInfo,
        message::{self, protocol_message::Type as ProtocolType},
    },
};

use super::{build, read::Read, sides::Sides};
use crate::{
    clock::Clock,
    content::{
        Card, Content, Context, Delete, Edit, LinkPreview, Location, Peer, Phone, Poll, Reaction,
        Reply, Summary, Target,
    },
    ids::MediaId,
    whatsapp::outgoing::Outgoing,
};

fn read(message: &Message) -> Option<Read> {
    super::read(message, MediaId::new(&Clock::system()))
}

fn outgoing<'m>(content: &'m Content, context: &'m Context) -> Outgoing<'m> {
    Outgoing {
        content,
        context,
        expires_in: None,
        attached: None,
        at: 1,
    }
}

fn content(message: &Message) -> Option<Content> {
    read(message).map(|read| read.content)
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
fn text(body: &str) -> Option<Content> {
    Some(Content::text(body))
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what may be none")]
fn unsupported(kind: &str) -> Option<Content> {
    Some(Content::Unsupported {
        kind: kind.into(),
        text: None,
    })
}

#[test]
fn text_is_read_from_both_fields_that_carry_it() {
    assert_eq!(content(&Message::text("hello")), text("hello"));
    let extended = Message {
        extended_text_message: MessageField::some(message::ExtendedTextMessage {
            text: Some("see https://example.org".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(content(&extended), text("see https://example.org"));
}

#[test]
fn text_in_a_disappearing_message_is_text() {
    let wrapped = Message {
        ephemeral_message: MessageField::some(message::FutureProofMessage {
            message: MessageField::some(Message::text("soon gone")),
        }),
        ..Default::default()
    };
    assert_eq!(content(&wrapped), text("soon gone"));
}

#[test]
fn what_is_not_read_yet_is_told_by_the_name_of_its_field() {
    let event = Message {
        event_message: MessageField::some(message::EventMessage::default()),
        ..Default::default()
    };
    assert_eq!(content(&event), unsupported("eventMessage"));
    let rare = Message {
        payment_invite_message: MessageField::some(message::PaymentInviteMessage {
            expiry_timestamp: Some(1),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(content(&rare), unsupported("paymentInviteMessage"));
}

#[test]
fn protocol_notices_and_bare_keys_are_no_messages() {
    let notice = |kind| Message {
        protocol_message: MessageField::some(message::ProtocolMessage {
            r#type: Some(kind),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(content(&notice(ProtocolType::AppStateSyncKeyShare)), None);
    assert_eq!(
        content(&notice(ProtocolType::HistorySyncNotification)),
        None
    );
    assert_eq!(
        content(&notice(ProtocolType::Revoke)),
        unsupported("protocolMessage")
    );
    let keys = Message {
        sender_key_distribution_message: MessageField::some(
            message::SenderKeyDistributionMessage {
                group_id: Some("1@g.us".into()),
                ..Default::default()
            },
        ),
        message_context_info: MessageField::some(MessageContextInfo::default()),
        ..Default::default()
    };
    assert_eq!(content(&keys), None);
}

fn sides() -> Sides {
    Sides {
        chat: Jid::lid("200"),
        me: Some(Jid::lid("100")),
    }
}

fn sent(content: &Content, context: &Context) -> Message {
    let message = build::message(outgoing(content, context), &sides()).unwrap();
    // Encoding and decoding loses everything that is not in the protobuf definition.
    let bytes = waproto::codec::message_to_vec(&message);
    waproto::codec::message_decode(&bytes).unwrap()
}

/// A text as people write it.
fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äßé,;:\\\\ .\"'@-]{0,30}[a-z]".prop_map(|text| text)
}

/// A message of ours, of the other side, or of a group's member.
fn target() -> impl Strategy<Value = Target> {
    let author = prop::option::of(prop::option::of("[1-9][0-9]{6}@lid"));
    ("3EB0[0-9A-F]{18}", author).prop_map(|(wa_message_id, author)| Target {
        message_id: None,
        wa_message_id,
        from_me: author.is_none(),
        participant: author.flatten(),
    })
}

fn card() -> impl Strategy<Value = Card> {
    let phones = prop::collection::vec("\\+[1-9][0-9]{6,14}", 1..4);
    let emails = prop::collection::vec("[a-z]{1,8}@example\\.org", 0..3);
    (words(), phones, prop::option::of(words()), emails).prop_map(
        |(name, phones, organisation, emails)| Card {
            name,
            phones,
            organisation,
            emails,
        },
    )
}

fn poll() -> impl Strategy<Value = Poll> {
    let options = prop::collection::hash_set(words(), 2..12);
    (words(), options, any::<prop::sample::Index>()).prop_map(|(question, options, count)| Poll {
        question,
        selectable_count: u32::try_from(count.index(options.len()) + 1).unwrap(),
        options: options.into_iter().collect(),
    })
}

/// A link preview or none. Reading leaves out its picture.
fn preview() -> impl Strategy<Value = Option<LinkPreview>> {
    let said = (words(), prop::option::of(words()));
    prop::option::of(said.prop_map(|(title, description)| {
        let preview = LinkPreview::of("https://shop.example/1042").unwrap();
        preview.saying(Some(&title), description.as_deref())
    }))
}

/// A content that stands alone.
fn plain() -> impl Strategy<Value = Content> {
    let place = (
        -90.0..=90.0_f64,
        -180.0..=180.0_f64,
        prop::option::of(words()),
        prop::option::of(words()),
    );
    prop_oneof![
        (words(), preview()).prop_map(|(body, link_preview)| Content::Text { body, link_preview }),
        place.prop_map(
            |(latitude, longitude, name, address)| Content::Location(Location {
                name,
                address,
                ..Location::at(latitude, longitude)
            })
        ),
        prop::collection::vec(card(), 1..4).prop_map(|contacts| Content::Contacts { contacts }),
        poll().prop_map(Content::Poll),
    ]
}

/// A content that is about another message.
fn about() -> impl Strategy<Value = Content> {
    prop_oneof![
        (target(), "👍|🎉|")
            .prop_map(|(target, emoji)| Content::Reaction(Reaction { target, emoji })),
        (target(), words()).prop_map(|(target, body)| Content::Edit(Edit { target, body })),
        target().prop_map(|target| Content::Delete(Delete { target })),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        "\\+[1-9][0-9]{6,14}".prop_map(|phone| Peer {
            phone: Phone::parse(&phone),
            lid: None
        }),
        "[1-9][0-9]{8,14}".prop_map(|lid| Peer {
            phone: None,
            lid: Some(lid)
        }),
    ]
}

fn context() -> impl Strategy<Value = Context> {
    let reply = (target(), plain()).prop_map(|(target, quoted)| Reply {
        target,
        summary: Some(Summary::of(&quoted)),
    });
    let mentions = prop::collection::vec(peer().prop_map(Into::into), 0..3);
    (prop::option::of(reply), mentions, any::<bool>()).prop_map(
        |(reply_to, mentions, forwarded)| Context {
            reply_to,
            mentions,
            forwarded,
            ..Context::default()
        },
    )
}

proptest! {
    #[test]
    fn what_is_sent_is_read_back_with_what_stands_beside_it(content in plain(), context in context()) {
        let read = read(&sent(&content, &context)).unwrap();
        prop_assert!(read.content == content);
        let mut back = read.context;
        if let Some(reply) = &mut back.reply_to {
            // As on a phone, the quote names the author. The listener decides whether that is us.
            let me = read.answered.unwrap().lid.as_deref() == Some("100");
            reply.target.from_me = me;
            // In a chat of two, the author of the answered message is named, too.
            let answered = context.reply_to.as_ref().unwrap();
            if answered.target.participant.is_none() {
                reply.target.participant = None;
            }
        }
        prop_assert!(back == context);
    }

    /// The other side has the opposite `from_me`.
    #[test]
    fn what_is_about_another_message_names_it(content in about()) {
        let mut read = read(&sent(&content, &Context::default())).unwrap().content;
        let target = read.target_mut().unwrap();
        target.from_me = !target.from_me;
        prop_assert!(read == content);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = waproto::codec::message_decode(&bytes) {
            let _ = read(&message);
        }
    }

    /// A message that was damaged on its way is read as something, or carries nothing.
    #[test]
    fn a_bent_message_is_read_or_told(
        content in prop_oneof![plain(), about()],
        context in context(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let message = build::message(outgoing(&content, &context), &sides()).unwrap();
        let mut bytes = waproto::codec::message_to_vec(&message);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(message) = waproto::codec::message_decode(&bytes)
            && let Some(read) = read(&message)
        {
            let json = serde_json::to_vec(&read.content).unwrap();
            prop_assert!(serde_json::from_slice::<Content>(&json).is_ok(), "it could not be kept");
        }
    }

    #[test]
    fn any_card_is_read(text in ".{0,200}") {
        let _ = super::card::read(&text, None);
    }
}

#[test]
fn a_place_off_the_map_is_told_and_not_kept() {
    let at = |latitude, longitude| Message {
        location_message: MessageField::some(message::LocationMessage {
            degrees_latitude: Some(latitude),
            degrees_longitude: Some(longitude),
            ..Default::default()
        }),
        ..Default::default()
    };
    for (latitude, longitude) in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (91.0, 0.0)] {
        assert_eq!(
            content(&at(latitude, longitude)),
            unsupported("locationMessage")
        );
    }
}

#[test]
fn a_poll_keeps_its_secret_through_every_try_and_a_vote_opens_under_it_alone() {
    let secret = [7; 32];
    let poll = Poll {
        question: "When?".into(),
        options: vec!["Monday".into(), "Tuesday".into()],
        selectable_count: 1,
    };
    let context = Context {
        secret: Some(secret),
        ..Context::default()
    };
    let message = sent(&Content::Poll(poll.clone()), &context);
    assert_eq!(read(&message).unwrap().context.secret, Some(secret));

    let (maker, voter) = ("100@lid", "200@lid");
    let chosen = [wacore::poll::compute_option_hash("Tuesday").to_vec()];
    let (payload, iv) =
        wacore::poll::encrypt_poll_vote_with_secret(&chosen, &secret, "3EB0", maker, voter)
            .unwrap();
    let vote = Message {
        poll_update_message: MessageField::some(message::PollUpdateMessage {
            poll_creation_message_key: MessageField::some(
                whatsapp_rust::waproto::whatsapp::MessageKey {
                    id: Some("3EB0".into()),
                    from_me: Some(false),
                    ..Default::default()
                },
            ),
            vote: MessageField::some(message::PollEncValue {
                enc_payload: Some(payload),
                enc_iv: Some(iv.to_vec()),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let read = read(&vote).unwrap();
    assert!(read.content.target().unwrap().from_me, "it is our poll");
    let phones = ("1@s.whatsapp.net".to_owned(), "2@s.whatsapp.net".to_owned());
    let ballot = read
        .vote
        .unwrap()
        .between(vec![phones, (maker.into(), voter.into())]);
    assert_eq!(
        ballot.open(&secret, &poll.options),
        Some(vec!["Tuesday".to_owned()])
    );
    assert_eq!(ballot.open(&[8; 32], &poll.options), None);
}

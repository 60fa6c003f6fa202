//! A message in an answer.

use std::borrow::Cow;

use passerelle_jobs::{
    clock::Millis,
    ids::{ConsentId, MessageId, SessionId},
    lanes::outlook::Foreseen,
    messages::shown::{Shown, shown},
    model, outbound,
};
use poem_openapi::{
    Object,
    registry::{MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    about::{Delete, Edit, Mentioned, PollVote, Reaction, Reply},
    files::MessageMedia,
    incoming::{Album, Location, Order, PartOf, Product, Referral, Tap, Unsupported},
    kinds::{ContactCard, Poll, Text},
    schedule::Priority,
};
use crate::{
    list::list_of,
    routes::consents::Purpose,
    texts::Texts,
    types::{Id, Timestamp},
};

/// The place of a message in the queue of its session.
#[derive(Debug, Serialize, Object)]
pub struct MessageQueue {
    /// The number of messages that go before it; 0 when it is next.
    pub position: i64,
    /// When it will probably be sent, if the session is connected. `null` if that cannot be foreseen.
    pub estimated_send_at: Option<Timestamp>,
    /// By this time it is sent in 95 of 100 cases, if the session is connected. `null` if that cannot be foreseen.
    pub estimated_send_by: Option<Timestamp>,
    /// What holds it. `null` if it goes in its turn.
    pub hold: Option<String>,
}

impl From<Foreseen> for MessageQueue {
    fn from(place: Foreseen) -> Self {
        Self {
            position: place.position,
            estimated_send_at: place.send_at.map(Timestamp),
            estimated_send_by: place.send_by.map(Timestamp),
            hold: place.hold.map(|hold| hold.to_string()),
        }
    }
}

/// How many people the session's number has written to without a consent or a purpose. The first few need neither.
#[derive(Debug, Serialize, Object)]
pub struct MessageTrial {
    /// So many people, with the recipient of this message.
    pub used: i64,
    /// So many it may be.
    pub of: i64,
}

/// Why a message failed.
#[derive(Debug, Serialize, Object)]
pub struct MessageError {
    /// Stable code of the reason.
    pub code: String,
}

/// An outbound or inbound message.
#[derive(Debug, Object)]
#[oai(rename = "Message")]
#[oai(skip_serializing_if_is_none)]
pub struct MessageSchema {
    /// Its id.
    pub id: Id<MessageId>,
    /// Always `message`.
    pub object: String,
    /// The session that sends or received it.
    pub session_id: Id<SessionId>,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// What an outbound message was written on: `gateway` (a request to this API), `phone` (the number's owner
    /// wrote it on the phone) or `linked_device` (another linked device of the account sent it, such as
    /// WhatsApp Web). An inbound message has none.
    pub source: Option<String>,
    /// The kind of the message. The field of the same name has its content: `text`; with a file `image`,
    /// `video`, `audio`, `voice`, `document`, `sticker`; `location`, `contacts`, `poll`; about another
    /// message `reaction`, `edit`, `delete`, `poll_vote`. These only come in: `button_reply` and `list_reply`
    /// (somebody tapped a button or chose a row), `order`, `product`, `album`. Four kinds have no content of
    /// their own: `deleted` (its sender deleted it for everyone), `undecryptable` (it could not be decrypted,
    /// and may still be sent again), `view_once_unavailable` (WhatsApp gives it to phones only; it will not
    /// come) and `unsupported` (this version does not support it). A webhook may also report `unreadable`: the
    /// stored message cannot be read, and has failed.
    #[oai(rename = "type")]
    pub kind: String,
    /// The recipient of an outbound message: the phone number, `…@lid` if the number is not known, or the group.
    pub to: Option<String>,
    /// The sender of an inbound message, if WhatsApp shared the phone number.
    pub from: Option<String>,
    /// The group of the message. In a group, `delivered`, `read` and `played` mean that this is true for at
    /// least one member.
    pub group_id: Option<String>,
    /// The phone number of the contact, if it is known. In a group, of the member who sent the message.
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    pub lid: Option<String>,
    /// The stable id of the contact in this gateway, if it is known.
    pub contact_id: Option<String>,
    /// Outbound: `queued`, `sending`, `unknown` (it was written, and WhatsApp did not acknowledge it),
    /// `sent` (WhatsApp's server acknowledged it), `delivered`, `read`, `played`, `failed`, `expired`,
    /// `canceled`. Inbound: `received`. A status never goes back.
    pub status: String,
    /// Why it failed.
    pub error: Option<MessageError>,
    /// The text, if the type is `text`.
    pub text: Option<Text>,
    /// The image, if the type is `image`.
    pub image: Option<MessageMedia>,
    /// The video, if the type is `video`.
    pub video: Option<MessageMedia>,
    /// The audio file, if the type is `audio`.
    pub audio: Option<MessageMedia>,
    /// The voice note, if the type is `voice`.
    pub voice: Option<MessageMedia>,
    /// The file, if the type is `document`.
    pub document: Option<MessageMedia>,
    /// The sticker, if the type is `sticker`.
    pub sticker: Option<MessageMedia>,
    /// The location, if the type is `location`.
    pub location: Option<Location>,
    /// The contact cards, if the type is `contacts`.
    pub contacts: Option<Vec<ContactCard>>,
    /// The poll, if the type is `poll`.
    pub poll: Option<Poll>,
    /// The vote, if the type is `poll_vote`.
    pub poll_vote: Option<PollVote>,
    /// The reaction, if the type is `reaction`.
    pub reaction: Option<Reaction>,
    /// The new text, if the type is `edit`. The edited message has it as well, with `edited_at`.
    pub edit: Option<Edit>,
    /// The deletion, if the type is `delete`.
    pub delete: Option<Delete>,
    /// The button, if the type is `button_reply`.
    pub button_reply: Option<Tap>,
    /// The row, if the type is `list_reply`.
    pub list_reply: Option<Tap>,
    /// The order, if the type is `order`.
    pub order: Option<Order>,
    /// The product, if the type is `product`.
    pub product: Option<Product>,
    /// The album, if the type is `album`.
    pub album: Option<Album>,
    /// The kind that is not supported, if the type is `unsupported`.
    pub unsupported: Option<Unsupported>,
    /// The message that it replies to.
    pub reply_to: Option<Reply>,
    /// The people that the text mentions: phone numbers in E.164, or `…@lid` if WhatsApp does not share the
    /// number.
    pub mentions: Option<Vec<String>>,
    /// The same people, with all that is known of them.
    pub mentioned: Option<Vec<Mentioned>>,
    /// Whether it is shown as forwarded; absent if not.
    pub forwarded: Option<bool>,
    /// It disappears from the chat so many seconds after it was sent, because the chat's messages do. A reaction,
    /// an edit, a deletion and a vote have none. Absent if it stays, and until an outbound message is sent.
    pub expires_in: Option<u32>,
    /// The advertisement or post that an inbound message answers. Such a message may have an empty text.
    pub referral: Option<Referral>,
    /// The album that an inbound image or video belongs to: the `wa_message_id` of a message of the type `album`.
    pub album_id: Option<String>,
    /// The place in the album, from 0.
    pub album_position: Option<u32>,
    /// The earlier message that an inbound message belongs to, if it is not an album.
    pub part_of: Option<PartOf>,
    /// The wrappers that the content of an inbound message came in, by WhatsApp's names, the outermost first:
    /// `ephemeralMessage`, `viewOnceMessageV2` and others.
    pub via: Option<Vec<String>>,
    /// Your reference, if you gave one.
    pub client_ref: Option<String>,
    /// Your metadata, if you gave any.
    pub metadata: Option<Texts>,
    /// How well the number knew the recipient of an outbound message when it was accepted: `reply` (the contact wrote in the last
    /// 24 hours), `warm` (the contact wrote in the last 180 days, or WhatsApp knows their chat) or `cold`. A message to a group,
    /// a reaction, an edit and a deletion have none.
    pub class: Option<String>,
    /// What it is for.
    pub purpose: Option<Purpose>,
    /// The consent that allowed it, if it needed one or came with one.
    pub consent_id: Option<Id<ConsentId>>,
    /// Its place in the queue while it is queued: in the answer that accepts it, when it is read, and in the list of the queue.
    pub queue: Option<MessageQueue>,
    /// Only in the answer that accepts a message which lacks a purpose or a consent: how many people may still get one.
    pub trial: Option<MessageTrial>,
    /// WhatsApp's id of the message, the same for every attempt to send it.
    pub wa_message_id: String,
    /// When it was accepted or received.
    pub created_at: Timestamp,
    /// It is not sent before this time, if you asked for one.
    pub send_at: Option<Timestamp>,
    /// Whether it goes before or after others; absent if in its turn.
    pub priority: Option<Priority>,
    /// When it expires if it was not sent.
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it, or got it from another device.
    pub sent_at: Option<Timestamp>,
    /// When it reached a device of the recipient.
    pub delivered_at: Option<Timestamp>,
    /// When it was read: by the recipient of an outbound message, or by you if it is inbound.
    pub read_at: Option<Timestamp>,
    /// When it was played, as for `read_at`.
    pub played_at: Option<Timestamp>,
    /// When its sender last edited it. The message has the new text.
    pub edited_at: Option<Timestamp>,
    /// When its sender deleted it for everyone.
    pub deleted_at: Option<Timestamp>,
}

/// A message in an answer. Its JSON is the one that events have; the document describes it by
/// [`MessageSchema`].
#[derive(Debug, Serialize)]
pub struct Message {
    /// Its id.
    #[serde(skip)]
    pub id: Id<MessageId>,
    #[serde(flatten)]
    shown: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<MessageQueue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<MessageTrial>,
}

impl Type for Message {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        MessageSchema::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        MessageSchema::schema_ref()
    }

    fn register(registry: &mut Registry) {
        MessageSchema::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Message {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

impl ParseFromJSON for Message {
    fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::custom("only in answers"))
    }
}

impl From<model::Message> for Message {
    fn from(message: model::Message) -> Self {
        Self {
            id: Id(message.id),
            shown: shown(&message),
            queue: None,
            trial: None,
        }
    }
}

fn foreseen(at: Millis) -> Option<Timestamp> {
    (at < Millis::MAX).then_some(Timestamp(at))
}

impl Message {
    /// Returns a message with its place in the queue, if it has one.
    pub(in crate::routes) fn queued(message: model::Message, place: Option<Foreseen>) -> Self {
        Self {
            queue: place.map(Into::into),
            ..message.into()
        }
    }
}

impl From<outbound::Accepted> for Message {
    fn from(accepted: outbound::Accepted) -> Self {
        Self {
            queue: Some(MessageQueue {
                position: accepted.position,
                estimated_send_at: foreseen(accepted.estimated_send_at),
                estimated_send_by: foreseen(accepted.estimated_send_by),
                hold: accepted.hold.map(|hold| hold.to_string()),
            }),
            trial: accepted.trial.map(|trial| MessageTrial {
                used: trial.used,
                of: trial.of,
            }),
            ..accepted.message.into()
        }
    }
}

list_of!(
    /// A page of messages.
    MessageList, Message);

#[cfg(test)]
mod tests {
    use passerelle_jobs::{
        clock::Clock,
        content::{
            Album, Card, Content, Context, Delete, Edit, Group, LinkPreview, Location, Media,
            MediaKind, Mention, Order, PartOf, Peer, Phone, Poll, PollVote, Product, Reaction,
            Referral, Reply, Summary, Tap, Target,
        },
        ids::{ContactId, MediaId, OrgId},
        model::Purpose,
        model::{
            Direction, Source, Status,
            client_data::{ClientData, ClientRef, Metadata},
        },
    };

    use super::*;

    fn of_shops() -> [Content; 3] {
        [
            Content::Order(Order {
                order_id: "1042".to_owned(),
                title: Some("a title".to_owned()),
                text: Some("a text".to_owned()),
                item_count: Some(1),
                status: Some("inquiry".to_owned()),
                total_amount_1000: Some(1),
                currency: Some("EUR".to_owned()),
            }),
            Content::Product(Product {
                product_id: Some("1".to_owned()),
                retailer_id: Some("2".to_owned()),
                title: Some("a title".to_owned()),
                description: Some("a description".to_owned()),
                text: Some("a text".to_owned()),
                footer: Some("a footer".to_owned()),
                price_amount_1000: Some(2),
                sale_price_amount_1000: Some(1),
                currency: Some("EUR".to_owned()),
                url: Some("https://a.example".to_owned()),
            }),
            Content::Album(Album {
                images: 1,
                videos: 2,
            }),
        ]
    }

    fn contents(clock: &Clock) -> Vec<Content> {
        let target = Target {
            message_id: Some(MessageId::new(clock)),
            wa_message_id: "3EB0".to_owned(),
            from_me: true,
            participant: Some("1@lid".to_owned()),
        };
        let media = Media {
            caption: Some("a caption".to_owned()),
            file_name: Some("a.pdf".to_owned()),
            mime_type: Some("application/pdf".to_owned()),
            size: Some(1),
            sha256: Some("00".to_owned()),
            width: Some(1),
            height: Some(1),
            seconds: Some(1),
            pages: Some(1),
            gif: true,
            ..Media::new(MediaId::new(clock))
        };
        let link = LinkPreview::of("https://a.example").unwrap();
        let text = |link_preview| Content::Text {
            body: "https://a.example".to_owned(),
            link_preview: Some(link_preview),
        };
        let card = Card {
            name: "Ada".to_owned(),
            phones: vec!["+4915112345678".to_owned()],
            organisation: Some("Ada & Co".to_owned()),
            emails: vec!["ada@a.example".to_owned()],
        };
        let plain = Card {
            organisation: None,
            emails: Vec::new(),
            ..card.clone()
        };
        let tap = Tap {
            id: Some("1".to_owned()),
            title: "a title".to_owned(),
            description: Some("a description".to_owned()),
            params: Some(serde_json::json!({ "seats": [2] })),
        };
        let mut contents = vec![
            text(link.clone()),
            text(link.saying(Some("a title"), Some("a description"))),
            Content::text("a text"),
            Content::Location(Location {
                name: Some("a place".to_owned()),
                address: Some("an address".to_owned()),
                caption: Some("a caption".to_owned()),
                live: true,
                sequence: Some(1),
                accuracy: Some(2),
                ..Location::at(52.5, 13.25)
            }),
            Content::ButtonReply(tap.clone()),
            Content::ListReply(tap),
            Content::ViewOnceUnavailable {},
            Content::Contacts {
                contacts: vec![card, plain],
            },
            Content::Poll(Poll {
                question: "when".to_owned(),
                options: vec!["now".to_owned(), "later".to_owned()],
                selectable_count: 1,
            }),
            Content::PollVote(PollVote {
                target: target.clone(),
                options: Some(vec!["now".to_owned()]),
            }),
            Content::Reaction(Reaction {
                target: target.clone(),
                emoji: "👍".to_owned(),
            }),
            Content::Edit(Edit {
                target: target.clone(),
                body: "another text".to_owned(),
            }),
            Content::Delete(Delete { target }),
            Content::Deleted {},
            Content::Undecryptable {},
            Content::Unsupported {
                kind: "eventMessage".to_owned(),
                text: Some("a text".to_owned()),
            },
        ];
        contents.extend(of_shops());
        contents.extend(
            MediaKind::ALL
                .iter()
                .map(|kind| kind.content(media.clone())),
        );
        contents
    }

    fn bare(clock: &Clock, content: Content) -> model::Message {
        model::Message {
            id: MessageId::new(clock),
            org: OrgId::new(clock),
            session: SessionId::new(clock),
            direction: Direction::Outbound,
            source: Source::Phone,
            status: Status::Queued,
            peer: Peer {
                phone: None,
                lid: None,
            },
            group: None,
            contact: None,
            content,
            context: Context::default(),
            client: ClientData::default(),
            wa_id: "3EB1".to_owned(),
            error: None,
            expires_in: None,
            class: None,
            purpose: None,
            consent: None,
            created_at: 1,
            send_at: None,
            priority: model::Priority::Normal,
            expires_at: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            played_at: None,
            edited_at: None,
            deleted_at: None,
        }
    }

    fn referral() -> Referral {
        let some = |text: &str| Some(text.to_owned());
        Referral {
            source_type: some("ad"),
            source_id: some("1"),
            source_url: some("https://a.example"),
            source_app: some("facebook"),
            headline: some("a headline"),
            body: some("a body"),
            media_type: some("image"),
            media_url: some("https://a.example/image"),
            thumbnail_url: some("https://a.example/small"),
            ctwa_clid: some("2"),
            attached: some("3"),
            greeting: some("a greeting"),
        }
    }

    fn full(clock: &Clock, content: Content, kind: &str) -> model::Message {
        let summary = Some(Summary::of(&content));
        let peer = Peer {
            phone: Phone::parse("+4915112345678"),
            lid: Some("1".to_owned()),
        };
        model::Message {
            direction: Direction::Inbound,
            status: Status::Received,
            peer: peer.clone(),
            group: Group::parse("120363012345678901@g.us"),
            contact: Some(ContactId::new(clock)),
            context: Context {
                reply_to: Some(Reply {
                    target: Target::of(MessageId::new(clock)),
                    summary,
                }),
                mentions: vec![Mention {
                    who: peer,
                    contact_id: Some(ContactId::new(clock)),
                }],
                forwarded: true,
                referral: Some(referral()),
                part_of: Some(PartOf {
                    kind: kind.to_owned(),
                    wa_message_id: "3A".to_owned(),
                    position: Some(1),
                }),
                via: vec!["ephemeralMessage".to_owned()],
                ..Context::default()
            },
            client: ClientData {
                client_ref: ClientRef::parse("order-1042"),
                metadata: Metadata::parse([("shop".to_owned(), "berlin".to_owned())].into())
                    .unwrap(),
            },
            error: Some("a_code".to_owned()),
            expires_in: Some(86_400),
            class: Some(model::Class::Cold),
            purpose: Some(Purpose::Delivery),
            consent: Some(ConsentId::new(clock)),
            send_at: Some(2),
            priority: model::Priority::High,
            expires_at: Some(2),
            sent_at: Some(3),
            delivered_at: Some(4),
            read_at: Some(5),
            played_at: Some(6),
            edited_at: Some(7),
            deleted_at: Some(8),
            ..bare(clock, content)
        }
    }

    #[test]
    fn the_json_of_a_message_is_what_the_document_describes() {
        let clock = Clock::system();
        for content in contents(&clock) {
            let album = full(&clock, content.clone(), "media_album");
            let other = full(&clock, content.clone(), "hd_image_dual_upload");
            for message in [bare(&clock, content), album, other] {
                let json = serde_json::to_value(Message::from(message)).unwrap();
                let described = MessageSchema::parse_from_json(Some(json.clone())).unwrap();
                assert_eq!(described.to_json(), Some(json));
            }
        }
    }
}

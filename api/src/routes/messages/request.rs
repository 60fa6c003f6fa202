//! A message to send: one schema for each kind, distinguished by `type`.

use std::borrow::Cow;

use passerelle_jobs::{
    content::Phone,
    ids::{MessageId, SessionId},
    outbound,
};
use poem_openapi::{
    Object,
    registry::{MetaDiscriminatorObject, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde::{Deserialize, Serialize};

use super::{
    files::{NewAudio, NewDocument, NewImage, NewSticker, NewVideo, NewVoice},
    kinds::{ContactCard, NewDelete, NewEdit, NewLocation, NewReaction, NewText, Poll, Shape as _},
    schedule::Priority,
};
use crate::{
    body::Read,
    flaws::Flaws,
    json::Json,
    problem::{Code, Problem},
    routes::{
        client_data,
        consents::{NewConsent, Purpose},
    },
    spelling::{phone::phone, recipient::recipient},
    texts::Texts,
    types::{Id, Timestamp},
    word::{Said, Word},
};

/// The most people that one message can mention.
pub(crate) const MENTIONS_MAX: usize = 100;

/// The fields that every kind can have.
struct Common {
    session: Id<SessionId>,
    to: String,
    reply_to: Option<Id<MessageId>>,
    mentions: Option<Vec<String>>,
    forwarded: Option<bool>,
    purpose: Option<Purpose>,
    consent: Option<NewConsent>,
    send_at: Option<Timestamp>,
    priority: Option<Priority>,
    expires_at: Option<Timestamp>,
}

/// Defines the two schemas of a kind: the whole one, and the one of its own route, whose path names the
/// session and the kind.
macro_rules! shapes {
    ($variant:ident $word:literal $field:ident: $shape:ty; $what:tt;
     $new:ident, $bare:ident { $($(#[$beside_doc:meta])* $beside:ident: $beside_type:ty,)* } { $($absent:ident,)* }) => {
        #[doc = concat!(" The word `", $word, "`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $variant;

        impl Said for $variant {
            const WORD: &'static [&'static str; 1] = &[$word];
        }

        #[doc = $what]
        #[derive(Debug, Serialize, Deserialize, Object)]
        #[serde(deny_unknown_fields)]
        #[oai(skip_serializing_if_is_none)]
        pub struct $new {
            /// The session that sends the message.
            pub session_id: Id<SessionId>,
            /// The kind of the message. The field of the same name has its content.
            #[oai(rename = "type")]
            #[serde(rename = "type")]
            pub kind: Word<$variant>,
            /// The recipient: a phone number with its country code in any usual spelling (`+33612345678`, `+33 6 12 34 56 78`,
            /// `0033612345678`, `33612345678`, `33612345678@c.us`), a contact (`ctc_…`), a LID (`…@lid`), or a group that
            /// the session's number is in (`…@g.us`). The answer shows phone numbers in E.164.
            pub to: String,
            #[doc = $what]
            pub $field: $shape,
            $($(#[$beside_doc])*
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub $beside: $beside_type,)*
            /// Your own reference, 1 to 128 characters, such as the number of an order. Answers and events have it, and
            /// messages are listed by it. It need not be unique.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub client_ref: Option<String>,
            /// Your own texts by name, which answers and events have: at most 50, with 4,096 bytes of names and texts. A name
            /// has 1 to 40 characters.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub metadata: Option<Texts>,
            /// When the message expires if it was not sent. When absent, its purpose says so, counted
            /// from now or from `send_at`; without one, one day.
            #[serde(default)]
            pub expires_at: Option<Timestamp>,
        }

        impl $new {
            fn parse(self) -> Result<outbound::NewMessage, Problem> {
                let common = Common {
                    session: self.session_id,
                    to: self.to,
                    expires_at: self.expires_at,
                    $($beside: self.$beside,)*
                    $($absent: None,)*
                };
                let mut flaws = Flaws::default();
                let to = recipient(&common.to, &mut flaws);
                let parsed = self.$field.content(&mut flaws);
                let mentions = common.mentioned(&mut flaws);
                let client_ref = self.client_ref.as_deref();
                let consent = common.consent.map(|given| given.parse("/consent", &mut flaws));
                let client = client_data::parse(client_ref, self.metadata, &mut flaws);
                let new = to.map(|to| outbound::NewMessage {
                    reply_to: common.reply_to.map(|id| id.0),
                    mentions,
                    forwarded: common.forwarded.unwrap_or(false),
                    client,
                    purpose: common.purpose.map(Into::into),
                    consent,
                    send_at: common.send_at.map(|at| at.0),
                    priority: common.priority.map_or_else(Default::default, Into::into),
                    expires_at: common.expires_at.map(|at| at.0),
                    source: parsed.source,
                    ..outbound::NewMessage::of(common.session.0, to, parsed.content)
                });
                let new = flaws.judge(new)?;
                new.ok_or_else(|| Problem::new(Code::InvalidRecipient))
            }
        }

        #[doc = $what]
        #[derive(Debug, Serialize, Deserialize, Object)]
        #[serde(deny_unknown_fields)]
        #[oai(skip_serializing_if_is_none)]
        pub struct $bare {
            /// The recipient: a phone number with its country code in any usual spelling (`+33612345678`, `+33 6 12 34 56 78`,
            /// `0033612345678`, `33612345678`, `33612345678@c.us`), a contact (`ctc_…`), a LID (`…@lid`), or a group that
            /// the session's number is in (`…@g.us`). The answer shows phone numbers in E.164.
            pub to: String,
            #[doc = $what]
            pub $field: $shape,
            $($(#[$beside_doc])*
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub $beside: $beside_type,)*
            /// Your own reference, 1 to 128 characters, such as the number of an order. Answers and events have it, and
            /// messages are listed by it. It need not be unique.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub client_ref: Option<String>,
            /// Your own texts by name, which answers and events have: at most 50, with 4,096 bytes of names and texts. A name
            /// has 1 to 40 characters.
            #[serde(skip_serializing_if = "Option::is_none", default)]
            pub metadata: Option<Texts>,
            /// When the message expires if it was not sent. When absent, its purpose says so, counted
            /// from now or from `send_at`; without one, one day.
            #[serde(default)]
            pub expires_at: Option<Timestamp>,
        }

        impl $bare {
            /// Adds the session of the path.
            pub(super) fn through(self, session_id: Id<SessionId>) -> NewMessage {
                NewMessage::$variant($new {
                    session_id,
                    kind: Word::default(),
                    to: self.to,
                    $field: self.$field,
                    $($beside: self.$beside,)*
                    client_ref: self.client_ref,
                    metadata: self.metadata,
                    expires_at: self.expires_at,
                })
            }
        }
    };
}

macro_rules! sendable {
    (
        shown { $($shown:ident $shown_word:literal $shown_field:ident: $shown_shape:ty; $shown_what:tt; $shown_new:ident, $shown_bare:ident;)* }
        about { $($about:ident $about_word:literal $about_field:ident: $about_shape:ty; $about_what:tt; $about_new:ident, $about_bare:ident;)* }
    ) => {
        $(shapes! {
            $shown $shown_word $shown_field: $shown_shape; $shown_what; $shown_new, $shown_bare {
                /// The message that it replies to: an inbound or outbound message of the same chat.
                reply_to: Option<Id<MessageId>>,
                /// The people that the text mentions, at most 100 phone numbers as in `to`. The text itself has `@` and
                /// the digits of the number.
                mentions: Option<Vec<String>>,
                /// Whether the message is shown as forwarded.
                forwarded: Option<bool>,
                /// What it is for. Needed outside the 24 hours after the contact's last message; when absent, that of the session.
                /// It says how long the message may wait: a `code` 10 minutes, `security` 1 hour, `delivery` 6 hours, the others a
                /// day.
                purpose: Option<Purpose>,
                /// How the contact agreed to it, if you have not stored a consent of the contact. Needed for a contact who never
                /// wrote to the session's number, or not in 180 days. It is stored once.
                consent: Option<NewConsent>,
                /// It is not sent before this time, at most 30 days from now.
                send_at: Option<Timestamp>,
                /// Whether it goes before or after the others of its session that may go. Messages to one recipient with the
                /// same priority keep their order. `normal` when absent.
                priority: Option<Priority>,
            } {}
        })*
        $(shapes! {
            $about $about_word $about_field: $about_shape; $about_what; $about_new, $about_bare {} {
                reply_to, mentions, forwarded, purpose, consent, send_at, priority,
            }
        })*

        /// A message to send: one of these kinds.
        #[derive(Debug, Serialize)]
        #[serde(untagged)]
        pub enum NewMessage {
            $(#[doc = $shown_what] $shown($shown_new),)*
            $(#[doc = $about_what] $about($about_new),)*
        }

        impl NewMessage {
            /// Every `type` and the name of its schema.
            const KINDS: &'static [(&'static str, &'static str)] = &[
                $(($shown_word, stringify!($shown_new)),)*
                $(($about_word, stringify!($about_new)),)*
            ];

            /// Returns its `type`, which is also the name of the field with its content.
            pub(super) fn kind(&self) -> &'static str {
                match self {
                    $(Self::$shown(_) => $shown_word,)*
                    $(Self::$about(_) => $about_word,)*
                }
            }

            /// Validates the values, and reports all errors at once.
            pub(super) fn parse(self) -> Result<outbound::NewMessage, Problem> {
                match self {
                    $(Self::$shown(new) => new.parse(),)*
                    $(Self::$about(new) => new.parse(),)*
                }
            }

            fn of_kind(kind: &str, json: &Json<'_>) -> Option<Result<Self, Problem>> {
                Some(match kind {
                    $($shown_word => json.read().map(Self::$shown),)*
                    $($about_word => json.read().map(Self::$about),)*
                    _ => return None,
                })
            }

            fn register_kinds(registry: &mut Registry) {
                $($shown_new::register(registry);)*
                $($about_new::register(registry);)*
            }
        }
    };
}

sendable! {
    shown {
        TextKind "text" text: NewText; "A text."; NewTextMessage, TextMessage;
        ImageKind "image" image: NewImage; "An image."; NewImageMessage, ImageMessage;
        VideoKind "video" video: NewVideo; "A video."; NewVideoMessage, VideoMessage;
        AudioKind "audio" audio: NewAudio; "An audio file."; NewAudioMessage, AudioMessage;
        VoiceKind "voice" voice: NewVoice; "A voice note."; NewVoiceMessage, VoiceMessage;
        DocumentKind "document" document: NewDocument; "Any file."; NewDocumentMessage, DocumentMessage;
        StickerKind "sticker" sticker: NewSticker; "A sticker."; NewStickerMessage, StickerMessage;
        LocationKind "location" location: NewLocation; "A location."; NewLocationMessage, LocationMessage;
        ContactsKind "contacts" contacts: Vec<ContactCard>; "Contact cards, 1 to 10."; NewContactsMessage, ContactsMessage;
        PollKind "poll" poll: Poll; "A poll."; NewPollMessage, PollMessage;
    }
    about {
        ReactionKind "reaction" reaction: NewReaction; "A reaction to a message."; NewReactionMessage, ReactionMessage;
        EditKind "edit" edit: NewEdit; "An edit of a sent text."; NewEditMessage, EditMessage;
        DeleteKind "delete" delete: NewDelete; "A deletion for everyone."; NewDeleteMessage, DeleteMessage;
    }
}

impl Type for NewMessage {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "NewMessage".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        Self::register_kinds(registry);
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| {
            let mapping = Self::KINDS.iter().map(|(word, schema)| {
                let link = format!("#/components/schemas/{schema}");
                ((*word).to_owned(), link)
            });
            let one_of = Self::KINDS.iter();
            MetaSchema {
                description: Some("A message to send: one of these kinds."),
                one_of: one_of
                    .map(|(_, schema)| MetaSchemaRef::Reference((*schema).to_owned()))
                    .collect(),
                discriminator: Some(MetaDiscriminatorObject {
                    property_name: "type",
                    mapping: mapping.collect(),
                }),
                ..MetaSchema::ANY
            }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl Read for NewMessage {
    /// Reads the schema that `type` names. A body without `type` is checked as a text.
    fn read(json: &Json<'_>) -> Result<Self, Problem> {
        let kind = json.text("type").unwrap_or("text");
        Self::of_kind(kind, json).unwrap_or_else(|| {
            let words: Vec<_> = Self::KINDS.iter().map(|(word, _)| *word).collect();
            let wanted = format!("expected one of {}", words.join(", "));
            Err(Problem::new(Code::ValidationFailed).at("/type", "unknown_value", wanted))
        })
    }
}

impl Common {
    fn mentioned(&self, flaws: &mut Flaws) -> Vec<Phone> {
        let code = Code::InvalidMention;
        let given = self.mentions.as_deref().unwrap_or_default();
        let holds = given.len() <= MENTIONS_MAX;
        flaws.unless(holds, code, "/mentions", "at most 100 people");
        let mut phones = Vec::with_capacity(given.len().min(MENTIONS_MAX));
        for (n, mention) in given.iter().take(MENTIONS_MAX).enumerate() {
            match phone(mention) {
                Ok(phone) => phones.push(phone),
                Err(no) => flaws.unless(false, code, format!("/mentions/{n}"), no.wanted()),
            }
        }
        phones
    }
}

#[cfg(test)]
mod tests {
    use passerelle_jobs::{
        clock::Clock,
        content::{Content, TEXT_MAX},
    };
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> Result<outbound::NewMessage, Problem> {
        let mut body = body.clone();
        body["session_id"] = json!(SessionId::new(&Clock::system()));
        if body.get("to").is_none() {
            body["to"] = json!("+491510000002");
        }
        NewMessage::read(&Json::parse(body.to_string().as_bytes())?)?.parse()
    }

    fn text(to: &str, body: &str) -> Value {
        json!({ "type": "text", "to": to, "text": { "body": body } })
    }

    #[test]
    fn a_recipient_in_any_spelling_is_taken_and_the_ambiguous_is_refused() {
        for to in [
            "+491510000002",
            "+49 151 0000002",
            "ctc_01kaq6h3zve9qbw4r2t8n5c7xd",
            "120363000000000000@g.us",
            "100000012345678@lid",
        ] {
            assert!(read(&text(to, "hi")).is_ok(), "{to}");
        }
        for (to, code) in [
            ("nobody", Code::InvalidRecipient),
            ("0151 0000002", Code::InvalidRecipient),
            ("status@broadcast", Code::RecipientKindUnsupported),
        ] {
            assert_eq!(read(&text(to, "hi")).unwrap_err().code(), code, "{to}");
        }
        let refused = format!("{:?}", read(&text("0151 0000002", "hi")).unwrap_err());
        assert!(refused.contains("+33612345678") && !refused.contains("0000002"));
    }

    #[test]
    fn a_text_has_1_to_65536_bytes() {
        let code = |body: &str| read(&text("+491510000002", body)).unwrap_err().code();
        assert!(read(&text("+491510000002", &"x".repeat(TEXT_MAX))).is_ok());
        assert_eq!(code(&"ä".repeat(TEXT_MAX / 2 + 1)), Code::TextTooLong);
        assert_eq!(code(" \n"), Code::TextEmpty);
    }

    #[test]
    fn every_flaw_is_told_at_once() {
        let mut bad = text("nobody", "");
        bad["mentions"] = json!(["+491510000003", "somebody"]);
        let shown = format!("{:?}", read(&bad).unwrap_err());
        for place in ["/to", "/text/body", "/mentions/1"] {
            assert!(shown.contains(place), "{shown}");
        }
        assert!(!shown.contains("body\": \"nobody") && !shown.contains("somebody"));
    }

    #[test]
    fn the_type_says_which_field_is_wanted() {
        let location = json!({ "latitude": 52.5, "longitude": 13.4 });
        let new = read(&json!({ "type": "location", "location": location })).unwrap();
        assert!(matches!(new.content, Content::Location(_)));
        let mixed = json!({ "type": "location", "text": { "body": "x" } });
        assert_eq!(read(&mixed).unwrap_err().code(), Code::UnknownField);
        let unknown = json!({ "type": "pigeon", "pigeon": {} });
        let shown = format!("{:?}", read(&unknown).unwrap_err());
        assert!(
            shown.contains("/type") && !shown.contains("pigeon"),
            "{shown}"
        );
    }

    #[test]
    fn every_limit_of_a_kind_holds() {
        let card = |name: &str, phone: &str| json!([{ "name": name, "phones": [phone] }]);
        let poll = |options: &[&str], count: u32| json!({ "question": "?", "options": options, "selectable_count": count });
        let place = |latitude: f64| json!({ "latitude": latitude, "longitude": 0 });
        let id = "msg_01kaq6h3zve9qbw4r2t8n5c7xd";
        for (kind, value, code) in [
            ("location", place(90.5), Code::InvalidLocation),
            ("contacts", json!([]), Code::InvalidContact),
            ("contacts", card("", "+491510000002"), Code::InvalidContact),
            ("contacts", card("Ada", "0151"), Code::InvalidContact),
            ("poll", poll(&["a"], 1), Code::InvalidPoll),
            ("poll", poll(&["a", "a"], 1), Code::InvalidPoll),
            ("poll", poll(&["a", "b"], 3), Code::InvalidPoll),
            ("poll", poll(&["a", "b"], 0), Code::InvalidPoll),
            (
                "reaction",
                json!({ "message_id": id, "emoji": "ok" }),
                Code::InvalidEmoji,
            ),
            (
                "edit",
                json!({ "message_id": id, "body": " " }),
                Code::TextEmpty,
            ),
            ("delete", json!({ "message_id": "msg_1" }), Code::InvalidId),
        ] {
            let mut body = json!({ "type": kind });
            body[kind] = value;
            assert_eq!(read(&body).unwrap_err().code(), code, "{body}");
        }
    }

    #[test]
    fn what_is_about_a_message_takes_nothing_beside_it() {
        let id = "msg_01kaq6h3zve9qbw4r2t8n5c7xd";
        let delete = json!({ "type": "delete", "delete": { "message_id": id }, "reply_to": id });
        assert_eq!(read(&delete).unwrap_err().code(), Code::UnknownField);
    }
}

//! The answer of a rule: any content that can be sent and is not about another message.

use std::borrow::Cow;

use passerelle_jobs::{content::Content, media::MediaSource, messages::shown::shown_answer};
use poem_openapi::{
    Enum, Object,
    registry::{MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    flaws::Flaws,
    problem::Code,
    routes::messages::{
        files::{MessageMedia, NewAudio, NewDocument, NewImage, NewSticker, NewVideo, NewVoice},
        incoming::Location,
        kinds::{ContactCard, NewLocation, NewText, Parsed, Poll, Shape as _, Text},
    },
};

/// What a rule can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AutoReplyType {
    /// A text.
    Text,
    /// An image.
    Image,
    /// A video.
    Video,
    /// An audio file.
    Audio,
    /// A voice note.
    Voice,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
    /// A location.
    Location,
    /// Contact cards.
    Contacts,
    /// A poll.
    Poll,
}

/// The answer of a rule. The field that `type` names has its content; the others are absent. The text and captions are
/// templates with values of the message and the contact, of at most 4,096 bytes.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewAutoReplyAnswer {
    /// The kind of the answer.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: AutoReplyType,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<NewText>,
    /// An image. Its file is kept as long as the rule is there, as are those of the other kinds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<NewImage>,
    /// A video.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub video: Option<NewVideo>,
    /// An audio file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audio: Option<NewAudio>,
    /// A voice note.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voice: Option<NewVoice>,
    /// Any file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub document: Option<NewDocument>,
    /// A sticker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sticker: Option<NewSticker>,
    /// A location.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<NewLocation>,
    /// Contact cards, 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contacts: Option<Vec<ContactCard>>,
    /// A poll.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub poll: Option<Poll>,
}

impl NewAutoReplyAnswer {
    /// Returns the content, and adds every error in it to `flaws`.
    pub(super) fn parse(self, flaws: &mut Flaws) -> Option<(Content, Option<MediaSource>)> {
        let mut inner = Flaws::default();
        let kind = self.kind;
        let named = [
            (
                AutoReplyType::Text,
                self.text.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Image,
                self.image.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Video,
                self.video.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Audio,
                self.audio.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Voice,
                self.voice.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Document,
                self.document.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Sticker,
                self.sticker.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Location,
                self.location.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Contacts,
                self.contacts.map(|of| of.content(&mut inner)),
            ),
            (
                AutoReplyType::Poll,
                self.poll.map(|of| of.content(&mut inner)),
            ),
        ];
        let mut given: Vec<(AutoReplyType, Parsed)> = named
            .into_iter()
            .filter_map(|(of, parsed)| Some((of, parsed?)))
            .collect();
        let wanted = "exactly the field that `type` names";
        let holds = given.len() == 1 && given.iter().all(|(of, _)| *of == kind);
        flaws.unless(holds, Code::InvalidRule, "/answer", wanted);
        flaws.add_below("/answer", inner);
        let (_, parsed) = given.pop()?;
        Some((parsed.content, parsed.source))
    }
}

/// The answer of a rule. The field that `type` names has its content.
#[derive(Debug, Object)]
#[oai(rename = "AutoReplyAnswer")]
#[oai(skip_serializing_if_is_none)]
pub struct AnswerSchema {
    /// The kind of the answer.
    #[oai(rename = "type")]
    pub kind: AutoReplyType,
    /// The text, a template.
    pub text: Option<Text>,
    /// The image; its caption is a template.
    pub image: Option<MessageMedia>,
    /// The video; its caption is a template.
    pub video: Option<MessageMedia>,
    /// The audio file.
    pub audio: Option<MessageMedia>,
    /// The voice note.
    pub voice: Option<MessageMedia>,
    /// The file; its caption is a template.
    pub document: Option<MessageMedia>,
    /// The sticker.
    pub sticker: Option<MessageMedia>,
    /// The location.
    pub location: Option<Location>,
    /// The contact cards.
    pub contacts: Option<Vec<ContactCard>>,
    /// The poll.
    pub poll: Option<Poll>,
}

/// The answer of a rule, with the schema [`AnswerSchema`].
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct AutoReplyAnswer(Value);

impl From<&Content> for AutoReplyAnswer {
    fn from(content: &Content) -> Self {
        Self(shown_answer(content))
    }
}

impl Type for AutoReplyAnswer {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        AnswerSchema::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        AnswerSchema::schema_ref()
    }

    fn register(registry: &mut Registry) {
        AnswerSchema::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for AutoReplyAnswer {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

impl ParseFromJSON for AutoReplyAnswer {
    fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
        Err(ParseError::custom("only in answers"))
    }
}

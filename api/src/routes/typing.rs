//! Typing indicators.

use passerelle_jobs::{
    Services,
    ids::SessionId,
    limits,
    sessions::typing::{self, Typing, TypingError},
};
use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, param::Path};
use serde::{Deserialize, Serialize};

use super::{Group, messages::refusals, of_ask};
use crate::{
    auth::Caller,
    body::{Body, Success},
    flaws::Flaws,
    problem::{Code, Problem},
    spelling::recipient::{normal_form, recipient},
    types::{Id, Timestamp},
};

/// The typing indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TypingState {
    /// Somebody is typing.
    Typing,
    /// Somebody is recording a voice note.
    Recording,
    /// Neither of them any more.
    Paused,
}

impl From<TypingState> for Typing {
    fn from(state: TypingState) -> Self {
        match state {
            TypingState::Typing => Self::Text,
            TypingState::Recording => Self::Voice,
            TypingState::Paused => Self::Paused,
        }
    }
}

/// A typing indicator to show.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewTyping {
    /// The recipient, as in the `to` of a message.
    pub to: String,
    /// The typing indicator.
    pub state: TypingState,
}

/// A typing indicator that is shown.
#[derive(Debug, Serialize, Object)]
pub struct TypingShown {
    /// Always `typing`.
    pub object: String,
    /// The recipient; a phone number in E.164.
    pub to: String,
    /// The typing indicator.
    pub state: TypingState,
    /// When it ends unless it is shown again. Absent for `paused`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl From<TypingError> for Problem {
    fn from(error: TypingError) -> Self {
        match error {
            TypingError::NoContact => refusals::no_contact(),
            TypingError::OptedOut => refusals::opted_out(),
            TypingError::Ask(error) => of_ask(error, (Code::TypingPaced, limits::TYPING)),
        }
    }
}

/// Typing.
pub struct TypingTold;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl TypingTold {
    /// Show a typing indicator to a person or a group.
    ///
    /// The session must be connected. A typing indicator is not a message and does not wait in the queue. It
    /// ends after 20 seconds, so show it again while somebody is still typing. Under `phone_first` it is seen for at
    /// most 15 seconds. A session can show twenty at once
    /// and then one per second. The gateway itself shows typing before each message.
    #[oai(path = "/:id/typing", method = "post", operation_id = "show_typing")]
    async fn show_typing(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<NewTyping>,
    ) -> Result<Success<TypingShown>, Problem> {
        let NewTyping { to, state } = body.0;
        let mut flaws = Flaws::default();
        let parsed = recipient(&to, &mut flaws);
        let parsed = flaws.judge(parsed)?;
        let parsed = parsed.ok_or_else(|| Problem::new(Code::InvalidRecipient))?;
        let until = typing::show(&services, caller.0.org, id.0.0, &parsed, state.into()).await?;
        Ok(Success::of(TypingShown {
            object: "typing".to_owned(),
            to: normal_form(&parsed),
            state,
            until: until.map(Timestamp),
        }))
    }
}

//! Typing: a contact is shown that somebody writes to them.

use passerelle_jobs::{
    Services,
    ids::SessionId,
    sessions::typing::{self, Typing, TypingError},
};
use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, param::Path};
use serde::{Deserialize, Serialize};

use super::{
    Group,
    messages::{refusals, request::recipient},
    of_ask,
};
use crate::{
    auth::Caller,
    body::{Body, Success},
    flaws::Flaws,
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// What the number is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TypingState {
    /// Typing.
    Typing,
    /// Recording a voice note.
    Recording,
    /// Neither, any more.
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

/// What to show to a contact.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewTyping {
    /// To whom, as a message's `to`.
    pub to: String,
    /// What the number is at.
    pub state: TypingState,
}

/// What a contact is shown.
#[derive(Debug, Serialize, Object)]
pub struct TypingShown {
    /// Always `typing`.
    pub object: String,
    /// To whom.
    pub to: String,
    /// What the number is at.
    pub state: TypingState,
    /// When it is taken back unless it is shown again; absent of `paused`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl From<TypingError> for Problem {
    fn from(error: TypingError) -> Self {
        match error {
            TypingError::NoContact => refusals::no_contact(),
            TypingError::OptedOut => refusals::opted_out(),
            TypingError::Ask(error) => of_ask(error, Code::TypingPaced),
        }
    }
}

/// Typing.
pub struct TypingTold;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl TypingTold {
    /// Show a contact that somebody is typing.
    ///
    /// It needs the session's connection, and is no message: it does not wait in the queue. After 20 seconds
    /// it is taken back, so show it again while somebody goes on typing. A session shows at most twenty at
    /// once and then one in a second. Before each message typing is shown by itself.
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
            to,
            state,
            until: until.map(Timestamp),
        }))
    }
}

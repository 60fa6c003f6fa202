//! Rejecting a call. Only the process that runs the session knows its calls.

use passerelle_engine::ids::{OrgId, SessionId};

use crate::{
    calls::Rejection,
    error::{AskError, Fault},
    model::State,
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
};

/// The longest id of a call.
const ID_MAX: usize = 128;

/// Why a call was not rejected.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// No such call.
    #[error("no such call")]
    NoCall,
    /// The call has ended, or came while the session was away.
    #[error("the call is over")]
    Over,
    /// The connection did not reject it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Rejects a call that rings, on behalf of the number's owner.
pub async fn reject(
    services: &Services,
    org: OrgId,
    session: SessionId,
    call: &str,
) -> Result<(), RejectError> {
    let found = sessions::read(services, org, session).await;
    let found = found.map_err(AskError::from)?.ok_or(AskError::NotFound)?;
    if call.len() > ID_MAX {
        return Err(RejectError::NoCall);
    }
    if found.state != State::Connected {
        return Err(AskError::NotConnected.into());
    }
    let command = Command::RejectCall(call.to_owned());
    let answer = commands::ask(services, org, session, command).await;
    let told = answer.map_err(AskError::from)?.into_text()?;
    let rejection = serde_json::from_str(&told).map_err(Fault::from);
    match rejection.map_err(AskError::from)? {
        Rejection::Rejected => Ok(()),
        Rejection::Unknown => Err(RejectError::NoCall),
        Rejection::Over => Err(RejectError::Over),
    }
}

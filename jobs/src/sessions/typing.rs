//! Typing indicators: a contact sees that the number is typing, or recording a voice note. An indicator
//! is not a message: it takes no place in the lane. It is refused where a message would be refused.
//!
//! The recipient's phone clears an indicator after about 25 seconds, but each phone decides that itself.
//! So the session's host clears it earlier, unless it is shown again.

pub use passerelle_engine::whatsapp::Typing;
use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
};

use crate::{
    error::{AskError, Fault},
    model::millis,
    outbound::{self, recipient::To},
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
    state::typing::SHOWN,
    store,
};

/// Why an indicator was not shown.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// No such contact.
    #[error("no such contact")]
    NoContact,
    /// The contact opted out of this organisation's messages.
    #[error("the recipient opted out")]
    OptedOut,
    /// The connection did not show it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl From<Fault> for TypingError {
    fn from(fault: Fault) -> Self {
        Self::Ask(fault.into())
    }
}

impl From<sqlx::Error> for TypingError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ask(error.into())
    }
}

/// Shows or clears an indicator through the session's connection. Returns when it will be cleared if it is
/// not shown again; `None` if this call clears it.
pub async fn show(
    services: &Services,
    org: OrgId,
    session: SessionId,
    to: &To,
    typing: Typing,
) -> Result<Option<Millis>, TypingError> {
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound.into());
    }
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let found = outbound::address(services, &key, org, to).await?;
    let (to, to_mac) = found.ok_or(TypingError::NoContact)?;
    let opted_out = {
        let mut conn = services.store().read(org).await?;
        store::contacts::opt_outs::is_opted_out(&mut conn, org, &to_mac).await?
    };
    if opted_out {
        return Err(TypingError::OptedOut);
    }
    let answer = commands::ask(services, org, session, Command::Typing { to, typing }).await?;
    answer.into_text()?;
    let until = services.clock().now().saturating_add(millis(SHOWN));
    Ok((typing != Typing::Paused).then_some(until))
}

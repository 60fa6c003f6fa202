//! Telling a contact that the number is typing, or recording a voice note. It is no message: it takes
//! no place in the lane, and it is refused where a message would be.
//!
//! A phone takes it back by itself after some 25 seconds, which is the phone's to decide. So the
//! session's host takes it back before that, unless it was told again.

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

/// Why a contact was not told.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// No such contact.
    #[error("no such contact")]
    NoContact,
    /// The contact wants nothing more from this organisation.
    #[error("the recipient opted out")]
    OptedOut,
    /// The connection did not tell them.
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

/// Tells the contact, through the session's connection. When it will be taken back, unless it is told
/// again: none of what takes it back.
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
        store::contacts::is_opted_out(&mut conn, org, &to_mac).await?
    };
    if opted_out {
        return Err(TypingError::OptedOut);
    }
    let told = commands::ask(services, org, session, Command::Typing { to, typing }).await?;
    told.or_why()?;
    let until = services.clock().now().saturating_add(millis(SHOWN));
    Ok((typing != Typing::Paused).then_some(until))
}

//! The groups that a session's number is in. WhatsApp knows them, nothing of them is kept here.
//!
//! Asking is dear to WhatsApp: each session asks at a slow, even pace, and a group's id stays the same,
//! so whoever writes to one need ask for it only once.

use passerelle_engine::ids::{OrgId, SessionId};
pub use passerelle_engine::whatsapp::JoinedGroup;

use crate::{
    error::{AskError, Fault},
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
};

/// The groups that the session's number is in, by name.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: SessionId,
) -> Result<Vec<JoinedGroup>, AskError> {
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound);
    }
    let told = commands::ask(services, org, session, Command::Groups).await?;
    Ok(serde_json::from_str(&told.or_why()?).map_err(Fault::from)?)
}

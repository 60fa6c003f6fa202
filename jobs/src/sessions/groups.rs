//! The groups that a session's number is in. Only WhatsApp knows them; nothing about them is stored here.
//!
//! The query is expensive for WhatsApp, so each session's rate is limited. A group's id does not change,
//! so a caller needs to look it up only once.

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

/// Returns the groups that the session's number is in, sorted by name.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: SessionId,
) -> Result<Vec<JoinedGroup>, AskError> {
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound);
    }
    let answer = commands::ask(services, org, session, Command::Groups).await?;
    Ok(serde_json::from_str(&answer.into_text()?).map_err(Fault::from)?)
}

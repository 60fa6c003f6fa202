//! The groups that a session's number is in. WhatsApp knows them, nothing of them is kept here.
//!
//! Asking is dear to WhatsApp: each session asks at a slow, even pace, and a group's id stays the same,
//! so whoever writes to one need ask for it only once.

use std::{num::NonZeroU32, time::Duration};

use passerelle_engine::ids::{OrgId, SessionId};
pub use passerelle_engine::whatsapp::JoinedGroup;

use crate::{
    error::{AskError, Fault},
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
    state::rate_limit::Rate,
};

/// Questions of one session to WhatsApp: one in so long, and so many at once.
const EVERY: Duration = Duration::from_secs(10);
const AT_ONCE: NonZeroU32 = NonZeroU32::new(6).expect("6 is not 0");

/// How often each session of this process may ask.
pub(crate) fn rate() -> Rate {
    Rate::new(AT_ONCE, EVERY)
}

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

//! Disappearing messages: a chat's timer is learnt from what is written in it, and kept. What the gateway sends
//! in the chat carries it, as a phone's messages do; the claim of a message reads it
//! (`jobs/src/store/system.rs`).

use passerelle_engine::{
    ids::{OrgId, SessionId},
    store::Tx,
    whatsapp::inbound::Inbound,
};

use crate::store::{
    self,
    chat_timers::{TimedChat, set},
};

/// What a message from WhatsApp says of its chat's timer, in seconds, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    seconds: Option<u32>,
    at: i64,
}

impl Said {
    pub(crate) fn by(inbound: &Inbound) -> Self {
        Self {
            seconds: inbound.timer,
            at: inbound.at,
        }
    }

    /// Keeps what was said, if it differs from what is `known`.
    pub(crate) async fn keep(
        self,
        tx: &mut Tx,
        of: (OrgId, SessionId),
        chat: TimedChat<'_>,
        known: store::messages::KnownTimer,
    ) -> Result<(), sqlx::Error> {
        match self.seconds {
            Some(seconds) if known != Some(i64::from(seconds)) => {
                set(tx, of, chat, seconds, self.at).await
            }
            _ => Ok(()),
        }
    }
}

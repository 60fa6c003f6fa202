//! The calls of a session.

use std::time::Duration;

use passerelle_engine::{
    content::Content,
    ids::ContactId,
    whatsapp::{Call, CallStanza, Connection, Offer},
};

use super::RunningSession;
use crate::{
    calls::{self, Received, Rejection},
    error::Fault,
    model::{AutoReject, millis, until},
    outbound::{self, AcceptError, Idempotency, NewMessage, To},
    state::calls::Ringing,
};

/// How long a phone rings at most.
const RINGS: Duration = Duration::from_secs(90);
/// How long the end of an older call may take to come. WhatsApp delivers it together with the call.
const FOLLOWS: Duration = Duration::from_secs(10);

impl RunningSession {
    /// Handles a stanza about a call. Waits while the database is down.
    pub(super) async fn take_call(&self, stanza: &CallStanza) -> Result<(), Fault> {
        let Some(connection) = self.connection() else {
            return Ok(());
        };
        let call = connection.read_call(stanza).await;
        let now = self.services.clock().monotonic();
        match call {
            Some(Call::Offered(offer)) if !self.calls.has_rung(&offer.id, now) => {
                self.ring(&connection, &offer).await
            }
            Some(Call::Ended { id, how }) => {
                self.calls.end(&id, how, now);
                Ok(())
            }
            Some(Call::Offered(_)) | None => Ok(()),
        }
    }

    async fn ring(&self, connection: &Connection, offer: &Offer) -> Result<(), Fault> {
        let clock = self.services.clock();
        let left = until(offer.at.saturating_add(millis(RINGS)), clock.now());
        let is_on = !offer.is_queued || !left.is_zero();
        let waits = left.clamp(FOLLOWS, RINGS);
        let Received {
            data,
            caller,
            auto_reject,
        } = self
            .commit_with_retry(|| calls::received(&self.services, &self.lease, offer, is_on))
            .await?;
        let now = clock.monotonic();
        let ringing = Ringing {
            data,
            route: offer.route.clone(),
            is_on,
            missed_at: offer.is_queued.then_some(now + waits),
        };
        self.calls.ring(&offer.id, ringing, now);
        match auto_reject {
            Some(auto_reject) if is_on => {
                self.auto_reject(connection, offer, caller, auto_reject)
                    .await
            }
            _ => Ok(()),
        }
    }

    /// Rejects a call that rings, and accepts the text for its caller.
    async fn auto_reject(
        &self,
        connection: &Connection,
        offer: &Offer,
        caller: ContactId,
        AutoReject { text }: AutoReject,
    ) -> Result<(), Fault> {
        let session = self.lease.session;
        match calls::reject(&self.services, session, connection, &offer.id).await {
            Ok(Rejection::Rejected) => {}
            Ok(Rejection::Over | Rejection::Unknown) => return Ok(()),
            Err(error) => {
                tracing::warn!(session.id = %session, error = format!("{error:#}"), "a call was not rejected");
                return Ok(());
            }
        }
        let Some(text) = text.filter(|_| !offer.is_group) else {
            return Ok(());
        };
        self.commit_with_retry(|| self.answer(caller, &offer.id, &text))
            .await
    }

    /// Accepts the text for the caller, once for each call.
    async fn answer(&self, caller: ContactId, call: &str, text: &str) -> Result<(), Fault> {
        let session = self.lease.session;
        let new = NewMessage {
            is_answer: true,
            ..NewMessage::of(session, To::Contact(caller), Content::text(text))
        };
        // A key that no request can have.
        let once = Idempotency {
            key: format!("\0call.answer/{session}/{call}"),
            request: Vec::new(),
        };
        match outbound::accept(&self.services, self.lease.org, new, Some(once)).await {
            Err(AcceptError::Fault(fault)) => Err(fault),
            Err(refused) => {
                tracing::info!(session.id = %session, %refused, "the caller gets no text");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Writes the events of calls that have ended. Never returns.
    pub(super) async fn tell_ended_calls(&self) {
        loop {
            for call in self.calls.ended(self.services.clock()).await {
                let commit = || calls::ended(&self.services, &self.lease, &call);
                // Boxed: it is rare, and every session waits here.
                let told = Box::pin(self.commit_with_retry(commit)).await;
                if let Err(fault) = told {
                    tracing::warn!(session.id = %self.lease.session, error = %fault, "the end of a call was not stored");
                }
            }
        }
    }
}

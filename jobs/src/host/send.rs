//! Sends one message. Its outcome and the release of its lane are one transaction.

use std::time::Duration;

use passerelle_engine::{
    content::Content,
    whatsapp::{Attached, Connection, Outgoing, SendError, Typing},
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    crash,
    host::{
        addressee, attach, fence,
        job::SendMessage,
        outcome::{self, Outcome},
        reachout,
    },
    model::Message,
    preview,
    queue::job_result::{Doing as _, Done, JobResult},
    services::Services,
    state::{
        in_flight::{InFlight, ServerVerdict},
        registry::Running,
    },
};

/// Timeout for writing one message. The library may have to ask WhatsApp about the recipient first.
const WRITE: Duration = Duration::from_secs(30);
/// Phones show typing for about ten seconds unless it is told again.
const TYPING_FADES: Duration = Duration::from_secs(8);
/// Delay before retrying a message whose preview could not be read from the database.
const AWAY: Duration = Duration::from_secs(1);

/// Sends one claimed message and settles it.
pub(crate) async fn send(services: Services, job: SendMessage) -> JobResult {
    let _in_hand = services.in_hand().take(job.message);
    let claimed = outcome::load(&services, &job).await;
    let Some(mut claimed) = claimed.doing("loading a claimed message")? else {
        tracing::info!(message.id = %job.message, "a claimed message was deleted or settled before");
        return Ok(Done);
    };
    let registry = services.registry();
    let Some(running) = registry.running(job.session, job.epoch) else {
        return outcome::settle(&services, &job, &claimed, &Outcome::PutBack).await;
    };
    let ready = tokio::select! {
        ready = preview::wait(&services, &mut claimed.message) => ready,
        () = running.stop.cancelled() => {
            return outcome::settle(&services, &job, &claimed, &Outcome::PutBack).await;
        }
    };
    if let Err(fault) = ready {
        if fault.is_permanent() {
            return Err(fault).doing("reading a message with its preview");
        }
        tracing::warn!(message.id = %job.message, error = %fault, "the preview of a message could not be read from the database; the message waits");
        return outcome::settle(&services, &job, &claimed, &Outcome::Later(AWAY)).await;
    }
    // Until this guard is dropped, receipts of the message wait, so that its outcome is committed first.
    let (_in_flight, verdicts) = InFlight::begin(&running.in_flight, &claimed.message.wa_id);
    let addressed = addressee::settle(&services, &running, &job, &mut claimed).await;
    let outcome = if let Err(outcome) = addressed.doing("addressing a message")? {
        outcome
    } else {
        let sending = Send {
            services: &services,
            running: &running,
            job: &job,
            message: &claimed.message,
        };
        sending.run(verdicts).await
    };
    let outcome = claimed.unknown_if_resent(outcome);
    // Boxed: it is rare, and every message waits here.
    let explain = reachout::explain(&services, &running, &job, &claimed, outcome);
    let outcome = Box::pin(explain).await;
    outcome::settle(&services, &job, &claimed, &outcome).await
}

/// One message that is being sent.
struct Send<'t> {
    services: &'t Services,
    running: &'t Running,
    job: &'t SendMessage,
    message: &'t Message,
}

impl Send<'_> {
    async fn run(&self, verdicts: mpsc::Receiver<ServerVerdict>) -> Outcome {
        let Some(connection) = &self.running.connection else {
            return Outcome::PutBack;
        };
        if self.is_expired() {
            return Outcome::Expired;
        }
        let attached = match self.attach(connection).await {
            Ok(attached) => attached,
            Err(outcome) => return outcome,
        };
        if !self.wait_and_type(connection).await {
            return Outcome::PutBack;
        }
        if self.is_expired() {
            return Outcome::Expired;
        }
        match self.write(connection, attached.as_ref()).await {
            Ok(written) => self.wait_for_verdict(connection, written, verdicts).await,
            Err(outcome) => outcome,
        }
    }

    fn is_expired(&self) -> bool {
        self.message.is_expired(self.services.clock().now())
    }

    /// Waits until both gates are open, and shows typing shortly before. Returns false if the session is
    /// stopped first.
    async fn wait_and_type(&self, connection: &Connection) -> bool {
        let now = self.services.clock().monotonic();
        let send_at = now + Duration::from_millis(self.job.wait_ms);
        let open_at = self
            .running
            .in_flight
            .gate()
            .map_or(send_at, |gate| gate.max(send_at));
        let lasts = Duration::from_millis(self.job.typing_ms);
        let shown = match self.message.content {
            Content::Voice(_) => Typing::Voice,
            _ => Typing::Text,
        };
        let typing = async {
            let from = open_at.checked_sub(lasts);
            tokio::time::sleep_until(from.unwrap_or(open_at)).await;
            loop {
                let told = connection.typing(&self.message.recipient(), shown).await;
                if let Err(error) = told {
                    tracing::debug!(%error, "typing was not shown");
                }
                tokio::time::sleep(TYPING_FADES).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(open_at) => true,
            () = self.running.stop.cancelled() => false,
            () = typing => false,
        }
    }

    /// Uploads the message's file to WhatsApp, unless the session is stopped first.
    async fn attach(&self, connection: &Connection) -> Result<Option<Attached>, Outcome> {
        tokio::select! {
            attached = attach::attach(self.services, connection, self.message) => attached,
            () = self.running.stop.cancelled() => Err(Outcome::PutBack),
        }
    }

    /// Writes the message to the socket under its fixed WhatsApp id. Returns the time of the write and how many
    /// members its group has, or the outcome if it was not written.
    async fn write(
        &self,
        connection: &Connection,
        attached: Option<&Attached>,
    ) -> Result<(Instant, Option<u32>), Outcome> {
        if !fence::holds(self.services) {
            return Err(Outcome::PutBack);
        }
        crash::point("wire.before");
        let outgoing = Outgoing {
            content: &self.message.content,
            context: &self.message.context,
            attached,
            expires_in: self.message.expires_in,
            at: self.services.clock().now(),
        };
        let to = self.message.recipient();
        let writing = async {
            let members = connection.members(&to).await;
            let sent = connection.send(&to, &self.message.wa_id, outgoing).await;
            sent.map(|()| members)
        };
        let written = tokio::time::timeout(WRITE, writing).await;
        let wire_at = self.services.clock().monotonic();
        let members = match written.unwrap_or(Err(SendError::Unsure("write_timeout"))) {
            Ok(members) => members,
            Err(SendError::Unsure(code)) => {
                tracing::info!(message.id = %self.message.id, code, "the message may or may not have been written");
                None
            }
            Err(SendError::NotOnWire(code)) => {
                tracing::debug!(message.id = %self.message.id, code, "the message was not written; it stays at the head of its lane");
                return Err(Outcome::PutBack);
            }
            Err(SendError::Permanent(code)) => return Err(Outcome::Failed(code.to_owned())),
        };
        self.running.in_flight.close_gate(wire_at + self.gap());
        self.running.health.look(wire_at);
        crash::point("wire.after");
        Ok((wire_at, members))
    }

    /// Waits for WhatsApp's answer to the written message. Reconnects if none comes in time.
    async fn wait_for_verdict(
        &self,
        connection: &Connection,
        (wire_at, members): (Instant, Option<u32>),
        mut verdicts: mpsc::Receiver<ServerVerdict>,
    ) -> Outcome {
        let deadline = wire_at + self.services.settings().ack_timeout;
        let verdict = tokio::time::timeout_at(deadline, verdicts.recv())
            .await
            .ok()
            .flatten();
        if verdict.is_none() && !self.running.stop.is_cancelled() {
            tracing::warn!(message.id = %self.message.id, "WhatsApp's server did not acknowledge the message in time; reconnecting");
            connection.reconnect().await;
        }
        Outcome::Written {
            wire_at,
            gap: self.gap(),
            verdict,
            members,
        }
    }

    fn gap(&self) -> Duration {
        Duration::from_millis(self.job.gap_ms)
    }
}

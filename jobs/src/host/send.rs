//! Sending one message. Its outcome and the lane's release are one transaction.

use std::time::Duration;

use passerelle_engine::whatsapp::{Attached, Connection, Outgoing, SendError, Typing};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    crash,
    host::{
        attach, fence,
        job::SendMessage,
        outcome::{self, Outcome},
    },
    messages::opt_out,
    model::Message,
    preview,
    queue::job_result::{Doing as _, Done, JobResult},
    services::Services,
    state::{
        in_flight::{InFlight, ServerVerdict},
        registry::Running,
    },
};

/// How long the library may take to write one message; it may ask WhatsApp for the recipient first.
const WRITE: Duration = Duration::from_secs(30);

/// Between two tries while the store does not tell what a message carries.
const AWAY: Duration = Duration::from_secs(1);

/// Sends one claimed message and settles it.
pub(crate) async fn send(services: Services, job: SendMessage) -> JobResult {
    let _in_hand = services.in_hand().take(job.message);
    let claimed = outcome::load(&services, &job).await;
    let Some(mut claimed) = claimed.doing("loading a claimed message")? else {
        tracing::info!(message.id = %job.message, "a claimed message is gone or settled");
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
        tracing::warn!(message.id = %job.message, error = %fault, "a message waits for the store");
        return outcome::settle(&services, &job, &claimed, &Outcome::Later(AWAY)).await;
    }
    // Until this is dropped, receipts of the message wait for its outcome to be committed.
    let (_in_flight, verdicts) = InFlight::begin(&running.in_flight, &claimed.message.wa_id);
    let sending = Send {
        services: &services,
        running: &running,
        job: &job,
        message: &claimed.message,
    };
    let outcome = if claimed.opted_out {
        Outcome::Failed(opt_out::CODE.to_owned())
    } else {
        sending.run(verdicts).await
    };
    let outcome = claimed.honestly(outcome);
    outcome::settle(&services, &job, &claimed, &outcome).await
}

/// One message on its way.
struct Send<'t> {
    services: &'t Services,
    running: &'t Running,
    job: &'t SendMessage,
    message: &'t Message,
}

impl Send<'_> {
    async fn run(&self, verdicts: mpsc::Receiver<ServerVerdict>) -> Outcome {
        let Some(link) = &self.running.link else {
            return Outcome::PutBack;
        };
        if self.is_expired() {
            return Outcome::Expired;
        }
        let attached = match self.attach(link).await {
            Ok(attached) => attached,
            Err(outcome) => return outcome,
        };
        if !self.wait_and_type(link).await {
            return Outcome::PutBack;
        }
        if self.is_expired() {
            return Outcome::Expired;
        }
        match self.write(link, attached.as_ref()).await {
            Ok(wire_at) => self.hear(link, wire_at, verdicts).await,
            Err(outcome) => outcome,
        }
    }

    fn is_expired(&self) -> bool {
        self.message
            .expires_at
            .is_some_and(|at| at < self.services.clock().now())
    }

    /// Shows typing until both gates are open; false when the session is to rest first.
    async fn wait_and_type(&self, link: &Connection) -> bool {
        let send_at = self.services.clock().monotonic() + Duration::from_millis(self.job.wait_ms);
        let open_at = self
            .running
            .in_flight
            .gate()
            .map_or(send_at, |gate| gate.max(send_at));
        let typing = async {
            let from = open_at.checked_sub(self.services.settings().pace.typing());
            tokio::time::sleep_until(from.unwrap_or(open_at)).await;
            let shown = link.typing(&self.message.recipient(), Typing::Text).await;
            if let Err(error) = shown {
                tracing::debug!(%error, "typing was not shown");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = tokio::time::sleep_until(open_at) => true,
            () = self.running.stop.cancelled() => false,
            () = typing => false,
        }
    }

    /// The message's file as WhatsApp has it, given to WhatsApp while the message waits for its turn.
    async fn attach(&self, link: &Connection) -> Result<Option<Attached>, Outcome> {
        tokio::select! {
            attached = attach::attach(self.services, link, self.message) => attached,
            () = self.running.stop.cancelled() => Err(Outcome::PutBack),
        }
    }

    /// Writes the message under its fixed id: when, or what became of it instead.
    async fn write(
        &self,
        link: &Connection,
        attached: Option<&Attached>,
    ) -> Result<Instant, Outcome> {
        if !fence::holds(self.services) {
            return Err(Outcome::PutBack);
        }
        crash::point("wire.before");
        let outgoing = Outgoing {
            content: &self.message.content,
            context: &self.message.context,
            attached,
            at: self.services.clock().now(),
        };
        let to = self.message.recipient();
        let writing = link.send(&to, &self.message.wa_id, outgoing);
        let written = tokio::time::timeout(WRITE, writing).await;
        let wire_at = self.services.clock().monotonic();
        match written.unwrap_or(Err(SendError::Unsure("write_timeout"))) {
            Ok(()) => {}
            Err(SendError::Unsure(code)) => {
                tracing::info!(message.id = %self.message.id, code, "may have been written");
            }
            Err(SendError::NotOnWire(code)) => {
                tracing::debug!(message.id = %self.message.id, code, "not written, stays in its lane");
                return Err(Outcome::PutBack);
            }
            Err(SendError::Permanent(code)) => return Err(Outcome::Failed(code.to_owned())),
        }
        self.running.in_flight.close_gate(wire_at + self.gap());
        crash::point("wire.after");
        Ok(wire_at)
    }

    /// Waits for WhatsApp's word on what was written.
    async fn hear(
        &self,
        link: &Connection,
        wire_at: Instant,
        mut verdicts: mpsc::Receiver<ServerVerdict>,
    ) -> Outcome {
        let deadline = wire_at + self.services.settings().ack_timeout;
        let verdict = tokio::time::timeout_at(deadline, verdicts.recv())
            .await
            .ok()
            .flatten();
        if verdict.is_none() && !self.running.stop.is_cancelled() {
            tracing::warn!(message.id = %self.message.id, "WhatsApp's server did not answer in time; connecting again");
            link.reconnect().await;
        }
        Outcome::Written {
            wire_at,
            gap: self.gap(),
            verdict,
        }
    }

    fn gap(&self) -> Duration {
        Duration::from_millis(self.job.gap_ms)
    }
}

//! A host that sends nothing, to measure the throughput of the lanes. Lanes, claims and outcomes are
//! real; each message counts as written and acknowledged at once. Sandbox builds only.

use std::sync::Arc;

use passerelle_engine::ids::{MessageId, OrgId, SessionId};
use tokio::{sync::mpsc, time::Instant};

use super::outcome::{self, Outcome};
use crate::{
    error::Fault,
    host::{claim::Lanes, job::SendMessage},
    queue::{
        job_result::{Doing as _, Done, JobResult},
        worker::{self, Workload},
    },
    roles::Running,
    services::Services,
    state::in_flight::ServerVerdict,
    store,
};

/// A message that would have been written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// The session whose lane it was in.
    pub session: SessionId,
    /// Its id; ids grow in the order of acceptance.
    pub message: MessageId,
    /// When it would have been written.
    pub at: Instant,
    /// The lane's next message may be written this many milliseconds later.
    pub gap_ms: u64,
}

/// Takes the leases of these sessions and opens their lanes.
pub async fn open(services: &Services, org: OrgId, sessions: &[SessionId]) -> Result<(), Fault> {
    for &session in sessions {
        let host = Arc::clone(&services.settings().host);
        services
            .store()
            .write_system(move |tx| {
                Box::pin(async move {
                    let lease =
                        store::system::hosts::take_lease(tx, &host, org, session, 0).await?;
                    let lease = lease.ok_or(Fault::LeaseLost)?;
                    store::lanes::open(tx, org, session, lease.epoch, 0).await?;
                    Ok::<_, Fault>(())
                })
            })
            .await?;
    }
    services.lanes().notify_one();
    Ok(())
}

/// Runs the lanes until `running` is shut down. Each message is reported to `written`.
pub fn run(
    running: &Running,
    services: &Services,
    workload: Workload,
    written: mpsc::UnboundedSender<Written>,
) {
    let sending = services.clone();
    running.tasks().spawn(worker::run(
        Arc::new(Lanes(services.clone())),
        Arc::clone(services.lanes()),
        workload,
        running.tasks().clone(),
        running.stopping(),
        move |job| send(sending.clone(), job, written.clone()),
    ));
}

async fn send(
    services: Services,
    job: SendMessage,
    written: mpsc::UnboundedSender<Written>,
) -> JobResult {
    let send_at = services.clock().monotonic() + std::time::Duration::from_millis(job.wait_ms);
    let claimed = outcome::load(&services, &job).await;
    let Some(claimed) = claimed.doing("loading a claimed message")? else {
        return Ok(Done);
    };
    tokio::time::sleep_until(send_at).await;
    let wire_at = services.clock().monotonic();
    let gap = std::time::Duration::from_millis(job.gap_ms);
    let verdict = Some(ServerVerdict::Taken);
    let done = Outcome::Written {
        wire_at,
        gap,
        verdict,
        members: None,
    };
    outcome::settle(&services, &job, &claimed, &done).await?;
    let (session, message, gap_ms) = (job.session, job.message, job.gap_ms);
    let report = Written {
        session,
        message,
        at: wire_at,
        gap_ms,
    };
    // The receiver is gone when the measurement is over.
    let _ = written.send(report);
    Ok(Done)
}

//! What an organisation uses of its limits, and the request limits that all processes share.

use std::time::Duration;

use passerelle_engine::ids::{OrgId, SessionId};

use crate::{
    endpoints::ENDPOINTS_MAX,
    error::Fault,
    model::{auto_reply::RULES_MAX, millis},
    queries::{ListRead, bounded},
    safety::pairing,
    services::Services,
    store,
};

pub use crate::store::system::request_budgets::Spent;

/// The most lanes that [`Usage::lanes`] has.
const LANES_MAX: i64 = 100;

/// How much of a limit is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// How much is used.
    pub used: u64,
    /// How much may be used.
    pub allowed: u64,
}

/// What an organisation uses of the limits that are counted in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its sessions.
    pub sessions: Used,
    /// Its webhook endpoints.
    pub endpoints: Used,
    /// Its rules for automatic replies.
    pub auto_replies: Used,
    /// The bytes of its files.
    pub media_bytes: Used,
    /// The pairing codes of the last hour.
    pub pairing_codes: Used,
    /// The lanes in which messages wait, the fullest first.
    pub lanes: Vec<(SessionId, Used)>,
}

/// Reads what the organisation uses. Returns `None` if there is no such organisation.
pub async fn read(services: &Services, org: OrgId) -> Result<Option<Usage>, Fault> {
    let within = millis(pairing::OF_ORGANISATION_WITHIN);
    let since = services.clock().now().saturating_sub(within);
    let mut read = ListRead::begin(services, org).await?;
    let conn = read.conn();
    let work = bounded(async {
        let counts = store::usage::counts(conn, org, since).await?;
        Ok((
            counts,
            store::usage::fullest_lanes(conn, org, LANES_MAX).await?,
        ))
    });
    let queried = work.await;
    let (counts, lanes) = read.end(queried)?;
    let settings = services.settings();
    let of_lane = settings.lane_limit.unsigned_abs();
    Ok(counts.map(|counts| Usage {
        sessions: of(counts.sessions, settings.session_limit.unsigned_abs()),
        endpoints: of(counts.endpoints, ENDPOINTS_MAX.unsigned_abs()),
        auto_replies: of(counts.auto_replies, RULES_MAX.unsigned_abs()),
        media_bytes: of(counts.media_bytes, settings.media.quota),
        pairing_codes: of(counts.pairing_codes, pairing::OF_ORGANISATION as u64),
        lanes: lanes
            .into_iter()
            .map(|(session, waiting)| (session, of(waiting, of_lane)))
            .collect(),
    }))
}

/// Returns whether several processes may have to share the request limits.
pub fn is_shared(services: &Services) -> bool {
    services.is_shared()
}

/// Adds what this process let through to what all processes did. A request comes back after `every`. Returns how
/// long the budget of each organisation needs until it is whole again.
pub async fn spend(
    services: &Services,
    spent: Vec<Spent>,
    every: Duration,
) -> Result<Vec<(OrgId, Duration)>, Fault> {
    let write = services.store().write_system(move |tx| {
        Box::pin(async move { store::system::request_budgets::spend(tx, &spent, every).await })
    });
    Ok(write.await?)
}

fn of(used: u64, allowed: u64) -> Used {
    Used { used, allowed }
}

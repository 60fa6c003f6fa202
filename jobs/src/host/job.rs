//! The job of sending one message.

use passerelle_engine::ids::{MessageId, OrgId, SessionId};
use serde::{Deserialize, Serialize};

/// One message to send: ids, and what the claim fixed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMessage {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    /// The lease's epoch at the claim.
    pub(crate) epoch: i64,
    /// From the claim to the earliest wire write.
    pub(crate) wait_ms: u64,
    /// From the wire write to the next one of this lane.
    pub(crate) gap_ms: u64,
}

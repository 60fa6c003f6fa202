//! The job of sending one message.

use passerelle_engine::ids::{MessageId, OrgId, SessionId};
use serde::{Deserialize, Serialize};

/// One message to send: ids, and the times that the claim fixed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMessage {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    /// The lease's epoch when the message was claimed.
    pub(crate) epoch: i64,
    /// Time from the claim to the earliest write to the socket.
    pub(crate) wait_ms: u64,
    /// How long typing is shown before it.
    #[serde(default)]
    pub(crate) typing_ms: u64,
    /// Time from that write to the earliest next write of this lane.
    pub(crate) gap_ms: u64,
}

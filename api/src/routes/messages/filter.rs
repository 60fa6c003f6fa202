//! What a list of messages can be asked for.

use passerelle_jobs::model::{self, Direction};
use poem_openapi::Enum;

/// Which statuses a list can be asked for.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageStatus {
    /// In its lane.
    Queued,
    /// Claimed by the host.
    Sending,
    /// Written, and never acknowledged.
    Unknown,
    /// WhatsApp's server has it.
    Sent,
    /// On a device.
    Delivered,
    /// Seen.
    Read,
    /// Played.
    Played,
    /// Refused.
    Failed,
    /// It waited too long.
    Expired,
    /// Taken back.
    Canceled,
    /// Inbound.
    Received,
}

impl From<MessageStatus> for model::Status {
    fn from(status: MessageStatus) -> Self {
        match status {
            MessageStatus::Queued => Self::Queued,
            MessageStatus::Sending => Self::Sending,
            MessageStatus::Unknown => Self::Unknown,
            MessageStatus::Sent => Self::Sent,
            MessageStatus::Delivered => Self::Delivered,
            MessageStatus::Read => Self::Read,
            MessageStatus::Played => Self::Played,
            MessageStatus::Failed => Self::Failed,
            MessageStatus::Expired => Self::Expired,
            MessageStatus::Canceled => Self::Canceled,
            MessageStatus::Received => Self::Received,
        }
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageDirection {
    /// From you to a contact.
    Outbound,
    /// From a contact to you.
    Inbound,
}

impl From<MessageDirection> for Direction {
    fn from(direction: MessageDirection) -> Self {
        match direction {
            MessageDirection::Outbound => Self::Outbound,
            MessageDirection::Inbound => Self::Inbound,
        }
    }
}

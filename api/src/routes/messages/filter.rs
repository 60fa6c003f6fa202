//! The filters of the list of messages.

use passerelle_jobs::model::{self, Direction};
use poem_openapi::Enum;

use crate::types::same_variants;

/// The status of a message.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Waits in the queue.
    Queued,
    /// Is being sent.
    Sending,
    /// Was written, and WhatsApp did not acknowledge it.
    Unknown,
    /// WhatsApp's server acknowledged it.
    Sent,
    /// Reached a device of the recipient.
    Delivered,
    /// Was read.
    Read,
    /// Was played.
    Played,
    /// Will not be sent.
    Failed,
    /// Waited too long.
    Expired,
    /// Was canceled.
    Canceled,
    /// Was received.
    Received,
}

same_variants!(MessageStatus => model::Status:
    Queued Sending Unknown Sent Delivered Read Played Failed Expired Canceled Received);

/// The direction of a message.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageDirection {
    /// From you to a contact.
    Outbound,
    /// From a contact to you.
    Inbound,
}

same_variants!(MessageDirection => Direction: Outbound Inbound);

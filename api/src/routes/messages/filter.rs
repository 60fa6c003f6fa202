//! What a list of messages can be asked for.

use passerelle_jobs::model::{self, Direction};
use poem_openapi::Enum;

use crate::types::same_variants;

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

same_variants!(MessageStatus => model::Status:
    Queued Sending Unknown Sent Delivered Read Played Failed Expired Canceled Received);

/// Which way a message goes.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageDirection {
    /// From you to a contact.
    Outbound,
    /// From a contact to you.
    Inbound,
}

same_variants!(MessageDirection => Direction: Outbound Inbound);

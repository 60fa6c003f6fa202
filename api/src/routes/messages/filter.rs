//! The filters of the list of messages.

use passerelle_jobs::{
    content::Group,
    messages::Filter,
    model::{self, Direction, client_data::ClientRef},
};
use poem_openapi::Enum;

use crate::{
    problem::{Code, Problem},
    routes::client_data,
    spec::message_types,
    types::same_variants,
};

/// Parses the reference that is asked for.
pub(in crate::routes) fn reference(text: &str) -> Result<ClientRef, Problem> {
    ClientRef::parse(text).ok_or_else(|| {
        let code = Code::InvalidClientRef;
        Problem::new(code).parameter("client_ref", code.as_str(), client_data::REFERENCE)
    })
}

/// Refuses filters that no index has together.
pub(super) fn check(filter: &Filter) -> Result<(), Problem> {
    let alone = Filter {
        client_ref: filter.client_ref.clone(),
        ..Filter::default()
    };
    if filter.client_ref.is_some() && *filter != alone {
        let code = Code::ValidationFailed;
        let detail = "not together with another filter";
        return Err(Problem::new(code).parameter("client_ref", code.as_str(), detail));
    }
    Ok(())
}

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

/// Parses the id of a group.
pub(super) fn group(text: &str) -> Result<Group, Problem> {
    let (code, wanted) = (
        Code::InvalidId,
        "the id of a group, such as 120363041234567890@g.us",
    );
    let refused = || Problem::expected(code, wanted).parameter("group_id", code.as_str(), wanted);
    Group::parse(text.trim()).ok_or_else(refused)
}

/// Checks the type of a message.
pub(super) fn kind(word: String) -> Result<String, Problem> {
    if message_types().any(|known| known == word) {
        return Ok(word);
    }
    let known: Vec<_> = message_types().collect();
    let wanted = format!("one of {}", known.join(", "));
    let code = Code::ValidationFailed;
    Err(Problem::expected(code, &wanted).parameter("type", "unknown_value", wanted))
}

//! The operations, one group per file. The name of a function is its operationId and its name in SDKs.

use passerelle_jobs::{content::Phone, error::AskError, limits::Pacing};
use poem::http::{HeaderValue, header};
use poem_openapi::Tags;

use crate::{
    problem::{Code, Problem},
    spelling,
};

pub mod api_keys;
pub mod auto_replies;
pub mod calls;
pub mod chats;
mod client_data;
pub mod consents;
pub mod contacts;
pub mod deliveries;
pub mod endpoints;
pub mod event_types;
pub mod groups;
pub mod health;
pub mod media;
pub mod messages;
pub mod numbers;
pub mod opt_in_links;
pub mod opt_outs;
pub mod organisations;
pub mod policies;
pub mod qr;
pub mod queues;
pub mod sessions;
pub mod typing;
pub mod usage;

/// The groups of operations in the document.
#[derive(Tags)]
pub enum Group {
    /// Tenants of this gateway. Only the operator can manage them.
    Organisations,
    /// The keys with which the software of an organisation calls the API.
    ApiKeys,
    /// WhatsApp numbers that are linked to this gateway. The gateway is a linked device of each phone.
    Sessions,
    /// The people and businesses that you wrote to, or that wrote to you.
    Contacts,
    /// Outbound and inbound messages. Each number sends one message at a time, with a random gap between two.
    Messages,
    /// Rules that answer messages by themselves: on words, on the first message, or outside of office hours.
    AutoReplies,
    /// Images, videos, audio files and documents, outbound and inbound.
    Media,
    /// The URLs to which events are posted, signed as in Standard Webhooks 1.0.
    WebhookEndpoints,
    /// The delivery of each event to each endpoint, with every attempt.
    WebhookDeliveries,
    /// Health and metrics of this gateway.
    Operations,
}

pub(crate) const NAME_MAX: usize = 100;

/// Parses a name: 1 to 100 characters, none of them a control character.
pub(crate) fn name(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let sized = (1..=NAME_MAX).contains(&text.chars().count());
    if !sized || text.chars().any(char::is_control) {
        let rule = format!("1 to {NAME_MAX} characters, without control characters");
        return Err(Problem::new(Code::InvalidName).at("/name", "invalid_name", rule));
    }
    Ok(text.to_owned())
}

pub(crate) fn twenty() -> u32 {
    20
}

pub(crate) fn not_found() -> Problem {
    Problem::new(Code::NotFound)
}

/// Returns the problem for a failed request to a session's connection, with the code of too many requests and their limit.
fn of_ask(error: AskError, (paced, (at_once, every)): (Code, Pacing)) -> Problem {
    match error {
        AskError::NotFound => not_found(),
        AskError::NotConnected => Problem::new(Code::SessionNotReady)
            .detail("The session is not connected. Connect it first."),
        AskError::Paced(wait) => {
            let seconds = wait.as_secs() + 1;
            let every = every.as_secs();
            Problem::new(paced)
                .detail(format!(
                    "A session may do this {at_once} times at once, then once in {every} s. This limit is fixed."
                ))
                .header(header::RETRY_AFTER, HeaderValue::from(seconds))
        }
        AskError::Fault(fault) => fault.into(),
    }
}

/// Parses the query parameter `phone`: a phone number in any spelling.
pub(super) fn phone(text: &str) -> Result<Phone, Problem> {
    spelling::phone::phone(text).map_err(|no| {
        let code = Code::InvalidPhone;
        Problem::expected(code, no.wanted()).parameter("phone", code.as_str(), no.wanted())
    })
}

/// Parses a phone number at this place in the body.
fn phone_at(text: &str, pointer: &str) -> Result<Phone, Problem> {
    spelling::phone::phone(text).map_err(|no| {
        let code = Code::InvalidPhone;
        Problem::expected(code, no.wanted()).at(pointer, code.as_str(), no.wanted())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_has_no_control_characters() {
        assert_eq!(name(" front desk ").unwrap(), "front desk");
        for bad in ["", "  ", "a\nb", "\u{0}", &"ä".repeat(101)] {
            assert_eq!(name(bad).unwrap_err().code(), Code::InvalidName, "{bad:?}");
        }
        assert!(name(&"ä".repeat(100)).is_ok());
    }
}

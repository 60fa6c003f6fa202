//! The operations, one group a page. A function's name is its operationId and what SDKs call it.

use passerelle_jobs::error::AskError;
use poem::http::{HeaderValue, header};
use poem_openapi::Tags;

use crate::problem::{Code, Problem};

pub mod api_keys;
pub mod deliveries;
pub mod endpoints;
pub mod groups;
pub mod health;
pub mod media;
pub mod messages;
pub mod numbers;
pub mod organisations;
pub mod qr;
pub mod sessions;
pub mod typing;

/// How the document groups the operations.
#[derive(Tags)]
pub enum Group {
    /// Tenants, for the operator of this gateway.
    Organisations,
    /// The keys an organisation's software calls with.
    ApiKeys,
    /// WhatsApp numbers linked to this gateway, each as a device of its phone.
    Sessions,
    /// Messages out and in. What is accepted is paced: one message of a number at a time, with a random gap.
    Messages,
    /// Pictures, films, recordings and documents: what is to be sent, and what came in.
    Media,
    /// Where events are posted, signed as Standard Webhooks 1.0.
    WebhookEndpoints,
    /// What became of each event on its way to each endpoint.
    WebhookDeliveries,
    /// Whether this gateway is well.
    Operations,
}

const NAME_MAX: usize = 100;

/// A name a person chose: 1 to 100 characters, none of them a control character.
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

/// Why a session's connection did not do what it was asked; `paced` is the code of asking too often.
fn of_ask(error: AskError, paced: Code) -> Problem {
    match error {
        AskError::NotFound => not_found(),
        AskError::NotConnected => Problem::new(Code::SessionNotReady)
            .detail("The session has no connection for this now; connect it first."),
        AskError::Paced(wait) => {
            let seconds = wait.as_secs() + 1;
            Problem::new(paced).header(header::RETRY_AFTER, HeaderValue::from(seconds))
        }
        AskError::Fault(fault) => fault.into(),
    }
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

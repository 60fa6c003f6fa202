//! Phone numbers: whether they are registered on WhatsApp.

use passerelle_jobs::{Services, content::Phone, ids::SessionId, limits, sessions::number_checks};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path};
use serde::{Deserialize, Serialize};

use super::{Group, of_ask};
use crate::{
    auth::Caller,
    body::{Body, Success},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// A phone number to check.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewNumberCheck {
    /// The number in E.164: `+`, country code and number, 7 to 15 digits.
    pub phone: String,
}

/// The result of a number check.
#[derive(Debug, Serialize, Object)]
pub struct NumberCheck {
    /// Always `number_check`.
    pub object: String,
    /// The number in E.164, as WhatsApp writes it: another spelling of the number that you asked for leads to it. As you
    /// asked, if it is not registered.
    pub phone: String,
    /// The number that you asked for.
    pub requested_phone: String,
    /// Whether it is registered on WhatsApp.
    pub on_whatsapp: bool,
    /// WhatsApp's own id of the account (LID), if WhatsApp shared it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// When WhatsApp answered: now, or within the last day.
    pub checked_at: Timestamp,
}

/// Phone numbers.
pub struct Numbers;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Numbers {
    /// Check whether a phone number is registered on WhatsApp.
    ///
    /// A session can check ten numbers at once and then one every three seconds, because WhatsApp restricts
    /// numbers that check too many. A result is cached for one day. You need no check before you send: the gateway
    /// looks up a new number before the first message to it, which fails with `recipient_not_on_whatsapp` if the number is not on WhatsApp.
    #[oai(
        path = "/:id/number-checks",
        method = "post",
        operation_id = "check_number"
    )]
    async fn check_number(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<NewNumberCheck>,
    ) -> Result<Success<NumberCheck>, Problem> {
        let phone = Phone::parse(&body.0.phone).ok_or_else(|| {
            let wanted = "a phone number in E.164, such as +491510000002";
            Problem::new(Code::InvalidPhone).at("/phone", "invalid_phone", wanted)
        })?;
        let checked = number_checks::check(&services, caller.0.org, id.0.0, &phone).await;
        let checked = checked
            .map_err(|error| of_ask(error, (Code::NumberCheckPaced, limits::NUMBER_CHECKS)))?;
        Ok(Success::of(NumberCheck {
            object: "number_check".to_owned(),
            phone: checked.phone.as_str().to_owned(),
            requested_phone: phone.as_str().to_owned(),
            on_whatsapp: checked.on_whatsapp,
            lid: checked.lid,
            checked_at: Timestamp(checked.at),
        }))
    }
}

//! Phone numbers: their normal form, and whether they are registered on WhatsApp.

use passerelle_jobs::{Services, content::Phone, ids::SessionId, limits, sessions::number_checks};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path};
use serde::{Deserialize, Serialize};

use super::{Group, of_ask};
use crate::{
    auth::Caller,
    body::{Body, Success},
    problem::{Code, Problem},
    spelling::phone,
    types::{Id, Timestamp},
};

/// A phone number to check.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewNumberCheck {
    /// The number with its country code, as in the `to` of a message.
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
        let phone = phone_of(&body.0.phone)?;
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

/// Parses the phone number in `phone`.
pub(super) fn phone_of(text: &str) -> Result<Phone, Problem> {
    phone::phone(text).map_err(of_no_phone)
}

fn of_no_phone(no: phone::NoPhone) -> Problem {
    let code = Code::InvalidPhone;
    Problem::expected(code, no.wanted()).at("/phone", code.as_str(), no.wanted())
}

/// A phone number to normalise.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewPhoneNumber {
    /// The number as it was written.
    pub phone: String,
    /// The country of a number that is written without a country code: two letters of ISO 3166, such as `FR`. Without
    /// it a national number is refused.
    #[serde(default)]
    pub country: Option<String>,
}

/// A phone number in its normal form.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct PhoneNumber {
    /// Always `phone_number`.
    pub object: String,
    /// The number in E.164.
    pub phone: String,
    /// The number in groups, as it is printed. Absent if no country has its country code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
    /// The country of the number: two letters of ISO 3166. Absent if the number does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Whether the numbering plan of the country has this number. WhatsApp is not asked.
    pub valid: bool,
}

/// Spellings of phone numbers.
pub struct Spellings;

#[OpenApi(prefix_path = "/v1/phone-numbers", tag = "Group::Messages")]
impl Spellings {
    /// Return the normal form of a phone number.
    ///
    /// Every field for a phone number accepts the same spellings, so you need this only to store numbers in one form,
    /// or to add the country code to national numbers. WhatsApp is not asked.
    #[oai(
        path = "/normalise",
        method = "post",
        operation_id = "normalise_phone_number"
    )]
    #[expect(clippy::unused_async, reason = "an operation is async")]
    async fn normalise_phone_number(
        &self,
        _caller: Caller,
        body: Body<NewPhoneNumber>,
    ) -> Result<Success<PhoneNumber>, Problem> {
        let NewPhoneNumber { phone, country } = body.0;
        let home = country.map(|letters| {
            phone::country(&letters).ok_or_else(|| {
                let (code, wanted) = (Code::InvalidCountry, "two letters of ISO 3166, such as FR");
                Problem::expected(code, wanted).at("/country", code.as_str(), wanted)
            })
        });
        let phone = phone::phone_in(&phone, home.transpose()?).map_err(of_no_phone)?;
        let (formatted, country) = phone::printed(&phone);
        Ok(Success::of(PhoneNumber {
            object: "phone_number".to_owned(),
            phone: phone.as_str().to_owned(),
            formatted,
            country,
            valid: phone::exists(&phone),
        }))
    }
}

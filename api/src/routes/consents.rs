//! Consents: that a contact agreed to messages which it did not begin.

use passerelle_jobs::{
    Services,
    consents::{self, ConsentError},
    ids::{ConsentId, ContactId, OptInLinkId},
    model::consent::{self as model, Agreement, PROOF_MAX, SOURCE_MAX},
    people,
};
use poem::web::Data;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Body, Created, Gone, Success},
    flaws::Flaws,
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// What a message is for. There is no purpose for advertising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// An order: confirmed, changed, ready.
    Order,
    /// A delivery that is on its way.
    Delivery,
    /// An appointment: made, moved, soon.
    Appointment,
    /// An invoice or a payment.
    Billing,
    /// The contact's account or contract.
    Account,
    /// A one-time code.
    Code,
    /// A warning, such as of a login.
    Security,
    /// A case that the contact opened.
    Support,
}

crate::types::same_variants!(Purpose => passerelle_jobs::model::Purpose:
    Order Delivery Appointment Billing Account Code Security Support);

impl From<passerelle_jobs::model::Purpose> for Purpose {
    fn from(purpose: passerelle_jobs::model::Purpose) -> Self {
        use passerelle_jobs::model::Purpose as Theirs;
        match purpose {
            Theirs::Order => Self::Order,
            Theirs::Delivery => Self::Delivery,
            Theirs::Appointment => Self::Appointment,
            Theirs::Billing => Self::Billing,
            Theirs::Account => Self::Account,
            Theirs::Code => Self::Code,
            Theirs::Security => Self::Security,
            Theirs::Support => Self::Support,
        }
    }
}

/// A consent that a contact gave you.
#[derive(Debug, Clone, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewConsent {
    /// Where the contact agreed, in your words, such as `checkout` or `reception`: 1 to 64 characters.
    pub source: String,
    /// What shows it, such as the number of an order: 1 to 512 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
    /// When the contact agreed. Now, when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
}

impl NewConsent {
    /// Parses it. `place` is the pointer to it in the body.
    pub(super) fn parse(self, place: &str, flaws: &mut Flaws) -> model::NewConsent {
        let code = Code::InvalidConsent;
        let fits = |text: &str, most: usize| {
            (1..=most).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control)
        };
        let source = "1 to 64 characters, without control characters";
        flaws.unless(
            fits(&self.source, SOURCE_MAX),
            code,
            format!("{place}/source"),
            source,
        );
        if let Some(proof) = &self.proof {
            let wanted = "1 to 512 characters, without control characters";
            flaws.unless(
                fits(proof, PROOF_MAX),
                code,
                format!("{place}/proof"),
                wanted,
            );
        }
        model::NewConsent {
            how: Agreement {
                source: self.source.trim().to_owned(),
                proof: self.proof.map(|proof| proof.trim().to_owned()),
            },
            at: self.at.map(|at| at.0),
        }
    }
}

/// Returns the problem for a consent that was given later than now. `place` is the pointer to it in the body.
pub(super) fn from_the_future(place: &str) -> Problem {
    let (code, wanted) = (Code::InvalidConsent, "a time that is not in the future");
    Problem::expected(code, wanted).at(&format!("{place}/at"), code.as_str(), wanted)
}

/// A consent of a contact.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Consent {
    /// Its id.
    pub id: Id<ConsentId>,
    /// Always `consent`.
    pub object: String,
    /// The contact.
    pub contact_id: Id<ContactId>,
    /// Where the contact agreed. `opt_in_link`: it sent the code of an opt-in link.
    pub source: String,
    /// What shows it. With `opt_in_link`, the id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// The opt-in link that it was given with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_in_link_id: Option<Id<OptInLinkId>>,
    /// When the contact agreed.
    pub given_at: Timestamp,
    /// Since when it counts no longer: you revoked it, or the contact opted out. Absent while it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl From<model::Consent> for Consent {
    fn from(consent: model::Consent) -> Self {
        Self {
            id: Id(consent.id),
            object: "consent".to_owned(),
            contact_id: Id(consent.contact),
            source: consent.how.source,
            proof: consent.how.proof,
            opt_in_link_id: consent.link.map(Id),
            given_at: Timestamp(consent.given_at),
            ended_at: consent.ended_at.map(Timestamp),
            created_at: Timestamp(consent.created_at),
        }
    }
}

list_of!(
    /// A page of consents.
    ConsentList, Consent);

impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::NoContact => not_found(),
            ConsentError::FromTheFuture => from_the_future(""),
            ConsentError::Fault(fault) => fault.into(),
        }
    }
}

/// Consents.
pub struct Consents;

#[OpenApi(prefix_path = "/v1/contacts", tag = "Group::Contacts")]
impl Consents {
    /// Store a consent of a contact.
    ///
    /// From then on you may write to the contact first, with a purpose. A consent from before the contact's last opt-out is
    /// stored, and counts for nothing.
    #[oai(
        path = "/:id/consents",
        method = "post",
        operation_id = "create_consent"
    )]
    async fn create_consent(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        body: Body<NewConsent>,
    ) -> Result<Created<Consent>, Problem> {
        let mut flaws = Flaws::default();
        let new = body.0.parse("", &mut flaws);
        let new = flaws.judge(new)?;
        let made = consents::add(&services, caller.0.org, id.0.0, new).await?;
        Ok(Created::of(made.into()))
    }

    /// List the consents of a contact, newest first, also those that count no longer.
    #[oai(path = "/:id/consents", method = "get", operation_id = "list_consents")]
    async fn list_consents(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        /// Maximum number of consents to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ConsentList>, Problem> {
        let contact = id.0.0;
        let found = people::read(&services, caller.0.org, contact).await?;
        found.ok_or_else(not_found)?;
        let load =
            |page| async move { consents::list(services.0, caller.0.org, contact, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Revoke a consent of a contact.
    ///
    /// It counts no longer, and stays in the list: it shows why earlier messages were sent.
    #[oai(
        path = "/:id/consents/:consent_id",
        method = "delete",
        operation_id = "revoke_consent"
    )]
    async fn revoke_consent(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The contact.
        id: Path<Id<ContactId>>,
        /// The consent.
        consent_id: Path<Id<ConsentId>>,
    ) -> Result<Gone, Problem> {
        let revoked = consents::revoke(&services, caller.0.org, id.0.0, consent_id.0.0).await?;
        revoked.then_some(Gone).ok_or_else(not_found)
    }
}

//! Opt-in links: how contacts agree to messages by writing first.

use passerelle_jobs::{
    Services,
    consents::links::{self, LINKS_MAX, LinkError, TEXT_MAX},
    ids::{OptInLinkId, SessionId},
    model::consent as model,
    sessions,
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{
    Group, not_found,
    qr::{QrFormat, QrImage, drawn},
};
use crate::{
    auth::Caller,
    body::{Body, Created, Gone, Success},
    flaws::Flaws,
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// An opt-in link to make.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewOptInLink {
    /// What the contact writes, in the contact's language, 1 to 300 characters. The code is added to it. An English text when
    /// absent.
    #[serde(default)]
    pub text: Option<String>,
    /// Until when the code counts. It has no end when absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A link to a chat with the session's number. Whoever opens it finds a message with a code in it, and agrees to your messages by
/// sending it.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OptInLink {
    /// Its id.
    pub id: Id<OptInLinkId>,
    /// Always `opt_in_link`.
    pub object: String,
    /// The session.
    pub session_id: Id<SessionId>,
    /// The address to open, `https://wa.me/…`.
    pub url: String,
    /// The code. It counts in any message of a contact to this session, whatever the text around it.
    pub code: String,
    /// The whole message.
    pub message: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its code counts. Absent if it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl From<model::OptInLink> for OptInLink {
    fn from(link: model::OptInLink) -> Self {
        Self {
            id: Id(link.id),
            object: "opt_in_link".to_owned(),
            session_id: Id(link.session),
            url: link.target.url(),
            message: link.target.message(),
            code: link.target.code,
            created_at: Timestamp(link.created_at),
            expires_at: link.expires_at.map(Timestamp),
        }
    }
}

list_of!(
    /// A page of opt-in links.
    OptInLinkList, OptInLink);

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NoSession => not_found(),
            LinkError::NotLinked => Self::new(Code::SessionNotReady)
                .detail("The session is not linked to a phone, so it has no number. Link it first."),
            LinkError::Expired => {
                let (code, wanted) = (Code::InvalidExpiry, "a time in the future");
                Self::expected(code, wanted).at("/expires_at", code.as_str(), wanted)
            }
            LinkError::TooMany => Self::new(Code::LimitReached).detail(format!(
                "A session may have {LINKS_MAX} opt-in links. This limit is fixed. Delete one first."
            )),
            LinkError::Fault(fault) => fault.into(),
        }
    }
}

/// Opt-in links.
pub struct OptInLinks;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Contacts")]
impl OptInLinks {
    /// Make an opt-in link.
    ///
    /// The session must be linked. When a contact sends the code, a consent is stored and `consent.given` tells you. A
    /// contact who had opted out opts in again.
    #[oai(
        path = "/:id/opt-in-links",
        method = "post",
        operation_id = "create_opt_in_link"
    )]
    async fn create_opt_in_link(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<NewOptInLink>,
    ) -> Result<Created<OptInLink>, Problem> {
        let NewOptInLink { text, expires_at } = body.0;
        let mut flaws = Flaws::default();
        if let Some(text) = &text {
            let empty = text.trim().is_empty();
            flaws.unless(!empty, Code::TextEmpty, "/text", "a text");
            let fits = text.chars().count() <= TEXT_MAX;
            flaws.unless(fits, Code::TextTooLong, "/text", "at most 300 characters");
        }
        let new = flaws.judge(links::New {
            text: text.map(|text| text.trim().to_owned()),
            expires_at: expires_at.map(|at| at.0),
        })?;
        let session = id.0.0;
        let made = links::create(&services, caller.0.org, session, new).await?;
        Ok(Created::of(made.into()))
    }

    /// List the opt-in links of a session, newest first.
    #[oai(
        path = "/:id/opt-in-links",
        method = "get",
        operation_id = "list_opt_in_links"
    )]
    async fn list_opt_in_links(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// Maximum number of links to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<OptInLinkList>, Problem> {
        let session = id.0.0;
        let found = sessions::read(&services, caller.0.org, session).await?;
        found.ok_or_else(not_found)?;
        let load =
            |page| async move { links::list(services.0, caller.0.org, session, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read an opt-in link as a QR code.
    #[oai(
        path = "/:id/opt-in-links/:link_id/qr",
        method = "get",
        operation_id = "read_opt_in_link_qr"
    )]
    async fn read_opt_in_link_qr(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// The link.
        link_id: Path<Id<OptInLinkId>>,
        /// The format: `png`, which is the default, or `svg`.
        format: Query<Option<QrFormat>>,
    ) -> Result<QrImage, Problem> {
        let link = links::read(&services, caller.0.org, id.0.0, link_id.0.0).await?;
        let link = link.ok_or_else(not_found)?;
        drawn(&link.target.url(), format.0)
    }

    /// Delete an opt-in link.
    ///
    /// Its code counts no longer. Consents that were given with it stay.
    #[oai(
        path = "/:id/opt-in-links/:link_id",
        method = "delete",
        operation_id = "delete_opt_in_link"
    )]
    async fn delete_opt_in_link(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// The link.
        link_id: Path<Id<OptInLinkId>>,
    ) -> Result<Gone, Problem> {
        let found = links::delete(&services, caller.0.org, id.0.0, link_id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }
}

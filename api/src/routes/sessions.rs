//! Sessions: WhatsApp numbers linked to this gateway.

use passerelle_jobs::{
    Services,
    content::Phone,
    ids::SessionId,
    model::{self, State},
    sessions::{self, CommandError},
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
    body::{Accepted, Body, Created, Found, Gone},
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp, same_variants},
};

/// A session to make.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// Your name for it: 1 to 100 characters.
    pub name: String,
}

/// What becomes of a message that may have been sent: its process died with it in hand, or WhatsApp did
/// not say that it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum UncertainSends {
    /// It goes out once more, under the same WhatsApp id: a phone shows it once.
    Resend,
    /// It is `unknown` at once, and you decide.
    Hold,
}

impl From<model::Uncertain> for UncertainSends {
    fn from(uncertain: model::Uncertain) -> Self {
        match uncertain {
            model::Uncertain::Resend => Self::Resend,
            model::Uncertain::Hold => Self::Hold,
        }
    }
}

same_variants!(UncertainSends => model::Uncertain: Resend Hold);

/// What is to become of messages that may have been sent.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewUncertainSends {
    /// What becomes of them.
    pub policy: UncertainSends,
}

/// A WhatsApp number linked as a device, or on its way to be.
#[derive(Debug, Serialize, Object)]
pub struct Session {
    /// Its id.
    pub id: Id<SessionId>,
    /// Always `session`.
    pub object: String,
    /// As given.
    pub name: String,
    /// What you asked for: `running` or `stopped`.
    pub desired: String,
    /// How it is: `stopped`, `connecting`, `qr` (a QR waits to be scanned), `pairing` (a pairing
    /// code waits to be typed), `connected`, `disconnected` (the connection is being made again),
    /// `unhosted` (no host runs it at the moment), or why it ended for good: `logged_out`,
    /// `banned`, `replaced`, `account_locked`, `outdated`, `failed`, `qr_exhausted`.
    pub state: String,
    /// The linked number in E.164, once it is linked.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the account.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// When it was linked.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Why the last link or run ended.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// End of a temporary ban, when WhatsApp told it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
    /// What becomes of its messages that may have been sent.
    pub uncertain_sends: UncertainSends,
    /// Its lane.
    pub queue: SessionQueue,
}

/// Why a session is as it is.
#[derive(Debug, Serialize, Object)]
pub struct StatusReason {
    /// Stable: `logged_out`, `banned`, `replaced`, …
    pub code: String,
}

/// A session's lane, in which its messages wait their turn.
#[derive(Debug, Serialize, Object)]
pub struct SessionQueue {
    /// Messages queued or being sent.
    pub pending: i64,
}

impl From<model::Session> for Session {
    fn from(session: model::Session) -> Self {
        let ended = session
            .ended
            .filter(|_| matches!(session.state, State::Stopped | State::Unhosted));
        let (phone, lid) = session.me.map_or((None, None), |me| (me.phone, me.lid));
        Self {
            id: Id(session.id),
            object: "session".to_owned(),
            name: session.name,
            desired: session.desired.as_str().to_owned(),
            state: ended
                .clone()
                .unwrap_or_else(|| session.state.as_str().to_owned()),
            phone: phone.map(|phone| phone.as_str().to_owned()),
            lid,
            linked_at: session.linked_at.map(Timestamp),
            created_at: Timestamp(session.created_at),
            status_reason: ended.map(|code| StatusReason { code }),
            banned_until: session.banned_until.map(Timestamp),
            uncertain_sends: session.uncertain.into(),
            queue: SessionQueue {
                pending: session.pending,
            },
        }
    }
}

list_of!(
    /// A page of sessions.
    SessionList, Session);

/// Which phone is to be linked by a code.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewPairingCode {
    /// The number to link, in E.164.
    pub phone: String,
}

/// A code to type on the phone: WhatsApp, Linked devices, Link with phone number.
#[derive(Debug, Serialize, Object)]
pub struct PairingCode {
    /// Eight characters.
    pub code: String,
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound => not_found(),
            CommandError::AlreadyLinked => Self::new(Code::SessionAlreadyLinked),
            CommandError::NotConnected => Self::new(Code::SessionNotReady)
                .detail("The session has no connection for this now; connect it first."),
            CommandError::Refused => {
                Self::new(Code::SessionNotReady).detail("WhatsApp refused this.")
            }
            CommandError::Fault(fault) => fault.into(),
        }
    }
}

/// Sessions.
pub struct Sessions;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Sessions {
    /// Make a session.
    ///
    /// It rests until it is connected.
    #[oai(path = "/", method = "post", operation_id = "create_session")]
    async fn create_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewSession>,
    ) -> Result<Created<Session>, Problem> {
        let name = super::name(&body.0.name)?;
        Ok(Created::of(
            sessions::create(&services, caller.0.org, &name)
                .await?
                .into(),
        ))
    }

    /// List the sessions.
    #[oai(path = "/", method = "get", operation_id = "list_sessions")]
    async fn list_sessions(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Sessions wanted.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// Where the page before ended: its `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Found<SessionList>, Problem> {
        let load = |page| async move { sessions::list(services.0, caller.0.org, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a session.
    #[oai(path = "/:id", method = "get", operation_id = "read_session")]
    async fn read_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Found<Session>, Problem> {
        let session = sessions::read(&services, caller.0.org, id.0.0).await?;
        session
            .map(|session| Found::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Connect a session.
    ///
    /// A linked one connects; another shows QR codes until a phone scans one. It stays so, over
    /// restarts too, until `disconnect` or `logout`.
    #[oai(
        path = "/:id/connect",
        method = "post",
        operation_id = "connect_session"
    )]
    async fn connect_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Accepted<Session>, Problem> {
        let session = sessions::connect(&services, caller.0.org, id.0.0).await?;
        session
            .map(|session| Accepted::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Disconnect a session.
    ///
    /// The phone stays linked; messages are accepted and wait.
    #[oai(
        path = "/:id/disconnect",
        method = "post",
        operation_id = "disconnect_session"
    )]
    async fn disconnect_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Accepted<Session>, Problem> {
        let session = sessions::disconnect(&services, caller.0.org, id.0.0).await?;
        session
            .map(|session| Accepted::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Link a session by a code instead of a QR.
    ///
    /// Connect the session first. The person types the code on the phone.
    #[oai(
        path = "/:id/pairing-code",
        method = "post",
        operation_id = "request_pairing_code"
    )]
    async fn request_pairing_code(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<NewPairingCode>,
    ) -> Result<Found<PairingCode>, Problem> {
        let phone = Phone::parse(&body.0.phone).ok_or_else(|| {
            Problem::new(Code::InvalidPhone).at(
                "/phone",
                "invalid_phone",
                "a phone number in E.164, such as +491510000001",
            )
        })?;
        let code = sessions::pairing_code(&services, caller.0.org, id.0.0, &phone).await?;
        Ok(Found::of(PairingCode { code }))
    }

    /// Say what becomes of messages that may have been sent.
    ///
    /// A process can die after a message was written and before WhatsApp said that it took it. By
    /// default it goes out once more under its id. With `hold` it is `unknown` at once, and so is one
    /// that WhatsApp does not acknowledge in time.
    #[oai(
        path = "/:id/uncertain-sends",
        method = "put",
        operation_id = "set_uncertain_sends"
    )]
    async fn set_uncertain_sends(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<NewUncertainSends>,
    ) -> Result<Found<Session>, Problem> {
        let uncertain = body.0.policy.into();
        let session = sessions::set_uncertain(&services, caller.0.org, id.0.0, uncertain).await?;
        session
            .map(|session| Found::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Log a session out.
    ///
    /// The device disappears from the phone's list of linked devices; a new QR is needed afterwards.
    #[oai(path = "/:id/logout", method = "post", operation_id = "logout_session")]
    async fn logout_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Accepted<Session>, Problem> {
        let session = sessions::logout(&services, caller.0.org, id.0.0).await?;
        Ok(Accepted::of(session.into()))
    }

    /// Delete a session.
    ///
    /// Its keys are destroyed and its messages deleted; a connected one is unlinked from the phone first.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_session")]
    async fn delete_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Gone, Problem> {
        let found = sessions::delete(&services, caller.0.org, id.0.0).await?;
        found.then_some(Gone).ok_or_else(not_found)
    }
}

//! Sessions: WhatsApp numbers linked to this gateway.

mod health;
mod settings;

use passerelle_jobs::{
    Services,
    ids::SessionId,
    limits,
    model::{self, State},
    sessions::{
        self, CommandError, CreateError,
        client::{Change, Reference},
    },
};
use poem::{
    http::{HeaderValue, header},
    web::Data,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    types::MaybeUndefined,
};
use serde::{Deserialize, Serialize};

pub use self::health::{
    HealthFigure, HealthRestriction, NewChatQuota, ReachoutTimelock, SessionHealth,
};
pub use self::settings::{AutoReject, CallsRejected, NewUncertainSends, Presence, UncertainSends};
use super::{Group, client_data, consents::Purpose, not_found, numbers::phone_of};
use crate::{
    auth::Caller,
    body::{Accepted, Body, Created, Gone, Success},
    flaws::Flaws,
    list::{self, list_of},
    patch::{given, or_empty},
    problem::{Code, Problem},
    texts::Texts,
    types::{Id, Timestamp},
};

/// A session to create.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// Your name for the session, 1 to 100 characters.
    pub name: String,
    /// Whether it shows as online while it is connected. The default is `phone_first`.
    #[serde(default)]
    pub presence: Option<Presence>,
    /// What happens to calls. Without it they ring.
    #[serde(default)]
    pub auto_reject: Option<AutoReject>,
    /// The purpose of messages that name none.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// Your own reference, 1 to 128 characters. Answers and events about the session have it.
    #[serde(default)]
    pub client_ref: Option<String>,
    /// Your own texts by name, which answers and events about the session have: at most 50, with 4,096 bytes of names and
    /// texts. A name has 1 to 40 characters.
    #[serde(default)]
    pub metadata: Option<Texts>,
}

/// A change of a session. A field that is absent stays as it is; one that is there replaces the whole value.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct SessionChange {
    /// Your name for the session, 1 to 100 characters.
    #[serde(default, deserialize_with = "given")]
    pub name: Option<String>,
    /// Your own reference, 1 to 128 characters. `null` removes it.
    #[serde(default)]
    pub client_ref: MaybeUndefined<String>,
    /// Your own texts by name. They replace all that there were; `null` removes them.
    #[serde(default)]
    pub metadata: MaybeUndefined<Texts>,
    /// Whether it shows as online while it is connected. A connected session shows its new presence at once.
    #[serde(default, deserialize_with = "given")]
    pub presence: Option<Presence>,
    /// What happens to calls, from the next one on. `null` lets them ring.
    #[serde(default)]
    pub auto_reject: MaybeUndefined<AutoReject>,
    /// The purpose of messages that name none, from now on. `null` removes it.
    #[serde(default)]
    pub purpose: MaybeUndefined<Purpose>,
}

impl SessionChange {
    fn parse(self) -> Result<Change, Problem> {
        let name = self.name.as_deref().map(super::name).transpose()?;
        let mut flaws = Flaws::default();
        let client_ref = match self.client_ref {
            MaybeUndefined::Undefined => Reference::Keep,
            MaybeUndefined::Null => Reference::Remove,
            MaybeUndefined::Value(text) => {
                client_data::reference(&text, &mut flaws).map_or(Reference::Keep, Reference::Set)
            }
        };
        let metadata = or_empty(self.metadata);
        let metadata = metadata.map(|texts| client_data::metadata(texts, &mut flaws));
        let calls = AutoReject::change(self.auto_reject, &mut flaws);
        flaws.judge(Change {
            name,
            client_ref,
            metadata,
            presence: self.presence.map(Into::into),
            calls,
            purpose: match self.purpose {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(purpose) => Some(Some(purpose.into())),
            },
        })
    }
}

/// A WhatsApp number that is linked as a device, or that waits to be linked.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Session {
    /// Its id.
    pub id: Id<SessionId>,
    /// Always `session`.
    pub object: String,
    /// The name that was given.
    pub name: String,
    /// Your reference, if you gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ref: Option<String>,
    /// Your metadata, if you gave any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Texts>,
    /// The state that you requested: `running` or `stopped`.
    pub desired: String,
    /// The actual state: `stopped`, `connecting`, `qr` (waits for a QR code to be scanned), `pairing` (waits
    /// for a pairing code to be typed), `connected`, `disconnected` (the gateway reconnects), `unhosted`
    /// (no host runs it at the moment), or the reason why it ended: `logged_out`, `number_linked_already`
    /// (another session of yours is linked to that number, so the link was undone), `banned`, `replaced`,
    /// `account_locked`, `outdated`, `qr_exhausted`, `refused`.
    pub state: String,
    /// The linked number in E.164. Absent until the session is linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the account (LID).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// When it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Why the session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// End of a temporary ban, if WhatsApp announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
    /// What the gateway does with messages that may have been sent.
    pub uncertain_sends: UncertainSends,
    /// Whether it shows as online while it is connected.
    pub presence: Presence,
    /// What happens to calls. Absent if they ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_reject: Option<CallsRejected>,
    /// The purpose of messages that name none. Absent if they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Its queue of outbound messages.
    pub queue: SessionQueue,
}

/// Why a session ended.
#[derive(Debug, Serialize, Object)]
pub struct StatusReason {
    /// Stable code of the reason.
    pub code: String,
}

/// The queue of a session's outbound messages.
#[derive(Debug, Serialize, Object)]
pub struct SessionQueue {
    /// Number of messages that are queued or being sent.
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
            client_ref: session
                .client
                .client_ref
                .map(|text| text.as_str().to_owned()),
            metadata: client_data::shown(&session.client.metadata),
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
            presence: session.presence.into(),
            auto_reject: session.auto_reject.map(Into::into),
            purpose: session.purpose.map(Into::into),
            queue: SessionQueue {
                pending: session.pending,
            },
        }
    }
}

list_of!(
    /// A page of sessions.
    SessionList, Session);

/// The phone to link by a pairing code.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewPairingCode {
    /// The phone number to link, with its country code, as in the `to` of a message.
    pub phone: String,
}

/// A code to type on the phone: WhatsApp, Linked devices, Link with phone number instead.
#[derive(Debug, Serialize, Object)]
pub struct PairingCode {
    /// Eight characters.
    pub code: String,
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::TooMany(limit) => Self::new(Code::SessionLimit).detail(format!(
                "An organisation may have {limit} sessions (--sessions-per-organisation). Delete one (DELETE /v1/sessions/{{id}}), or ask the operator for more."
            )),
            CreateError::Fault(fault) => fault.into(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound => not_found(),
            CommandError::AlreadyLinked => Self::new(Code::SessionAlreadyLinked),
            CommandError::NotConnected => Self::new(Code::SessionNotReady)
                .detail("The session is not connected. Connect it first."),
            CommandError::TooManyCodes(wait) => Self::new(Code::PairingCodeLimit)
                .detail(format!(
                    "A session gets {} pairing codes in {} minutes, an organisation {} in {} minutes. These limits are fixed.",
                    limits::OF_SESSION,
                    limits::OF_SESSION_WITHIN.as_secs() / 60,
                    limits::OF_ORGANISATION,
                    limits::OF_ORGANISATION_WITHIN.as_secs() / 60
                ))
                .header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1)),
            CommandError::Refused => {
                Self::new(Code::SessionNotReady).detail("WhatsApp refused the request.")
            }
            CommandError::Fault(fault) => fault.into(),
        }
    }
}

/// Sessions.
pub struct Sessions;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Sessions {
    /// Create a session.
    ///
    /// It is stopped until you connect it.
    #[oai(path = "/", method = "post", operation_id = "create_session")]
    async fn create_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        body: Body<NewSession>,
    ) -> Result<Created<Session>, Problem> {
        let body = body.0;
        let name = super::name(&body.name)?;
        let mut flaws = Flaws::default();
        let client = client_data::parse(body.client_ref.as_deref(), body.metadata, &mut flaws);
        let auto_reject = body.auto_reject.map(|setting| setting.parse(&mut flaws));
        let new = flaws.judge(sessions::New {
            client,
            presence: body.presence.map(Into::into).unwrap_or_default(),
            auto_reject,
            purpose: body.purpose.map(Into::into),
        })?;
        let made = sessions::create(&services, caller.0.org, &name, new).await?;
        Ok(Created::of(made.into()))
    }

    /// Change a session.
    ///
    /// Fields that are absent stay as they are.
    #[oai(path = "/:id", method = "patch", operation_id = "change_session")]
    async fn change_session(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        body: Body<SessionChange>,
    ) -> Result<Success<Session>, Problem> {
        let change = body.0.parse()?;
        let changed = sessions::client::change(&services, caller.0.org, id.0.0, change).await?;
        changed
            .map(|session| Success::of(session.into()))
            .ok_or_else(not_found)
    }

    /// List the sessions.
    #[oai(path = "/", method = "get", operation_id = "list_sessions")]
    async fn list_sessions(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Maximum number of sessions to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<SessionList>, Problem> {
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
    ) -> Result<Success<Session>, Problem> {
        let session = sessions::read(&services, caller.0.org, id.0.0).await?;
        session
            .map(|session| Success::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Read the health of a session's number.
    ///
    /// It has every figure that the gateway goes by, with its threshold. `session.restricted` and `session.recovered` report
    /// changes of the level.
    #[oai(
        path = "/:id/health",
        method = "get",
        operation_id = "read_session_health"
    )]
    async fn read_session_health(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<SessionHealth>, Problem> {
        let health = sessions::health::read(&services, caller.0.org, id.0.0).await?;
        health
            .map(|view| Success::of(SessionHealth::of(id.0.0, &view)))
            .ok_or_else(not_found)
    }

    /// Connect a session.
    ///
    /// A linked session connects. Otherwise the session offers QR codes until a phone scans one. It stays
    /// connected, also across restarts, until `disconnect` or `logout`.
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
    /// The number stays linked. Messages are still accepted, and wait in the queue.
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

    /// Link a session by a pairing code instead of a QR code.
    ///
    /// Connect the session first. Then type the code on the phone. A session gets 3 codes in ten minutes, an
    /// organisation 20 in an hour.
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
    ) -> Result<Success<PairingCode>, Problem> {
        let phone = phone_of(&body.0.phone)?;
        let code = sessions::pairing_code(&services, caller.0.org, id.0.0, &phone).await?;
        Ok(Success::of(PairingCode { code }))
    }

    /// Set what the gateway does with messages that may have been sent.
    ///
    /// A process can die after it wrote a message and before WhatsApp acknowledged it. By default the
    /// message is sent again with the same WhatsApp id. With `hold` its status becomes `unknown`
    /// immediately, and so does a message that WhatsApp does not acknowledge in time.
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
    ) -> Result<Success<Session>, Problem> {
        let uncertain = body.0.policy.into();
        let session = sessions::set_uncertain(&services, caller.0.org, id.0.0, uncertain).await?;
        session
            .map(|session| Success::of(session.into()))
            .ok_or_else(not_found)
    }

    /// Log a session out.
    ///
    /// The device disappears from the phone's list of linked devices. To link it again, scan a new QR code.
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
    /// If it is connected, it is first unlinked from the phone. The session, its messages and its files are gone
    /// when this answers. Their rows, its events, webhooks that wait, its keys, and contacts that only it met
    /// are erased after that, step by step. A contact that opted out stays opted out.
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

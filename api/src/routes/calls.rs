//! Calls.

use passerelle_jobs::{
    Services,
    error::AskError,
    ids::SessionId,
    sessions::calls::{self, RejectError},
};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path};
use serde::Serialize;

use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::Success,
    problem::{Code, Problem},
    types::Id,
};

/// A call that was rejected.
#[derive(Debug, Serialize, Object)]
pub struct RejectedCall {
    /// Its id.
    pub id: String,
    /// Always `call`.
    pub object: String,
    /// The session of the number that was called.
    pub session_id: Id<SessionId>,
    /// Always `rejected`.
    pub outcome: String,
}

impl From<RejectError> for Problem {
    fn from(error: RejectError) -> Self {
        match error {
            RejectError::NoCall | RejectError::Ask(AskError::NotFound) => not_found(),
            RejectError::Over => Self::new(Code::CallOver),
            RejectError::Ask(AskError::Fault(fault)) => fault.into(),
            RejectError::Ask(AskError::NotConnected | AskError::Paced(_)) => {
                Self::new(Code::SessionNotReady)
                    .detail("The session is not connected. Connect it first.")
            }
        }
    }
}

/// Calls.
pub struct Calls;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Calls {
    /// Reject a call that rings.
    ///
    /// The caller's phone shows that the call was declined, and the number's other devices stop ringing. `call.ended` follows.
    /// The gateway knows a call for five minutes, while the process that runs the session runs.
    #[oai(
        path = "/:id/calls/:call_id/reject",
        method = "post",
        operation_id = "reject_call"
    )]
    async fn reject_call(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// The call's `id` in `call.received`.
        call_id: Path<String>,
    ) -> Result<Success<RejectedCall>, Problem> {
        let id = id.0;
        calls::reject(&services, caller.0.org, id.0, &call_id.0).await?;
        Ok(Success::of(RejectedCall {
            id: call_id.0,
            object: "call".to_owned(),
            session_id: id,
            outcome: "rejected".to_owned(),
        }))
    }
}

//! Groups: those that a session's number is in.

use passerelle_jobs::{
    Services,
    ids::SessionId,
    sessions::groups::{self, JoinedGroup},
};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path};
use serde::Serialize;

use super::{Group, of_ask};
use crate::{
    auth::Caller,
    body::Success,
    problem::{Code, Problem},
    types::Id,
};

/// A group that the session's number is in.
#[derive(Debug, Serialize, Object)]
pub struct WhatsAppGroup {
    /// Its id, for `to`: `…@g.us`.
    pub id: String,
    /// Always `group`.
    pub object: String,
    /// What its members call it.
    pub subject: String,
    /// How many are in it, this number among them.
    pub members: u32,
    /// Whether only its admins may write.
    pub admins_only: bool,
}

/// The groups of a session's number.
#[derive(Debug, Serialize, Object)]
pub struct GroupList {
    /// By name.
    pub data: Vec<WhatsAppGroup>,
}

impl From<JoinedGroup> for WhatsAppGroup {
    fn from(group: JoinedGroup) -> Self {
        Self {
            id: group.id.as_str().to_owned(),
            object: "group".to_owned(),
            subject: group.subject,
            members: group.members,
            admins_only: group.admins_only,
        }
    }
}

/// Groups.
pub struct Groups;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Groups {
    /// List the groups that the session's number is in.
    ///
    /// WhatsApp is asked, at most six times at once and then once in ten seconds. A group's id does not
    /// change: keep it. A number joins and leaves groups on its phone.
    #[oai(path = "/:id/groups", method = "get", operation_id = "list_groups")]
    async fn list_groups(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<GroupList>, Problem> {
        let joined = groups::list(&services, caller.0.org, id.0.0).await;
        let joined = joined.map_err(|error| of_ask(error, Code::GroupListPaced))?;
        Ok(Success::of(GroupList {
            data: joined.into_iter().map(Into::into).collect(),
        }))
    }
}

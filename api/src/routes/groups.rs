//! The groups that a session's number is in.

pub mod one;

use passerelle_jobs::{
    Services,
    ids::SessionId,
    limits,
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
    /// Its id, `…@g.us`. Use it as `to`.
    pub id: String,
    /// Always `group`.
    pub object: String,
    /// The name of the group.
    pub subject: String,
    /// The number of members, including this number.
    pub members: u32,
    /// Whether only admins can send messages.
    pub admins_only: bool,
}

/// The groups of a session's number.
#[derive(Debug, Serialize, Object)]
pub struct GroupList {
    /// The groups, sorted by name.
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
    /// The gateway asks WhatsApp each time: at most six times at once and then once every ten seconds. The id of
    /// a group does not change, so you can store it. A number joins groups on its phone.
    #[oai(path = "/:id/groups", method = "get", operation_id = "list_groups")]
    async fn list_groups(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<GroupList>, Problem> {
        let joined = groups::list(&services, caller.0.org, id.0.0).await;
        let joined =
            joined.map_err(|error| of_ask(error, (Code::GroupListPaced, limits::GROUP_LISTS)))?;
        Ok(Success::of(GroupList {
            data: joined.into_iter().map(Into::into).collect(),
        }))
    }
}

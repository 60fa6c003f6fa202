//! One group: describe it, and leave it.

use passerelle_jobs::{
    Services,
    content::Group as WhatsAppId,
    error::AskError,
    ids::{ContactId, SessionId},
    limits,
    model::group::{GroupView, Person},
    sessions::groups,
};
use poem::web::Data;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
};
use serde::Serialize;

use super::super::{Group, of_ask};
use crate::{
    auth::Caller,
    body::Success,
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// The role of a member of a group.
#[derive(Debug, Clone, Copy, Serialize, Enum)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum GroupRole {
    /// Made the group, and is an admin.
    Owner,
    /// Is an admin.
    Admin,
    /// Is neither.
    Member,
}

impl From<groups::Role> for GroupRole {
    fn from(role: groups::Role) -> Self {
        match role {
            groups::Role::Owner => Self::Owner,
            groups::Role::Admin => Self::Admin,
            groups::Role::Member => Self::Member,
        }
    }
}

/// A member of a group, or a former one.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct GroupParticipant {
    /// The id of the contact in this gateway, if you wrote to it or it wrote to you.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<Id<ContactId>>,
    /// The phone number in E.164, if WhatsApp shared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the account (LID), if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The name to show, of a contact: yours, or the one that the person chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that the contact chose at WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The name of a business that WhatsApp verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
    /// Whether it is the session's own number.
    pub this_number: bool,
    /// The role. Absent in events, and for `owner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<GroupRole>,
}

impl GroupParticipant {
    fn of(person: Person, role: Option<groups::Role>) -> Self {
        let Person {
            peer,
            contact,
            called,
            is_me,
        } = person;
        Self {
            contact_id: contact.map(Id),
            phone: peer.phone.map(|phone| phone.as_str().to_owned()),
            lid: peer.lid,
            name: called.name().map(str::to_owned),
            push_name: called.push_name,
            verified_name: called.verified_name,
            this_number: is_me,
            role: role.map(Into::into),
        }
    }
}

/// A group that the session's number is in, as WhatsApp describes it now.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct GroupDetails {
    /// Its id, `…@g.us`. Use it as `to`.
    pub id: String,
    /// Always `group`.
    pub object: String,
    /// The session that was asked through.
    pub session_id: Id<SessionId>,
    /// The name of the group.
    pub subject: String,
    /// The description. Absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The number of members, including this number.
    pub members: u32,
    /// Whether only admins can send messages.
    pub admins_only: bool,
    /// Whether only admins can change the name, the description, the picture and the timer.
    pub locked: bool,
    /// Whether an admin must approve who joins by link.
    pub join_approval: bool,
    /// The seconds after which messages disappear; 0 if they stay.
    pub expires_in: u32,
    /// Who made the group, if WhatsApp says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<GroupParticipant>,
    /// When it was made, if WhatsApp says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The members, the admins first. At most 1,024; `members` counts all of them.
    pub participants: Vec<GroupParticipant>,
}

impl GroupDetails {
    fn of(session: Id<SessionId>, view: GroupView) -> Self {
        let state = view.state;
        let participants = view.participants.into_iter();
        Self {
            id: state.id.as_str().to_owned(),
            object: "group".to_owned(),
            session_id: session,
            subject: state.subject,
            description: state.description,
            members: state.members,
            admins_only: state.admins_only,
            locked: state.locked,
            join_approval: state.join_approval,
            expires_in: state.expires_in,
            owner: view.owner.map(|owner| GroupParticipant::of(owner, None)),
            created_at: state.created_at.map(Timestamp),
            participants: participants
                .map(|(person, role)| GroupParticipant::of(person, Some(role)))
                .collect(),
        }
    }
}

/// A group that the session's number is no longer in.
#[derive(Debug, Serialize, Object)]
pub struct GroupLeft {
    /// Its id.
    pub id: String,
    /// Always `group`.
    pub object: String,
    /// The session whose number left it.
    pub session_id: Id<SessionId>,
    /// Always `true`: the number is not in the group.
    pub left: bool,
}

fn parse(id: &str) -> Result<WhatsAppId, Problem> {
    WhatsAppId::parse(id).ok_or_else(|| {
        let wanted = "the id of a group, …@g.us, as the list of groups shows it";
        Problem::new(Code::InvalidId).parameter("id", Code::InvalidId.as_str(), wanted)
    })
}

fn of_group(error: AskError) -> Problem {
    of_ask(error, (Code::GroupRequestPaced, limits::GROUP_REQUESTS))
}

/// Operations on one group.
pub struct OneGroup;

#[OpenApi(prefix_path = "/v1/groups", tag = "Group::Sessions")]
impl OneGroup {
    /// Read a group that the session's number is in, with its members.
    ///
    /// Each call asks WhatsApp. A session can make ten requests about groups at once and then one every six seconds;
    /// the events `group.updated` and `group.participants` report what changes.
    #[oai(path = "/:id", method = "get", operation_id = "read_group")]
    async fn read_group(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The group's id, `…@g.us`.
        id: Path<String>,
        /// The session to ask through. Its number must be in the group.
        session_id: Query<Id<SessionId>>,
    ) -> Result<Success<GroupDetails>, Problem> {
        let (org, session) = (caller.0.org, session_id.0.0);
        let group = parse(&id)?;
        let read = groups::read(&services, org, session, group).await;
        let view = read.map_err(of_group)?;
        let view = view.ok_or_else(|| Problem::new(Code::NotInGroup))?;
        Ok(Success::of(GroupDetails::of(session_id.0, view)))
    }

    /// Leave a group.
    ///
    /// The number can come back only if a member adds it, or by a link on its phone. Messages to the group that wait in the
    /// queue fail with `not_in_group`. If the number is not in the group, nothing happens and the answer is the same.
    #[oai(path = "/:id/leave", method = "post", operation_id = "leave_group")]
    async fn leave_group(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The group's id, `…@g.us`.
        id: Path<String>,
        /// The session whose number leaves.
        session_id: Query<Id<SessionId>>,
    ) -> Result<Success<GroupLeft>, Problem> {
        let (org, session) = (caller.0.org, session_id.0.0);
        let group = parse(&id)?;
        let left = groups::leave(&services, org, session, group.clone()).await;
        left.map_err(of_group)?;
        Ok(Success::of(GroupLeft {
            id: group.as_str().to_owned(),
            object: "group".to_owned(),
            session_id: session_id.0,
            left: true,
        }))
    }
}

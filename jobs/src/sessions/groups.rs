//! The groups that a session's number is in: list them, describe one, leave one. Only WhatsApp knows them; nothing about
//! them is stored here.
//!
//! Each query is expensive for WhatsApp, so each session's rate is limited. A group's id does not change,
//! so a caller needs to look it up only once.

pub use passerelle_engine::whatsapp::{JoinedGroup, Role};
use passerelle_engine::{
    content::Group,
    ids::{OrgId, SessionId},
    whatsapp::{GroupState, Membership},
};

use crate::{
    contacts::known,
    error::{AskError, Fault},
    model::{Desired, group::GroupView},
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
};

/// Returns the groups that the session's number is in, sorted by name.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: SessionId,
) -> Result<Vec<JoinedGroup>, AskError> {
    let answer = ask(services, org, session, Command::Groups).await?;
    Ok(serde_json::from_str(&answer).map_err(Fault::from)?)
}

/// Returns a group that the session's number is in. Returns `None` if it is not in it, or there is no such group.
pub async fn read(
    services: &Services,
    org: OrgId,
    session: SessionId,
    group: Group,
) -> Result<Option<GroupView>, AskError> {
    let answer = ask(services, org, session, Command::Group(group)).await?;
    match serde_json::from_str(&answer).map_err(Fault::from)? {
        Membership::In(state) => Ok(Some(view(services, org, *state).await?)),
        Membership::Out => Ok(None),
    }
}

/// Leaves a group. Does nothing if the session's number is not in it.
pub async fn leave(
    services: &Services,
    org: OrgId,
    session: SessionId,
    group: Group,
) -> Result<(), AskError> {
    ask(services, org, session, Command::LeaveGroup(group))
        .await
        .map(drop)
}

async fn ask(
    services: &Services,
    org: OrgId,
    session: SessionId,
    command: Command,
) -> Result<String, AskError> {
    let known = sessions::read(services, org, session).await?;
    let known = known.ok_or(AskError::NotFound)?;
    if known.desired == Desired::Stopped {
        // No host runs it, so nobody would answer.
        return Err(AskError::NotConnected);
    }
    let answer = commands::ask(services, org, session, command).await?;
    answer.into_text()
}

/// Adds to a group what is known of its members.
async fn view(services: &Services, org: OrgId, mut state: GroupState) -> Result<GroupView, Fault> {
    let members = std::mem::take(&mut state.participants);
    let mut peers: Vec<_> = members.iter().map(|member| member.peer.clone()).collect();
    peers.extend(state.owner.clone());
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let mut people = known::people(&mut conn, (&key, org), &peers).await?;
    let owner = people.split_off(members.len()).pop();
    let participants = members.iter().zip(people).map(|(member, mut person)| {
        person.is_me = member.is_me;
        (person, member.role)
    });
    let participants: Vec<_> = participants.collect();
    let me = participants.iter().find(|(person, _)| person.is_me);
    let owner = owner.map(|mut owner| {
        owner.is_me = me.is_some_and(|(me, _)| me.peer.is_same(&owner.peer));
        owner
    });
    Ok(GroupView {
        state,
        owner,
        participants,
    })
}

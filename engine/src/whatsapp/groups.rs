//! The groups that this number is a member of, and leaving one.

use serde::{Deserialize, Serialize};
use whatsapp_rust::{
    IqError, Jid,
    features::{GroupError, GroupMetadata, GroupParticipant, ParticipantType},
};

use super::{connection::Connection, jid::peer_of, wire};
use crate::{
    clock::Millis,
    content::{Group, Peer},
    sealed::sealed_debug,
};

/// Maximum number of members that are listed. A group has at most 1,024; a community more.
const LISTED: usize = 1024;

/// A group that this number is a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedGroup {
    /// The group's JID.
    pub id: Group,
    /// The group's name.
    pub subject: String,
    /// Number of members, including this number.
    pub members: u32,
    /// Whether only admins may write.
    pub admins_only: bool,
}

/// Whether this number is in a group.
#[derive(Debug, Serialize, Deserialize)]
pub enum Membership {
    /// It is.
    In(Box<GroupState>),
    /// It is not, or there is no such group. WhatsApp tells the two apart; we do not, so that nobody learns from here
    /// which groups exist.
    Out,
}

/// A group as WhatsApp describes it to a member.
#[derive(Serialize, Deserialize)]
pub struct GroupState {
    /// The group's JID.
    pub id: Group,
    /// The group's name.
    pub subject: String,
    /// The group's description.
    pub description: Option<String>,
    /// Number of members, including this number.
    pub members: u32,
    /// Whether only admins may write.
    pub admins_only: bool,
    /// Whether only admins may change the name, the description, the picture and the timer.
    pub locked: bool,
    /// Whether an admin must approve who joins by link.
    pub join_approval: bool,
    /// The seconds after which messages disappear; 0 if they stay.
    pub expires_in: u32,
    /// Who made the group, if WhatsApp says so.
    pub owner: Option<Peer>,
    /// When it was made, in milliseconds UTC, if WhatsApp says so.
    pub created_at: Option<Millis>,
    /// The members, at most 1,024: the one who made the group first, then the admins.
    pub participants: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who it is.
    pub peer: Peer,
    /// Its role.
    pub role: Role,
    /// Whether it is this number.
    pub is_me: bool,
}

sealed_debug!(GroupState, Member);

/// The role of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Made the group, and is an admin.
    Owner,
    /// Is an admin.
    Admin,
    /// Is neither.
    Member,
}

impl Connection {
    /// Asks WhatsApp for a group.
    pub async fn group(&self, group: &Group) -> anyhow::Result<Membership> {
        let asked = self.client().groups().get_metadata(&jid(group)).await;
        Ok(match asked {
            Ok(told) => Membership::In(Box::new(state(group, told, self.me().as_ref()))),
            Err(error) if is_closed(&error) => Membership::Out,
            Err(error) => return Err(error.into()),
        })
    }

    /// Leaves a group. Does nothing if this number is not in it.
    pub async fn leave(&self, group: &Group) -> anyhow::Result<()> {
        match self.client().groups().leave(jid(group)).await {
            Err(error) if !is_closed(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Returns the number's groups, sorted by name. Each call is a query, and its answer lists
    /// every member of every group.
    pub async fn groups(&self) -> anyhow::Result<Vec<JoinedGroup>> {
        let told = self.client().groups().get_participating().await?;
        let mut groups: Vec<_> = told
            .into_values()
            .filter_map(|group| {
                let counted = u32::try_from(group.participants.len()).unwrap_or(u32::MAX);
                Some(JoinedGroup {
                    id: Group::parse(&group.id.to_string())?,
                    subject: group.subject,
                    members: group.size.unwrap_or(counted),
                    admins_only: group.is_announcement,
                })
            })
            .collect();
        groups.sort_by(|one, other| {
            (&one.subject, one.id.as_str()).cmp(&(&other.subject, other.id.as_str()))
        });
        Ok(groups)
    }
}

fn jid(group: &Group) -> Jid {
    Jid::group(group.id())
}

/// Returns whether WhatsApp answered that the group does not exist or that this number is not in it
/// (404 and 403, as in whatsmeow's `getGroupInfo`).
fn is_closed(error: &GroupError) -> bool {
    matches!(
        error,
        GroupError::Iq(IqError::ServerError {
            code: 403 | 404,
            ..
        })
    )
}

fn state(group: &Group, told: GroupMetadata, me: Option<&Peer>) -> GroupState {
    let counted = u32::try_from(told.participants.len()).unwrap_or(u32::MAX);
    let owner = peer_of([&told.creator, &told.creator_pn].into_iter().flatten());
    let created = told.creation_time.and_then(|at| i64::try_from(at).ok());
    let mut participants: Vec<_> = told
        .participants
        .iter()
        .map(|one| member(one, me))
        .collect();
    participants.sort_by_key(|member| member.role);
    participants.truncate(LISTED);
    let listed = participants.iter().find(|one| one.peer.is_same(&owner));
    let owner = listed.map_or(owner, |one| one.peer.clone());
    let timer = told.ephemeral.and_then(|timer| timer.expiration);
    GroupState {
        id: group.clone(),
        subject: told.subject,
        description: told.description.filter(|text| !text.is_empty()),
        members: told.size.unwrap_or(counted),
        admins_only: told.is_announcement,
        locked: told.is_locked,
        join_approval: told.membership_approval,
        expires_in: timer.and_then(wire::timer::believed).unwrap_or(0),
        owner: (owner.phone.is_some() || owner.lid.is_some()).then_some(owner),
        created_at: created.map(|at| at.saturating_mul(1000)),
        participants,
    }
}

fn member(told: &GroupParticipant, me: Option<&Peer>) -> Member {
    let names = [
        Some(&told.jid),
        told.phone_number.as_ref(),
        told.lid.as_ref(),
    ];
    let peer = peer_of(names.into_iter().flatten());
    Member {
        role: match told.participant_type {
            ParticipantType::SuperAdmin => Role::Owner,
            ParticipantType::Admin => Role::Admin,
            ParticipantType::Member => Role::Member,
        },
        is_me: me.is_some_and(|me| peer.is_same(me)),
        peer,
    }
}

//! Groups, as the tenant sees them.

use passerelle_engine::{
    content::Peer,
    ids::ContactId,
    whatsapp::{GroupState, PeopleAction, Role},
};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::contact::Called;

/// A person in a group: who it is at WhatsApp, and what the gateway knows of it.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who it is.
    pub peer: Peer,
    /// Its contact, if this organisation wrote to it or heard from it.
    pub contact: Option<ContactId>,
    /// What the contact is called.
    pub called: Called,
    /// Whether it is the session's own number.
    pub is_me: bool,
}

/// A group that a session's number is in.
#[derive(Debug)]
pub struct GroupView {
    /// What WhatsApp says of it. Its members are in `participants`.
    pub state: GroupState,
    /// Who made it, if WhatsApp says so.
    pub owner: Option<Person>,
    /// Its members.
    pub participants: Vec<(Person, Role)>,
}

/// What happened to members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum GroupAction {
    /// They joined by a link, or made the group.
    Joined,
    /// They left.
    Left,
    /// Another member added them.
    Added,
    /// An admin removed them, or the group was deleted.
    Removed,
    /// They are admins now.
    Promoted,
    /// They are no longer admins.
    Demoted,
}

words!(GroupAction);

impl From<PeopleAction> for GroupAction {
    fn from(action: PeopleAction) -> Self {
        match action {
            PeopleAction::Joined => Self::Joined,
            PeopleAction::Left => Self::Left,
            PeopleAction::Added => Self::Added,
            PeopleAction::Removed => Self::Removed,
            PeopleAction::Promoted => Self::Promoted,
            PeopleAction::Demoted => Self::Demoted,
        }
    }
}

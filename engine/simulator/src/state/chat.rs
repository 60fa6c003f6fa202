//! Conversations.

use super::address::{Pn, plus};
use super::group::GroupId;

/// A conversation, as a phone sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Chat {
    /// With one other account.
    With(Pn),
    /// In a group.
    Group(GroupId),
}

impl Chat {
    /// Returns the recipient as the ledger names it.
    pub(crate) fn ledger_name(&self) -> String {
        match self {
            Self::With(pn) => plus(pn),
            Self::Group(id) => format!("{id}@g.us"),
        }
    }

    /// Returns the group, if this is one.
    pub(crate) fn group(&self) -> Option<&GroupId> {
        match self {
            Self::With(_) => None,
            Self::Group(id) => Some(id),
        }
    }
}

//! A group and its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

use super::address::Pn;

/// The digits of a group's address.
pub(crate) type GroupId = Arc<str>;

/// How a group addresses its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddressingMode {
    /// By LID, as new groups do.
    #[default]
    Lid,
    /// By phone number, as old groups do.
    Pn,
}

impl AddressingMode {
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Lid => Server::Lid,
            Self::Pn => Server::Pn,
        }
    }

    /// Returns the value of `addressing_mode`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lid => "lid",
            Self::Pn => "pn",
        }
    }

    /// Returns the attribute for a member's other address, and the server of that address.
    pub(crate) fn other(self) -> (&'static str, Server) {
        match self {
            Self::Lid => ("participant_pn", Server::Pn),
            Self::Pn => ("participant_lid", Server::Lid),
        }
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) subject: String,
    pub(crate) mode: AddressingMode,
    pub(crate) creator: Pn,
    pub(crate) created: u64,
    /// The members. The value is `true` for admins.
    pub(crate) members: BTreeMap<Pn, bool>,
    pub(crate) settings: Settings,
}

/// The settings of a group.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Settings {
    pub(crate) description: Option<String>,
    /// Only admins may write.
    pub(crate) admins_only: bool,
    /// Only admins may change the settings.
    pub(crate) locked: bool,
    /// An admin approves who joins by link.
    pub(crate) join_approval: bool,
    /// The seconds after which messages disappear; 0 if they stay.
    pub(crate) expires_seconds: u32,
}

impl Group {
    pub(crate) fn jid(&self) -> Jid {
        Jid::group(&*self.id)
    }

    pub(crate) fn is_admin(&self, pn: &Pn) -> bool {
        self.members.get(pn).copied().unwrap_or(false)
    }
}

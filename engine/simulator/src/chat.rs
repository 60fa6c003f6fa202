//! Where something is said.

use crate::account::Pn;
use crate::world::plus;

/// A conversation, as a phone sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Chat {
    /// With one other account.
    With(Pn),
}

impl Chat {
    /// As the ledger names whom something is for.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::With(pn) => plus(pn),
        }
    }
}

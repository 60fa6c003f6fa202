//! Who is told what an account changes about itself: its own devices and its contacts.

use std::sync::Arc;

use wacore_binary::{Jid, Node, Server};

use super::address::{Address, Pn};
use super::world::State;

impl State {
    /// Returns an account's LID as an address.
    pub(crate) fn lid_of(&self, pn: &Pn) -> Option<Jid> {
        Some(self.accounts.get(pn)?.jid(Server::Lid, 0))
    }

    /// Returns an account and its contacts.
    pub(crate) fn circle(&self, pn: &Pn) -> Vec<Pn> {
        let contacts = self.accounts.get(pn).map(|account| account.contacts.keys());
        let contacts = contacts.into_iter().flatten().cloned();
        contacts.chain([Arc::clone(pn)]).collect()
    }

    /// Sends a notification to all devices of these accounts, except the device that caused it.
    pub(crate) fn tell(&mut self, accounts: &[Pn], cause: &Address, node: &Arc<Node>) {
        for pn in accounts {
            if let Some(account) = self.accounts.get_mut(pn) {
                let except = (*pn == cause.pn).then_some(cause.device);
                account.send_to_devices(node, except, true);
            }
        }
    }
}

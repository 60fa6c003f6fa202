//! Members of groups: who they are, and how many a group has.

use super::{connection::Connection, jid::with_both_names, send::address};
use crate::content::{Peer, Recipient};
use whatsapp_rust::wacore_binary::JidExt;

impl Connection {
    /// Returns how many members a group has, including this number; `None` for a person, or if WhatsApp does not
    /// say. A send needs the same answer, which is cached.
    pub async fn members(&self, of: &Recipient) -> Option<u32> {
        let group = address(of).filter(JidExt::is_group)?;
        let info = self.client().groups().query_info(&group).await.ok()?;
        u32::try_from(info.participants.len()).ok()
    }

    /// Adds the other name of a person who is named by a phone or by a LID alone, if it was learnt before. The
    /// answer comes from memory or the key store, never over the network.
    pub async fn both_names(&self, peer: Peer) -> Peer {
        with_both_names(self.client(), peer).await.0
    }

    /// Returns whether this is the connection's own number.
    pub fn is_me(&self, peer: &Peer) -> bool {
        let is_same = |me: Peer| {
            let phones = me.phone.is_some() && me.phone == peer.phone;
            phones || (me.lid.is_some() && me.lid == peer.lid)
        };
        self.me().is_some_and(is_same)
    }
}

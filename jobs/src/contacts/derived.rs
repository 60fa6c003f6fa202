//! A sender whom a message names by LID alone, with the phone that was known of that LID before. The phone tells whom else
//! it is, but it may be any spelling.

use passerelle_engine::{content::Peer, store::Tx};

use super::{Book, Met, Names, names};
use crate::{
    error::Fault,
    store::{self, contacts::ContactMatch},
};

impl Book<'_> {
    /// Returns the contact with this LID, or with this phone if the LID is new, and creates it if there is none. `peer` gets
    /// the contact's own phone.
    pub(crate) async fn meet_derived(&self, tx: &mut Tx, peer: &mut Peer) -> Result<Met, Fault> {
        let named = peer.clone();
        let names = Names {
            is_stated: false,
            ..Names::of(self.key, &named)
        };
        let known = store::contacts::find(tx, self.org, names.phone_mac(), names.lid_mac()).await?;
        let is_here = |contact: &&ContactMatch| {
            contact.lid_mac.as_deref() == names.lid_mac().as_ref().map(|mac| &mac[..])
        };
        let by_lid = known.iter().find(is_here);
        let by_phone = known.iter().find(|contact| contact.lid_mac.is_none());
        let one = match (by_lid, by_phone) {
            (Some(one), Some(other)) if one.phone_mac.is_some() => {
                store::contacts::merge_spelling(tx, self.org, one.id, other.id).await?;
                self.merged(tx, one.id, other.id, &named).await?;
                one
            }
            (Some(other), Some(one)) => {
                store::contacts::merge(tx, self.org, one.id, other.id).await?;
                self.learn(tx, one, &names).await?;
                self.merged(tx, one.id, other.id, &named).await?;
                one
            }
            (Some(one), None) | (None, Some(one)) => {
                // The phone of a contact with another LID is not this one's.
                if known.len() == 1 {
                    self.learn(tx, one, &names).await?;
                }
                one
            }
            (None, None) => {
                if !known.is_empty() {
                    peer.phone = None;
                }
                let names = Names {
                    is_stated: false,
                    ..Names::of(self.key, peer)
                };
                let id = self.insert(tx, &names).await?;
                return Ok(Met { id, twin: None });
            }
        };
        if !one.has_phone(&names) && (one.phone_mac.is_some() || known.len() > 1) {
            let row = store::contacts::read(tx.conn(), self.org, one.id).await?;
            let own = row.map(|row| self::names(self.key, self.org, &row));
            peer.phone = own.transpose()?.and_then(|own| own.phone);
        }
        Ok(Met {
            id: one.id,
            twin: None,
        })
    }
}

//! Spellings of a phone number. WhatsApp has one canonical form of each number and answers it for every spelling: a
//! Brazilian mobile number with and without its ninth digit, a Mexican one with and without the 1 after 52.
//!
//! A spelling is a row of its own that leads to the contact. So whatever is known of the contact, above all its
//! opt-out, holds for each spelling.

use passerelle_engine::{
    content::{Peer, Phone},
    ids::ContactId,
    store::Tx,
};

use super::{Book, Names, PHONE, phone_mac, sealed};
use crate::{
    error::Fault,
    store::{self, contacts::ContactMatch},
};

impl Book<'_> {
    /// Learns that WhatsApp answered the names `named` for the phone `asked`. Returns the contact, if there is one.
    pub(crate) async fn learn_spelling(
        &self,
        tx: &mut Tx,
        asked: &Phone,
        named: &Peer,
    ) -> Result<Option<ContactId>, Fault> {
        let met = self.recognise(tx, named).await?.map(|met| met.id);
        if named.phone.as_ref().is_none_or(|phone| phone == asked) {
            return Ok(met);
        }
        let mac = phone_mac(self.key, asked);
        let written = store::contacts::find(tx, self.org, Some(mac), None).await?;
        let names = Names::of(self.key, named);
        match (met, written.first()) {
            (None, None) => Ok(None),
            (Some(id), None) => self.insert_spelling(tx, asked, id).await.map(Some),
            (Some(id), Some(written)) if written.id == id => Ok(met),
            (Some(id), Some(written)) if written.is_only(&mac) => {
                store::contacts::merge_spelling(tx, self.org, id, written.id).await?;
                self.merged(tx, id, written.id, named).await?;
                Ok(met)
            }
            (None, Some(written)) if written.may_be(&names) => {
                self.learn(tx, written, &names).await?;
                if written.is_at(&mac) {
                    return self.insert_spelling(tx, asked, written.id).await.map(Some);
                }
                Ok(Some(written.id))
            }
            // The number changed hands: it is known of somebody with another LID.
            (met, Some(written)) => {
                let id = match met {
                    Some(id) => id,
                    None => self.insert(tx, &names).await?,
                };
                store::contacts::forget_phone(tx, self.org, &mac).await?;
                store::contacts::opt_outs::refuse_alike(tx, self.org, id, written.id).await?;
                self.insert_spelling(tx, asked, id).await.map(Some)
            }
        }
    }

    async fn insert_spelling(
        &self,
        tx: &mut Tx,
        phone: &Phone,
        of: ContactId,
    ) -> Result<ContactId, Fault> {
        let (id, mac) = (ContactId::new(self.clock), phone_mac(self.key, phone));
        let phone = sealed(self.key, (self.org, id), PHONE, phone.as_str(), mac);
        let now = self.clock.now();
        store::contacts::insert_spelling(tx, self.org, id, &phone, of, now).await?;
        Ok(of)
    }
}

impl ContactMatch {
    /// Returns whether this is the contact's phone.
    fn is_at(&self, phone_mac: &[u8; 32]) -> bool {
        self.phone_mac.as_deref() == Some(phone_mac)
    }

    /// Returns whether nothing but this phone is known of the contact.
    fn is_only(&self, phone_mac: &[u8; 32]) -> bool {
        self.is_at(phone_mac) && self.lid_mac.is_none()
    }

    /// Returns whether the contact may be the person with these names: no LID says otherwise.
    fn may_be(&self, names: &Names<'_>) -> bool {
        let lids = self.lid_mac.as_deref().zip(names.lid_mac());
        lids.is_none_or(|(own, theirs)| own == theirs)
    }
}

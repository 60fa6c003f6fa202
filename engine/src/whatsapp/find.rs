//! Asking WhatsApp who has an account.

use anyhow::Context as _;
use whatsapp_rust::Jid;

use super::{connection::Connection, jid::peer_of};
use crate::content::{Peer, Phone};

impl Connection {
    /// The account of a phone number, with its LID where WhatsApp tells it; none when the number has none.
    /// Each call is a query; WhatsApp restricts numbers that ask much.
    pub async fn find(&self, phone: &Phone) -> anyhow::Result<Option<Peer>> {
        let asked = [Jid::pn(phone.digits())];
        let found = self.client().contacts().is_on_whatsapp(&asked).await?;
        let found = found.first().context("WhatsApp answers for each number")?;
        if !found.is_registered {
            return Ok(None);
        }
        let names = [Some(&found.jid), found.lid.as_ref()].into_iter().flatten();
        Ok(Some(Peer {
            phone: Some(phone.clone()),
            ..peer_of(names)
        }))
    }
}

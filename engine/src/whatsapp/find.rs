//! Asks WhatsApp whether a phone number has an account.

use anyhow::Context as _;
use whatsapp_rust::Jid;

use super::{connection::Connection, jid::peer_of};
use crate::content::{Peer, Phone};

impl Connection {
    /// Returns the account of a phone number, with its LID if WhatsApp gives it. Returns `None` if
    /// the number has no account. Each call is a query, and WhatsApp restricts numbers that send
    /// many.
    pub async fn find(&self, phone: &Phone) -> anyhow::Result<Option<Peer>> {
        let asked = [Jid::pn(phone.digits())];
        let found = self.client().contacts().is_on_whatsapp(&asked).await?;
        let found = found
            .first()
            .context("WhatsApp did not answer for the number")?;
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

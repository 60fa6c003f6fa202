//! Asks WhatsApp whether a phone number has an account.

use anyhow::Context as _;
use whatsapp_rust::Jid;

use super::{connection::Connection, jid::peer_of};
use crate::content::{Peer, Phone};

impl Connection {
    /// Returns the account of a phone number: the number's canonical form, which may be another one than that
    /// asked, and the LID if WhatsApp gives it. Returns `None` if the number has no account. Each call is a query, and
    /// WhatsApp restricts numbers that send many.
    pub async fn find(&self, phone: &Phone) -> anyhow::Result<Option<Peer>> {
        let asked = [Jid::pn(phone.digits())];
        let found = self.client().contacts().is_on_whatsapp(&asked).await?;
        let found = found
            .first()
            .context("WhatsApp did not answer for the number")?;
        if let Some(error) = &found.contact_error {
            anyhow::bail!("WhatsApp refused to look up the number: {error:?}");
        }
        if !found.is_registered {
            return Ok(None);
        }
        let names = [Some(&found.jid), found.pn_jid.as_ref(), found.lid.as_ref()];
        let named = peer_of(names.into_iter().flatten());
        Ok(Some(Peer {
            phone: named.phone.or_else(|| Some(phone.clone())),
            lid: named.lid,
        }))
    }
}

//! The confirmation of an opt-out: the one message that a contact gets who has just opted out. It is committed with the
//! message that opted out, and goes through the lane as every other message.

use passerelle_engine::{
    content::Content, ids::MessageId, store::Tx, vault::DataKey, whatsapp::new_wa_id,
};

use crate::{
    contacts,
    error::Fault,
    messages::sealed,
    model::{Class, Message, Permission, Priority, millis},
    services::Services,
    store::{
        self,
        messages::{Outward, Way, When},
    },
};

/// Queues this text for the contact who wrote `word`, in the lane of the session that received it. Returns false if there
/// is no such lane any more.
pub(super) async fn queue(
    tx: &mut Tx,
    key: &DataKey,
    services: &Services,
    word: &Message,
    text: String,
) -> Result<bool, Fault> {
    let (org, session, now) = (word.org, word.session, services.clock().now());
    let Some(contact) = word.contact else {
        return Ok(false);
    };
    let Some(row) = store::contacts::read(tx.conn(), org, contact).await? else {
        return Ok(false);
    };
    let peer = contacts::names(key, org, &row)?;
    let to_mac = contacts::mac(key, &peer);
    // The lane may be full of messages for others: this one waits behind them.
    let Some(place) = store::lanes::append(tx, org, session).await? else {
        return Ok(false);
    };
    let expires_at = now.saturating_add(millis(services.settings().message_ttl));
    let (id, wa_id) = (
        MessageId::new(services.clock()),
        new_wa_id(&mut services.chance()),
    );
    let content = Content::text(text);
    let message = Message {
        contact: Some(contact),
        class: Some(Class::Reply),
        expires_at: Some(expires_at),
        ..Message::queued(id, (org, session), peer, content, (wa_id, now))
    };
    let outward = Outward {
        to_mac,
        contact: Some(contact),
        seq: place.seq,
        permission: Permission::of_answer(),
        when: When {
            send_at: 0,
            expires_at,
            priority: Priority::Normal,
        },
        way: Way::short(),
    };
    store::messages::insert_outbound(tx, &sealed::row(key, &message)?, &outward).await?;
    store::contacts::opt_outs::confirms(tx, org, message.id).await?;
    Ok(true)
}

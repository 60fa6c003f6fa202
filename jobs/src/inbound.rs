//! Committing what comes in. WhatsApp is acknowledged only after this returned without an error;
//! until then it keeps the message and redelivers it.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Clock,
    content::{Inbound, Phone},
    event::InboundSink,
    ids::{ContactId, MessageId, OrgId},
    lease::Lease,
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{
    crash,
    error::Fault,
    events,
    messages::{contact_mac, content_place, peer_place},
    model::{Direction, Message, Status},
    opt_out,
    services::Services,
    store::{
        self,
        contacts::Address,
        messages::{New, Origin},
    },
};

/// Where one session's inbound messages go.
pub(crate) struct Inbox {
    pub(crate) services: Services,
    pub(crate) lease: Lease,
}

/// Between two tries while the database does not answer.
const OUTAGE: Duration = Duration::from_millis(500);

impl Inbox {
    /// Whether the session is to go on running here.
    fn is_wanted(&self) -> bool {
        let running = self
            .services
            .0
            .registry
            .running(self.lease.session, self.lease.epoch);
        running.is_some_and(|running| !running.stop.is_cancelled())
    }
}

#[async_trait::async_trait]
impl InboundSink for Inbox {
    async fn commit(&self, batch: Vec<Inbound>) -> anyhow::Result<()> {
        loop {
            match commit(&self.services, &self.lease, batch.clone()).await {
                // Refusing would leave the messages with WhatsApp until the next connect, which may
                // be hours away; reading on could not store anything either.
                Err(fault) if fault.is_outage() && self.is_wanted() => {
                    tracing::warn!(session.id = %self.lease.session, error = %fault, "what came in waits for the store");
                    tokio::time::sleep(OUTAGE).await;
                }
                done => return Ok(done?),
            }
        }
    }
}

/// Stores the batch in one transaction: each message once, its contact, its event and one delivery
/// per endpoint. A message that was stored before changes nothing.
async fn commit(services: &Services, lease: &Lease, batch: Vec<Inbound>) -> Result<(), Fault> {
    let shared = services.0.clone();
    let key = shared.vault.org_key(lease.org).await?;
    let (lease, clock) = (lease.clone(), shared.clock.clone());
    let received = batch.len();
    shared
        .store
        .write(move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                for inbound in batch {
                    receive(tx, &lease, &key, &clock, inbound).await?;
                }
                crash::point("inbound.before_commit");
                Ok::<_, Fault>(())
            })
        })
        .await?;
    crash::point("inbound.after_commit");
    shared.deliveries.notify_one();
    tracing::debug!(received, "inbound messages committed");
    Ok(())
}

async fn receive(
    tx: &mut Tx,
    lease: &Lease,
    key: &Arc<DataKey>,
    clock: &Clock,
    inbound: Inbound,
) -> Result<(), Fault> {
    let now = clock.now();
    let contact = contact(tx, lease.org, key, clock, &inbound).await?;
    let message = Message {
        id: MessageId::new(clock),
        org: lease.org,
        session: lease.session,
        direction: Direction::Inbound,
        status: Status::Received,
        peer: inbound.from,
        contact: Some(contact),
        content: inbound.content,
        wa_id: inbound.id,
        error: None,
        created_at: now,
        expires_at: None,
        sent_at: Some(inbound.at),
        delivered_at: None,
        read_at: None,
        played_at: None,
    };
    let record = message.id.to_string();
    let new = New {
        id: message.id,
        org: message.org,
        session: message.session,
        kind: message.content.kind(),
        wa_id: message.wa_id.clone(),
        peer_sealed: key.seal_json(&peer_place(lease.org, &record), &message.peer)?,
        content_sealed: key.seal_json(&content_place(lease.org, &record), &message.content)?,
        created_at: now,
    };
    let origin = Origin {
        chat_mac: key.mac("message.chat", inbound.chat.as_bytes()),
        sender_mac: key.mac("message.sender", inbound.sender.as_bytes()),
        contact,
    };
    if store::messages::insert_inbound(tx, &new, &origin, inbound.at).await? {
        store::contacts::touch(tx, lease.org, contact, now).await?;
        events::message(tx, key, &message, clock).await?;
        opt_out::take(tx, key, contact, &message, clock).await?;
    }
    Ok(())
}

/// The contact who wrote, made at the first word.
async fn contact(
    tx: &mut Tx,
    org: OrgId,
    key: &DataKey,
    clock: &Clock,
    inbound: &Inbound,
) -> Result<ContactId, Fault> {
    let phone = inbound.from.phone.as_ref();
    let lid = inbound.from.lid.as_deref();
    let phone_mac = phone.map(|phone| contact_mac(key, phone));
    let lid_mac = lid.map(|lid| key.mac("contact.lid", lid.as_bytes()));
    if let Some(known) = store::contacts::find(tx, org, phone_mac, lid_mac).await? {
        return Ok(known);
    }
    let id = ContactId::new(clock);
    let record = id.to_string();
    let address = |table, value: Option<&str>, mac: Option<[u8; 32]>| {
        let place = Place {
            org,
            session: None,
            table,
            record: &record,
        };
        value.zip(mac).map(|(value, mac)| Address {
            mac,
            sealed: key.seal(&place, value.as_bytes()),
        })
    };
    let phone = address("contact.phone", phone.map(Phone::as_str), phone_mac);
    let lid = address("contact.lid", lid, lid_mac);
    if store::contacts::insert(tx, org, id, phone.as_ref(), lid.as_ref(), clock.now()).await? {
        return Ok(id);
    }
    // On PostgreSQL another session of the organisation met the same contact in this moment.
    let known = store::contacts::find(tx, org, phone_mac, lid_mac).await?;
    known.ok_or_else(|| Fault::Store(sqlx::Error::RowNotFound))
}

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
    media::incoming::Announcing,
    messages::{contact_mac, content_place, peer_place, seal_context},
    model::{Direction, Message, Status},
    opt_out,
    services::Services,
    store::{
        self,
        contacts::Address,
        messages::{New, Origin},
    },
    target::{self, Chat},
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
        let mut raced = false;
        loop {
            match commit(&self.services, &self.lease, batch.clone()).await {
                // On PostgreSQL another session of the organisation met the same contact in this moment.
                Err(fault) if fault.is_race() && !raced => raced = true,
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
    let files = Announcing::now(&shared.settings.media);
    let brings_files = batch.iter().any(|inbound| inbound.remote.is_some());
    let received = batch.len();
    shared
        .store
        .write(lease.org, move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                for inbound in batch {
                    receive(tx, &lease, &key, &files, &clock, inbound).await?;
                }
                crash::point("inbound.before_commit");
                Ok::<_, Fault>(())
            })
        })
        .await?;
    crash::point("inbound.after_commit");
    services.wake_deliveries();
    if brings_files {
        services.wake_fetches();
    }
    tracing::debug!(received, "inbound messages committed");
    Ok(())
}

async fn receive(
    tx: &mut Tx,
    lease: &Lease,
    key: &Arc<DataKey>,
    files: &Announcing,
    clock: &Clock,
    mut inbound: Inbound,
) -> Result<(), Fault> {
    let now = clock.now();
    let writer = writer(tx, lease.org, key, clock, &inbound).await?;
    let to_mac = inbound
        .from
        .phone
        .as_ref()
        .map(|phone| contact_mac(key, phone));
    let chat = Chat {
        org: lease.org,
        session: lease.session,
        to_mac: &to_mac.unwrap_or_default(),
    };
    target::recognise(tx, key, chat, &writer, &mut inbound).await?;
    let message = Message {
        id: MessageId::new(clock),
        org: lease.org,
        session: lease.session,
        direction: Direction::Inbound,
        status: Status::Received,
        peer: inbound.from,
        contact: Some(writer.id),
        content: inbound.content,
        context: inbound.context,
        wa_id: inbound.id,
        error: None,
        created_at: now,
        expires_at: None,
        sent_at: Some(inbound.at),
        delivered_at: None,
        read_at: None,
        played_at: None,
        edited_at: None,
        deleted_at: None,
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
        context_sealed: seal_context(key, lease.org, &record, &message.context)?,
        created_at: now,
    };
    let origin = Origin {
        chat_mac: key.mac("message.chat", inbound.chat.as_bytes()),
        sender_mac: key.mac("message.sender", inbound.sender.as_bytes()),
        contact: writer.id,
    };
    if store::messages::insert_inbound(tx, &new, &origin, inbound.at).await? {
        store::contacts::touch(tx, lease.org, writer.id, now).await?;
        target::apply(tx, key, &message, inbound.at).await?;
        let file = files
            .announce(tx, key, &message, inbound.remote, now)
            .await?;
        events::received(tx, key, &message, file.as_ref(), clock).await?;
        opt_out::take(tx, key, &writer, &message, clock).await?;
    }
    Ok(())
}

/// Who wrote. A `twin` is the same person, met under the phone and under the LID before WhatsApp
/// told that the two are one.
pub(crate) struct Writer {
    pub(crate) id: ContactId,
    pub(crate) twin: Option<ContactId>,
}

/// The contact who wrote, made at the first word; a name that was not known is kept.
async fn writer(
    tx: &mut Tx,
    org: OrgId,
    key: &DataKey,
    clock: &Clock,
    inbound: &Inbound,
) -> Result<Writer, Fault> {
    let names = Names::of(key, inbound);
    let known = store::contacts::find(tx, org, names.phone_mac(), names.lid_mac()).await?;
    match known.as_slice() {
        [] => {
            let id = ContactId::new(clock);
            let (phone, lid) = (names.phone(key, org, id), names.lid(key, org, id));
            store::contacts::insert(tx, org, id, phone.as_ref(), lid.as_ref(), clock.now()).await?;
            Ok(Writer { id, twin: None })
        }
        [one] => {
            if let Some(phone) = names.phone(key, org, one.id).filter(|_| !one.has_phone) {
                store::contacts::learn_phone(tx, org, one.id, &phone).await?;
            }
            if let Some(lid) = names.lid(key, org, one.id).filter(|_| !one.has_lid) {
                store::contacts::learn_lid(tx, org, one.id, &lid).await?;
            }
            Ok(Writer {
                id: one.id,
                twin: None,
            })
        }
        [one, other, ..] => {
            store::contacts::refuse_alike(tx, org, one.id, other.id).await?;
            Ok(Writer {
                id: one.id,
                twin: Some(other.id),
            })
        }
    }
}

/// The names that WhatsApp gave for the other side, with their look-up forms.
struct Names<'i> {
    phone: Option<(&'i Phone, [u8; 32])>,
    lid: Option<(&'i str, [u8; 32])>,
}

impl<'i> Names<'i> {
    fn of(key: &DataKey, inbound: &'i Inbound) -> Self {
        let (phone, lid) = (inbound.from.phone.as_ref(), inbound.from.lid.as_deref());
        Self {
            phone: phone.map(|phone| (phone, contact_mac(key, phone))),
            lid: lid.map(|lid| (lid, key.mac("contact.lid", lid.as_bytes()))),
        }
    }

    fn phone_mac(&self) -> Option<[u8; 32]> {
        self.phone.map(|(_, mac)| mac)
    }

    fn lid_mac(&self) -> Option<[u8; 32]> {
        self.lid.map(|(_, mac)| mac)
    }

    fn phone(&self, key: &DataKey, org: OrgId, id: ContactId) -> Option<Address> {
        let (phone, mac) = self.phone?;
        Some(sealed(key, org, id, "contact.phone", phone.as_str(), mac))
    }

    fn lid(&self, key: &DataKey, org: OrgId, id: ContactId) -> Option<Address> {
        let (lid, mac) = self.lid?;
        Some(sealed(key, org, id, "contact.lid", lid, mac))
    }
}

fn sealed(
    key: &DataKey,
    org: OrgId,
    id: ContactId,
    table: &'static str,
    name: &str,
    mac: [u8; 32],
) -> Address {
    let record = id.to_string();
    let place = Place {
        org,
        session: None,
        table,
        record: &record,
    };
    Address {
        mac,
        sealed: key.seal(&place, name.as_bytes()),
    }
}

//! Status updates for messages that are no longer in flight: receipts, and late acknowledgements.
//! They are matched by session and message id, never by chat, which may be a LID or a phone.

use std::collections::BTreeSet;

use passerelle_engine::{
    clock::{Clock, Millis},
    ids::ReceiptId,
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::event::{Member, Receipt},
};

use super::{
    outcome::advance,
    verdict::{of_receipt, refusal},
};
use crate::{
    crash,
    error::{Fault, if_readable},
    events, messages,
    model::{Message, Status, millis},
    services::Services,
    store,
};

/// An update from WhatsApp for a message that is no longer in flight.
#[derive(Debug, Clone)]
pub(crate) enum StatusUpdate {
    /// The server acknowledged it late.
    Taken,
    /// The server refused it late, with this code.
    Refused(u16),
    /// A receipt of the recipient's phone, or of a member's.
    Receipt(Receipt),
}

/// Commits an update of some messages. An update that is not newer than a message's status changes nothing. Returns
/// those of the messages that are stored.
pub(crate) async fn commit(
    services: &Services,
    lease: &Lease,
    wa_ids: Vec<String>,
    update: StatusUpdate,
) -> Result<Vec<String>, Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let (lease, clock) = (lease.clone(), services.clock().clone());
    let gap = services.draw_gap();
    let stored = services
        .store()
        .write(lease.org, move |tx| {
            Box::pin(async move {
                let not_before = lease.check(tx).await?.saturating_add(millis(gap));
                store::lanes::lock(tx, lease.org, lease.session).await?;
                let of = Of {
                    key: &key,
                    clock: &clock,
                    lease: &lease,
                    not_before,
                };
                let stored = of.apply_all(tx, wa_ids, &update).await?;
                crash::point("receipt.before_commit");
                Ok::<_, Fault>(stored)
            })
        })
        .await?;
    crash::point("receipt.after_commit");
    services.wake_deliveries();
    Ok(stored)
}

/// Applies receipts that came before their message, in the transaction that stores it. The lane is locked.
pub(crate) async fn apply_early(
    tx: &mut Tx,
    (key, clock, lease): (&DataKey, &Clock, &Lease),
    wa_id: &str,
    receipts: Vec<Receipt>,
) -> Result<(), Fault> {
    let of = Of {
        key,
        clock,
        lease,
        not_before: 0,
    };
    for receipt in receipts {
        let update = StatusUpdate::Receipt(receipt);
        of.apply_all(tx, vec![wa_id.to_owned()], &update).await?;
    }
    Ok(())
}

/// The session whose messages are updated.
struct Of<'o> {
    key: &'o DataKey,
    clock: &'o Clock,
    lease: &'o Lease,
    /// When a lane that a message leaves may send its next one.
    not_before: Millis,
}

impl Of<'_> {
    /// Returns those of the messages that are stored.
    async fn apply_all(
        &self,
        tx: &mut Tx,
        wa_ids: Vec<String>,
        update: &StatusUpdate,
    ) -> Result<Vec<String>, Fault> {
        let mut stored = Vec::new();
        for wa_id in wa_ids {
            let applied = self.apply(tx, &wa_id, update).await;
            // A message that cannot be read is stored, too.
            if if_readable("message", &wa_id, applied)?.unwrap_or(true) {
                stored.push(wa_id);
            }
        }
        if let StatusUpdate::Receipt(receipt) = update
            && let Some(member) = &receipt.member
            && !stored.is_empty()
        {
            self.keep(tx, &stored, (receipt, member)).await?;
        }
        Ok(stored)
    }

    /// Returns false if there is no such message.
    async fn apply(&self, tx: &mut Tx, wa_id: &str, update: &StatusUpdate) -> Result<bool, Fault> {
        let Self {
            key,
            clock,
            lease,
            not_before,
        } = *self;
        let stored = store::messages::by_wa_id(tx, lease.org, lease.session, wa_id).await?;
        let Some(stored) = stored else {
            return Ok(false);
        };
        let next = match update {
            StatusUpdate::Taken => Status::Sent,
            StatusUpdate::Refused(_) => Status::Failed,
            StatusUpdate::Receipt(receipt) => of_receipt(receipt.kind),
        };
        if !stored.status.may_become(next) {
            return Ok(true);
        }
        let mut message = messages::sealed::open(key, stored)?;
        leave_lane(tx, &message, not_before).await?;
        match update {
            StatusUpdate::Taken => advance(tx, key, clock, &mut message, next, clock.now()).await?,
            StatusUpdate::Receipt(receipt) => {
                advance(tx, key, clock, &mut message, next, receipt.at).await?;
            }
            StatusUpdate::Refused(code) => {
                let error = refusal(&message, *code);
                let ended = (next, Some(error.as_str()));
                store::messages::end(tx, message.org, message.id, ended, clock.now()).await?;
                message.status = next;
                message.error = Some(error);
                events::message(tx, key, &message, clock).await?;
            }
        }
        Ok(true)
    }

    /// Stores what the member did with each of these messages: one statement for all of them.
    async fn keep(
        &self,
        tx: &mut Tx,
        wa_ids: &[String],
        (receipt, member): (&Receipt, &Member),
    ) -> Result<(), Fault> {
        let lease = self.lease;
        let wa_ids: BTreeSet<_> = wa_ids.iter().map(String::as_str).collect();
        let with_id = |wa_id| (ReceiptId::new(self.clock), wa_id);
        let of: Vec<_> = wa_ids.into_iter().map(with_id).collect();
        let group = messages::sealed::group_mac(self.key, &member.group);
        let by = messages::receipts::seal(self.key, lease.org, &member.who)?;
        let did = (of_receipt(receipt.kind), receipt.at);
        store::receipts::keep(tx, (lease.org, lease.session), &group, &of, &by, did).await?;
        Ok(())
    }
}

/// Takes the message out of its lane if it is still there: queued for a resend, or orphaned after its
/// claim. The lane then sends its next message no earlier than `not_before`.
async fn leave_lane(tx: &mut Tx, message: &Message, not_before: Millis) -> Result<(), Fault> {
    let Message {
        org, session, id, ..
    } = *message;
    match message.status {
        Status::Queued => store::lanes::leave(tx, org, session).await?,
        // It may have been written a moment ago, long after the time that its claim fixed.
        Status::Sending => drop(store::lanes::release(tx, org, session, id, not_before).await?),
        _ => {}
    }
    Ok(())
}

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

use super::outcome::{advance, of_receipt, refusal};
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

/// Commits an update of some messages. An update that is not newer than a message's status changes nothing.
pub(crate) async fn commit(
    services: &Services,
    lease: &Lease,
    wa_ids: Vec<String>,
    update: StatusUpdate,
) -> Result<(), Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let (lease, clock) = (lease.clone(), services.clock().clone());
    let gap = services.settings().pace.gap(&mut services.chance());
    services
        .store()
        .write(lease.org, move |tx| {
            Box::pin(async move {
                let not_before = lease.check(tx).await?.saturating_add(millis(gap));
                store::lanes::lock(tx, lease.org, lease.session).await?;
                for wa_id in &wa_ids {
                    let applied = apply(tx, &key, &clock, &lease, wa_id, &update, not_before).await;
                    if_readable("message", wa_id, applied)?;
                }
                if let StatusUpdate::Receipt(receipt) = &update
                    && let Some(member) = &receipt.member
                {
                    keep(tx, &key, &clock, &lease, &wa_ids, (receipt, member)).await?;
                }
                crash::point("receipt.before_commit");
                Ok::<_, Fault>(())
            })
        })
        .await?;
    crash::point("receipt.after_commit");
    services.wake_deliveries();
    Ok(())
}

async fn apply(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    lease: &Lease,
    wa_id: &str,
    update: &StatusUpdate,
    not_before: Millis,
) -> Result<(), Fault> {
    let Some(stored) = store::messages::by_wa_id(tx, lease.org, lease.session, wa_id).await? else {
        return Ok(());
    };
    let next = match update {
        StatusUpdate::Taken => Status::Sent,
        StatusUpdate::Refused(_) => Status::Failed,
        StatusUpdate::Receipt(receipt) => of_receipt(receipt.kind),
    };
    if !stored.status.may_become(next) {
        return Ok(());
    }
    let mut message = messages::sealed::open(key, stored)?;
    leave_lane(tx, &message, not_before).await?;
    match update {
        StatusUpdate::Taken => advance(tx, key, clock, &mut message, next, clock.now()).await,
        StatusUpdate::Receipt(receipt) => {
            advance(tx, key, clock, &mut message, next, receipt.at).await
        }
        StatusUpdate::Refused(code) => {
            let error = refusal(&message, *code);
            store::messages::end(tx, message.org, message.id, next, Some(&error)).await?;
            message.status = next;
            message.error = Some(error);
            events::message(tx, key, &message, clock).await
        }
    }
}

/// Stores what the member did with each of these messages: one statement for all of them.
async fn keep(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    lease: &Lease,
    wa_ids: &[String],
    (receipt, member): (&Receipt, &Member),
) -> Result<(), Fault> {
    let wa_ids: BTreeSet<_> = wa_ids.iter().map(String::as_str).collect();
    let with_id = |wa_id| (ReceiptId::new(clock), wa_id);
    let of: Vec<_> = wa_ids.into_iter().map(with_id).collect();
    let group = messages::sealed::group_mac(key, &member.group);
    let by = messages::receipts::seal(key, lease.org, &member.who)?;
    let did = (of_receipt(receipt.kind), receipt.at);
    store::receipts::keep(tx, (lease.org, lease.session), &group, &of, &by, did).await?;
    Ok(())
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

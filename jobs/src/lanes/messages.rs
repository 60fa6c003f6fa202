//! The messages of a queue: in which order they go, and canceling them.

use passerelle_engine::{
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};

use super::outlook::{Foreseen, Outlook, ahead, same_group};
use crate::{
    error::{Fault, if_readable},
    events,
    messages::sealed,
    model::{Listed, Message, Page, Status, client_data::ClientRef},
    queries::{ListRead, bounded},
    services::Services,
    store::{
        self,
        queues::{self, Meant, Queued},
    },
};

/// A message that waits, and its place.
#[derive(Debug, Clone)]
pub struct Waits {
    /// The message.
    pub message: Message,
    /// Its place.
    pub place: Foreseen,
}

/// Returns the queued messages of a session in the order in which they go.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: SessionId,
    page: &Page<MessageId>,
) -> Result<Listed<Waits>, Fault> {
    let Some(outlook) = Outlook::read(services, org, session).await? else {
        return Ok(Listed::nothing());
    };
    let key = services.vault().org_key(org).await?;
    let by_class = outlook.policy.orders_by_class;
    let mut read = ListRead::begin(services, org).await?;
    let conn = read.conn();
    let queried = bounded(async {
        let listed = queues::list(conn, (org, session), by_class, page).await?;
        let most = services.settings().lane_limit;
        let mut ranks = queues::ranks(conn, org, session, most).await?;
        ranks.sort_by_key(|rank| (rank.send_at, rank.class.place()));
        Ok((listed, ranks))
    });
    let queried = queried.await;
    let (listed, ranks) = read.end(queried)?;
    let id = |row: &Queued| row.stored.id.to_string();
    Ok(listed.open("message", id, |row| {
        let ahead = ahead(&ranks, &row.rank, by_class, outlook.now);
        let same_group = same_group(&ranks, &row.rank, outlook.now);
        Ok::<_, Fault>(Waits {
            place: outlook.foresee(&row.rank, row.hold.as_deref(), (ahead, same_group)),
            message: sealed::open(&key, row.stored)?,
        })
    }))
}

/// Which messages are canceled.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Only those to this contact.
    pub contact: Option<ContactId>,
    /// Only those with this reference.
    pub client_ref: Option<ClientRef>,
}

/// How many messages were canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canceled {
    /// So many.
    pub messages: u64,
    /// Whether more wait that could be canceled.
    pub more: bool,
}

/// One request cancels at most so many messages.
pub const CANCELED_MAX: usize = 1000;
/// So many are canceled in one transaction. Their lane is locked as long.
const AT_ONCE: i64 = 50;

/// Cancels what is queued, the newest first, each message with its event. What is accepted meanwhile stays. Returns `None` if
/// there is no such session.
pub async fn cancel(
    services: &Services,
    org: OrgId,
    session: SessionId,
    which: &Which,
) -> Result<Option<Canceled>, Fault> {
    let key = services.vault().org_key(org).await?;
    let client_ref = which.client_ref.as_ref();
    let meant = Meant {
        contact: which.contact,
        client_ref: client_ref.map(|text| sealed::client_ref_mac(&key, text)),
    };
    {
        let mut conn = services.store().read(org).await?;
        if !store::lanes::exists(&mut conn, org, session).await? {
            return Ok(None);
        }
    }
    // Ids grow with time, and this one is later than each that is queued.
    let mut below = "~".to_owned();
    let mut done = Canceled {
        messages: 0,
        more: false,
    };
    loop {
        let ids = {
            let mut conn = services.store().read(org).await?;
            queues::cancelable(&mut conn, (org, session), &meant, &below, AT_ONCE).await?
        };
        let Some(last) = ids.last() else { break };
        if done.messages >= CANCELED_MAX as u64 {
            done.more = true;
            break;
        }
        below = last.to_string();
        done.messages += end(services, &key, (org, session), ids).await?;
    }
    services.wake_deliveries();
    Ok(Some(done))
}

/// Cancels these messages in one transaction. Returns how many it were.
async fn end(
    services: &Services,
    key: &std::sync::Arc<DataKey>,
    (org, session): (OrgId, SessionId),
    ids: Vec<MessageId>,
) -> Result<u64, Fault> {
    let (key, using) = (std::sync::Arc::clone(key), services.clone());
    let write = services.store().write(org, move |tx| {
        Box::pin(async move {
            store::lanes::lock(tx, org, session).await?;
            let mut canceled = 0;
            // A session that is deleted meanwhile has no lane any more.
            if store::lanes::exists(tx.conn(), org, session).await? {
                for id in ids {
                    canceled += u64::from(end_one(tx, &key, &using, (org, id)).await?);
                }
            }
            Ok::<_, Fault>(canceled)
        })
    });
    write.await
}

/// Cancels one message. Returns false if it was claimed, or cannot be read: that one ends in its turn.
async fn end_one(
    tx: &mut Tx,
    key: &DataKey,
    services: &Services,
    (org, id): (OrgId, MessageId),
) -> Result<bool, Fault> {
    let stored = store::messages::read(tx.conn(), org, id).await;
    let stored = if_readable("message", &id, stored.map_err(Fault::from))?.flatten();
    let opened = stored.map(|stored| sealed::open(key, stored)).transpose();
    let Some(Some(mut message)) = if_readable("message", &id, opened)? else {
        return Ok(false);
    };
    let ended = (Status::Canceled, services.clock().now());
    if !store::messages::unqueue(tx, org, id, ended).await? {
        return Ok(false);
    }
    store::lanes::leave(tx, org, message.session).await?;
    message.status = Status::Canceled;
    events::message(tx, key, &message, services.clock()).await?;
    Ok(true)
}

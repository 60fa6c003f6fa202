//! The people a number knows. Who writes to it makes what waits for them a reply.

use std::collections::HashMap;

use passerelle_engine::{clock::Millis, ids::ContactId, lease::Lease, store::Tx};

use crate::{
    error::Fault,
    store::{self, acquaintances, messages::classes},
};

/// Records who wrote to the session's number, and when each did last. Returns whether a message that waits for one of them
/// may go earlier now.
pub(crate) async fn heard(
    tx: &mut Tx,
    lease: &Lease,
    wrote: &HashMap<ContactId, Millis>,
) -> Result<bool, Fault> {
    let (org, session) = (lease.org, lease.session);
    let contacts: Vec<_> = wrote.keys().copied().collect();
    let waits = classes::wait_for(tx, org, session, &contacts).await?;
    if waits {
        store::lanes::lock(tx, org, session).await?;
        classes::now_replies(tx, org, session, &contacts).await?;
        store::lanes::resume(tx, org, session, 0).await?;
    }
    acquaintances::heard(tx, org, session, wrote).await?;
    Ok(waits)
}

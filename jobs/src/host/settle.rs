//! Settles messages that WhatsApp's server acknowledged, in sets.
//!
//! Nearly every outcome is an acknowledgement, and on a busy host many come at once. They gather in
//! [`Gathering`](crate::state::gathering::Gathering) and are committed together.

use std::sync::Arc;

use passerelle_engine::{clock::Clock, lease, store::SystemTx};

use crate::{
    crash,
    error::Fault,
    events::{self, emit::emit_in},
    messages::target,
    model::{Status, millis},
    services::Services,
    state::gathering::{Settled, Taken},
    store,
};

/// Commits a set, and returns one result per message, in its order.
pub(super) async fn commit(services: &Services, set: Vec<Taken>) -> Vec<Settled> {
    let count = set.len();
    let (host, clock) = (
        Arc::clone(&services.settings().host),
        services.clock().clone(),
    );
    let committed = services
        .store()
        .write_system(move |tx| {
            Box::pin(async move {
                let settled = settle(tx, &host, &clock, set).await?;
                crash::point("complete.before_commit");
                Ok::<_, Fault>(settled)
            })
        })
        .await;
    committed.unwrap_or_else(|fault| {
        tracing::warn!(error = %fault, "a set of outcomes was not committed; each one is tried alone");
        vec![Settled::Alone; count]
    })
}

async fn settle(
    tx: &mut SystemTx,
    host: &str,
    clock: &Clock,
    set: Vec<Taken>,
) -> Result<Vec<Settled>, Fault> {
    // Read before the database's clock, so that the gap is never too short.
    let before = clock.monotonic();
    let leases: Vec<_> = set
        .iter()
        .map(|taken| (taken.lease.session, taken.lease.epoch))
        .collect();
    let (now, held) = lease::check_all(tx, host, &leases).await?;
    // A session that was lost and leased again may be in the set under two epochs; only one is held.
    let is_held = |taken: &Taken| held.contains(&(taken.lease.session, taken.lease.epoch));
    let next_at = |taken: &Taken| {
        let on_wire = now.saturating_sub(millis(before.saturating_duration_since(taken.wire_at)));
        on_wire.saturating_add(millis(taken.gap))
    };
    let done = set.iter().filter(|taken| is_held(taken));
    let done = done.map(|taken| (taken.lease.session, taken.message.id, next_at(taken)));
    let done: Vec<_> = done.collect();
    let mut slots = store::system::settlements::release(tx, &done).await?;
    let released = set
        .iter()
        .filter(|taken| is_held(taken) && slots.contains_key(&taken.lease.session));
    let released: Vec<_> = released
        .map(|taken| (taken.message.id, taken.members))
        .collect();
    let at = clock.now();
    store::system::settlements::sent(tx, &released, at).await?;
    let mut settled = Vec::with_capacity(set.len());
    for mut taken in set {
        let is_held = is_held(&taken);
        if is_held && let Some(slot) = slots.remove(&taken.lease.session) {
            taken.message.status = Status::Sent;
            taken.message.sent_at.get_or_insert(at);
            if let Some(event) = events::of_message(&taken.message) {
                emit_in(slot, tx, &taken.key, event, clock).await?;
            }
            target::apply_taken(tx, &taken.key, &taken.message, clock).await?;
        }
        // If the lane no longer runs the message, it was settled before. That counts as committed.
        settled.push(if is_held {
            Settled::Committed
        } else {
            Settled::LeaseLost
        });
    }
    Ok(settled)
}

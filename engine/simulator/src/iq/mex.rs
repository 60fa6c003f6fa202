//! WhatsApp's GraphQL requests: the reach-out time-lock and the quota of new chats, asked for and pushed.

use std::sync::Arc;

use serde_json::{Value, json};
use wacore_binary::Node;

use super::request::IqRequest;
use crate::stanza::{self, el, notification};
use crate::state::account::{Capping, TimeLock};
use crate::state::address::{Address, Pn};
use crate::state::world::World;

/// `query_id` of WhatsApp Web's query for the reach-out time-lock (wacore 0.7.0, `mex_operations`).
const TIMELOCK_QUERY: &str = "23983697327930364";
/// The field of the answer (also in Baileys 7.0.0-rc14, `XWAPaths`).
const TIMELOCK_FIELD: &str = "xwa2_fetch_account_reachout_timelock";
/// The same for the quota of new chats.
const CAPPING_QUERY: &str = "24503548349331633";
const CAPPING_FIELD: &str = "xwa2_message_capping_info";

/// Answers a request. An unknown one gets empty data.
pub(super) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> Node {
    let query = request
        .child
        .and_then(|child| stanza::text(child, "query_id"));
    let state = world.state();
    let account = state.accounts.get(&from.pn);
    let data = match query.as_deref() {
        Some(TIMELOCK_QUERY) => {
            let lock = account.map(|account| account.timelock.clone());
            json!({ TIMELOCK_FIELD: timelock(&lock.unwrap_or_default()) })
        }
        Some(CAPPING_QUERY) => {
            let quota = account.and_then(|account| account.capping.as_ref());
            json!({ CAPPING_FIELD: quota.map(capping) })
        }
        _ => json!({}),
    };
    let text = json!({ "data": data }).to_string();
    let result = el("result").bytes(text.into_bytes()).build();
    stanza::result(&request.id, vec![result])
}

/// WhatsApp writes the end as text, in seconds.
fn timelock(lock: &TimeLock) -> Value {
    let ends = if lock.active { lock.until_ms / 1000 } else { 0 };
    json!({
        "is_active": lock.active,
        "time_enforcement_ends": ends.to_string(),
        "enforcement_type": lock.kind.as_deref().unwrap_or("DEFAULT"),
    })
}

/// WhatsApp writes quotas as text.
fn capping(quota: &Capping) -> Value {
    json!({
        "capping_status": quota.status,
        "total_quota": quota.total.to_string(),
        "used_quota": quota.used.to_string(),
        "cycle_start_timestamp": quota.cycle_start_ms / 1000,
        "cycle_end_timestamp": quota.cycle_end_ms / 1000,
        "ote_status": "NOT_ELIGIBLE",
        "mv_status": "NOT_ELIGIBLE",
    })
}

/// Pushes the account's time-lock to its linked devices.
pub(crate) fn push_timelock(world: &World, pn: &Pn) {
    let lock = world
        .state()
        .accounts
        .get(pn)
        .map(|account| timelock(&account.timelock));
    let data = json!({ "data": { "xwa2_notify_account_reachout_timelock": lock } });
    push(world, pn, "NotificationUserReachoutTimelockUpdate", &data);
}

/// Pushes the account's quota of new chats to its linked devices.
pub(crate) fn push_capping(world: &World, pn: &Pn) {
    let state = world.state();
    let quota = state
        .accounts
        .get(pn)
        .and_then(|account| account.capping.as_ref());
    let quota = quota.map(capping);
    drop(state);
    let data = json!({ "data": { "xwa2_notify_new_chat_messages_capping_info_update": quota } });
    push(world, pn, "MessageCappingInfoNotification", &data);
}

fn push(world: &World, pn: &Pn, name: &'static str, data: &Value) {
    let mut state = world.state();
    let (id, now) = (state.fresh_id(), world.clock.seconds());
    let update = el("update")
        .attr("op_name", name)
        .bytes(data.to_string().into_bytes())
        .build();
    let node = Arc::new(
        notification("mex", None, id, now)
            .children([update])
            .build(),
    );
    if let Some(account) = state.accounts.get_mut(pn) {
        account.send_to_devices(&node, Some(0), true);
    }
}

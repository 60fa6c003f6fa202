//! Logs a linked device in, activates it and sends it what is in its queue.

use std::sync::Arc;
use std::time::Duration;

use wacore_binary::{Node, Server};
use waproto::whatsapp::ClientPayload;

use crate::stanza::{self, el};
use crate::state::address::{Address, plus};
use crate::state::device::{DeviceConnection, Mail};
use crate::state::faults::{Fault, FaultAction, FaultPoint};
use crate::state::world::{State, World};

/// How long a login waits when a fault drops the answer.
const SILENCE: Duration = Duration::from_mins(1);

/// Checks a login. `Err` holds the last stanza for the client; `Err(None)` closes the connection
/// without one.
pub(crate) async fn admit(
    world: &World,
    connection: &DeviceConnection,
    key: &[u8; 32],
    payload: &ClientPayload,
) -> Result<Address, Option<Node>> {
    world.stats.count("logins");
    let address = Address {
        pn: payload.username.unwrap_or_default().to_string().into(),
        device: payload
            .device
            .and_then(|device| u16::try_from(device).ok())
            .unwrap_or_default(),
    };
    if let Some(fault) = world.faults.trigger(&plus(&address.pn), FaultPoint::Login) {
        apply_fault(&fault).await?;
    }
    let now = world.clock.seconds();
    let success = {
        let mut state = world.state();
        enter(&mut state, &address, connection, key, now)
            .ok_or_else(|| Some(failure(401, None, None)))?
    };
    let _ = connection.mail.try_send(Mail::Stanza(Arc::new(success)));
    Ok(address)
}

async fn apply_fault(fault: &Fault) -> Result<(), Option<Node>> {
    match fault.action {
        FaultAction::Refuse => {
            let reason = fault.reason.unwrap_or(401);
            Err(Some(failure(reason, fault.code, fault.expire)))
        }
        FaultAction::Delay => {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
            Ok(())
        }
        FaultAction::Drop => {
            tokio::time::sleep(SILENCE).await;
            Err(None)
        }
        FaultAction::Cut | FaultAction::Nack | FaultAction::Duplicate | FaultAction::Corrupt => {
            Err(None)
        }
    }
}

/// Returns `<failure reason=… [code=…] [expire=…]/>`.
fn failure(reason: u16, code: Option<u16>, expire: Option<u64>) -> Node {
    let mut node = el("failure").attr("reason", reason).attr("location", "sim");
    if let Some(code) = code {
        node = node.attr("code", code);
    }
    if let Some(expire) = expire {
        node = node.attr("expire", expire);
    }
    node.build()
}

/// Connects the device and replaces an older connection. Returns `None` if the device does not
/// exist or has another key.
fn enter(
    state: &mut State,
    address: &Address,
    connection: &DeviceConnection,
    key: &[u8; 32],
    now: u64,
) -> Option<Node> {
    let account = state.accounts.get_mut(&address.pn)?;
    let lid = account.jid(Server::Lid, address.device);
    let name = account.script.name.clone();
    let device = account.devices.get_mut(&address.device)?;
    if device.noise.as_ref() != Some(key) {
        return None;
    }
    device.disconnect(Some(stanza::conflict("replaced")));
    device.connection = Some(connection.clone());
    let success = el("success")
        .attr("t", now)
        .attr("creation", now)
        .attr("lid", lid)
        .attr("props", "27")
        .attr("location", "sim")
        .attr("companion_enc_static", "")
        .attr("display_name", name);
    Some(success.build())
}

/// Activates a device: sends the answer, then its queue, then the number of queued stanzas, then who
/// is typing. It
/// holds the lock throughout, so that no new stanza overtakes an old one.
pub(crate) fn activate(world: &World, address: &Address, iq: &str) {
    let mut state = world.state();
    let Some(account) = state.accounts.get_mut(&address.pn) else {
        return;
    };
    let Some(device) = account.devices.get_mut(&address.device) else {
        return;
    };
    if device.active {
        // A second request: the queue has been sent already.
        device.push(Mail::Stanza(Arc::new(stanza::result(iq, Vec::new()))));
        return;
    }
    let (waiting, preview) = device.queue.redeliver();
    let total = el("offline").attr("count", preview.total()).build();
    let mut all = vec![
        Arc::new(stanza::result(iq, Vec::new())),
        Arc::new(preview.node()),
    ];
    all.extend(waiting);
    all.push(Arc::new(stanza::information(total)));
    all.extend(device.take_typing(world.clock.micros()));
    device.active = true;
    for node in all {
        device.push(Mail::Stanza(node));
    }
}

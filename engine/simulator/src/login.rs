//! A linked device logs in, becomes active, and gets what waited for it.

use std::sync::Arc;
use std::time::Duration;

use wacore_binary::{Node, Server};
use waproto::whatsapp::ClientPayload;

use crate::stanza::{self, el};
use crate::state::address::{Address, plus};
use crate::state::device::{DeviceConnection, Mail};
use crate::state::faults::{Fault, FaultAction, FaultPoint};
use crate::state::world::{State, World};

/// How long a login that is not answered on purpose is kept waiting.
const SILENCE: Duration = Duration::from_mins(1);

/// Check a login. `Err` holds what the client is told before its connection ends; `Err(None)`
/// ends it without a word.
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

/// `<failure reason=… [code=…] [expire=…]/>`
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

/// Connect the device, in place of an older connection. `None` if there is no such device or it
/// has another key.
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

/// The device asked to be active: answer, then everything that waits, then how much it was.
/// Under one lock, so that nothing new overtakes what is old.
pub(crate) fn activate(world: &World, address: &Address, iq: &str) {
    let mut state = world.state();
    let Some(account) = state.accounts.get_mut(&address.pn) else {
        return;
    };
    let Some(device) = account.devices.get_mut(&address.device) else {
        return;
    };
    if device.active {
        // Asked twice: everything is out already.
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
    all.push(Arc::new(el("ib").children([total]).build()));
    device.active = true;
    for node in all {
        device.push(Mail::Stanza(node));
    }
}

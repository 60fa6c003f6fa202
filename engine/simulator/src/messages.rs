//! A message from a linked device: it is recorded, delivered and acknowledged. Faults can change
//! each step.

use std::sync::Arc;
use std::time::Duration;

use wacore_binary::{Jid, Node, NodeContent, Server};

use crate::next_step::NextStep;
use crate::stanza::el;
use crate::state::address::{Address, plus};
use crate::state::device::Device;
use crate::state::faults::{Fault, FaultAction, FaultPoint};
use crate::state::ledger::{EntryDetails, EntryKind, FrameTime};
use crate::state::world::{State, World};
use crate::{phone, routing, stanza, tokens};

/// The error code for a message without the privacy token that its recipient demands.
const NO_TOKEN: u16 = 463;

/// Records a message from a linked device, applies faults, delivers it and acknowledges it.
pub(crate) fn message(
    world: &Arc<World>,
    from: &Address,
    node: &Node,
    read: FrameTime,
) -> NextStep {
    let (Some(to), Some(id)) = (stanza::jid(node, "to"), stanza::text(node, "id")) else {
        return NextStep::Silence;
    };
    if stanza::text(node, "category").as_deref() == Some("peer") {
        // A device talks to its own phone: this is not recorded, and no fault applies.
        let _ = deliver(world, from, node);
        return NextStep::Reply(ack(world, &to, &id, None));
    }
    record_sent(world, from, &to, node, read);
    let phone = plus(&from.pn);
    let before = world.faults.trigger(&phone, FaultPoint::Message);
    match before.as_ref().map(|fault| fault.action) {
        Some(FaultAction::Cut) => return NextStep::Cut,
        Some(FaultAction::Drop) => return NextStep::Silence,
        Some(FaultAction::Nack) => {
            return NextStep::Reply(ack(world, &to, &id, Some(code(before.as_ref()))));
        }
        Some(FaultAction::Delay) => {
            return deliver_later(world, from, node, wait(before.as_ref()));
        }
        Some(FaultAction::Corrupt) => return acknowledge(world, from, &unreadable(node), false),
        Some(FaultAction::Duplicate) => return acknowledge(world, from, node, true),
        Some(FaultAction::Refuse) | None => {}
    }
    acknowledge(world, from, node, false)
}

/// Returns the message with a wrong last byte in each ciphertext for its recipients.
fn unreadable(node: &Node) -> Node {
    let mut node = node.clone();
    let to = stanza::jid(&node, "to");
    let is_for = |copy: &Node| {
        stanza::jid(copy, "jid").map(|jid| jid.user) == to.as_ref().map(|to| to.user.clone())
    };
    for child in children(&mut node) {
        spoil(child);
        if child.tag == "participants" {
            let copies = children(child).iter_mut();
            copies
                .filter(|copy| is_for(copy))
                .flat_map(children)
                .for_each(spoil);
        }
    }
    node
}

fn children(node: &mut Node) -> &mut [Node] {
    match &mut node.content {
        Some(NodeContent::Nodes(children)) => children,
        _ => &mut [],
    }
}

/// Makes the last byte of a ciphertext wrong.
fn spoil(node: &mut Node) {
    if node.tag == "enc"
        && let Some(NodeContent::Bytes(bytes)) = &mut node.content
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
}

/// Delivers a message and acknowledges it. Applies the faults of the acknowledgement.
fn acknowledge(world: &Arc<World>, from: &Address, node: &Node, twice: bool) -> NextStep {
    let (Some(to), Some(id)) = (stanza::jid(node, "to"), stanza::text(node, "id")) else {
        return NextStep::Silence;
    };
    let fault = world.faults.trigger(&plus(&from.pn), FaultPoint::Ack);
    if fault
        .as_ref()
        .is_some_and(|fault| fault.action == FaultAction::Nack)
    {
        return NextStep::Reply(ack(world, &to, &id, Some(code(fault.as_ref()))));
    }
    let error = deliver(world, from, node).err();
    if twice {
        let _ = deliver(world, from, node);
    }
    let reply = ack(world, &to, &id, error);
    match fault.as_ref().map(|fault| fault.action) {
        Some(FaultAction::Cut) => NextStep::Cut,
        Some(FaultAction::Drop) => NextStep::Silence,
        Some(FaultAction::Delay) => NextStep::Later(wait(fault.as_ref()), reply),
        _ => NextStep::Reply(reply),
    }
}

/// Delivers a message after a delay. The acknowledgement goes to the connection that the device has
/// at that time.
fn deliver_later(world: &Arc<World>, from: &Address, node: &Node, wait: Duration) -> NextStep {
    let (world, from, node) = (Arc::clone(world), from.clone(), node.clone());
    world.tasks.clone().spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = world.stop.cancelled() => return,
        }
        match acknowledge(&world, &from, &node, false) {
            NextStep::Reply(reply) => to_device(&world, &from, |device| {
                device.deliver(Arc::new(reply), false);
            }),
            NextStep::Later(wait, reply) => {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = world.stop.cancelled() => return,
                }
                to_device(&world, &from, |device| {
                    device.deliver(Arc::new(reply), false);
                });
            }
            NextStep::Cut => to_device(&world, &from, |device| {
                device.disconnect(None);
            }),
            NextStep::Goodbye(_) | NextStep::Silence => {}
        }
    });
    NextStep::Silence
}

/// Does something with the device as it is connected now.
fn to_device(world: &World, address: &Address, act: impl FnOnce(&mut Device)) {
    let mut state = world.state();
    let account = state.accounts.get_mut(&address.pn);
    if let Some(device) = account.and_then(|account| account.devices.get_mut(&address.device)) {
        act(device);
    }
}

fn code(fault: Option<&Fault>) -> u16 {
    fault.and_then(|fault| fault.code).unwrap_or(500)
}

fn wait(fault: Option<&Fault>) -> Duration {
    Duration::from_millis(fault.map_or(0, |fault| fault.delay_ms))
}

fn record_sent(world: &Arc<World>, from: &Address, to: &Jid, node: &Node, read: FrameTime) {
    world.stats.count("messages");
    let recipient = world.state().ledger_name(to);
    let id = stanza::text(node, "id").unwrap_or_default();
    let subtype = stanza::text(node, "type").unwrap_or_default();
    let line = EntryDetails {
        id: &id,
        subtype: &subtype,
        group: (to.server == Server::Group).then(|| recipient.clone()),
        read: Some(read),
        token: carries_token(&world.state(), from, to, node),
        retry: is_retry(node),
        ..EntryDetails::default()
    };
    world.record(EntryKind::Sent, from, &recipient, line);
}

/// Returns whether the message carries the privacy token that its recipient gave the sender's
/// account.
fn carries_token(state: &State, from: &Address, to: &Jid, node: &Node) -> bool {
    let to = state.pn(to);
    to.is_some_and(|to| tokens::has_given(state, &from.pn, &to, node))
}

/// Returns whether the message answers a device that asked for a resend. Its only ciphertext then
/// has a `count` (wacore 0.7.0, `prepare_pairwise_retry_stanza`).
fn is_retry(node: &Node) -> bool {
    let enc = node.get_optional_child("enc");
    enc.is_some_and(|enc| enc.attrs.get("count").is_some())
}

fn ack(world: &World, to: &Jid, id: &str, error: Option<u16>) -> Node {
    let ack = el("ack")
        .attr("class", "message")
        .attr("id", id)
        .attr("from", to)
        .attr("t", world.clock.seconds());
    match error {
        Some(code) => ack.attr("error", code).build(),
        None => ack.build(),
    }
}

/// Delivers the message. With `any_number`, it makes a missing recipient first.
fn deliver(world: &Arc<World>, from: &Address, node: &Node) -> Result<(), u16> {
    let to = stanza::jid(node, "to").ok_or(400_u16)?;
    phone::make::ensure(world, &to);
    if !is_retry(node) && lacks_token(&world.state(), from, &to, node) {
        return Err(NO_TOKEN);
    }
    routing::fan_out(world, from, node)
}

/// Returns whether the recipient demands a privacy token that the message does not carry.
fn lacks_token(state: &State, from: &Address, to: &Jid, node: &Node) -> bool {
    let to = state.pn(to);
    to.is_some_and(|to| tokens::refuses(state, &from.pn, &to, node))
}

//! Calls: who rings, who answers, and who is told of it. Nobody speaks: there is no relay and no key.
//!
//! As in WhatsApp, a stanza about a call goes from one device to another, and the caller's client tells the other
//! devices of an account that one of them has answered.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use crate::stanza::{self, el};
use crate::state::address::{Address, Pn, plus};
use crate::state::call::{Answer, Call, told};
use crate::state::ledger::{EntryDetails, EntryKind, FrameTime};
use crate::state::world::{State, World};

/// Rings at every device of the accounts that are called. A device that is away finds it in its queue: an offer, or
/// of a group call a notice. An id that the caller has used offers that call again, whatever has become of it. Returns
/// `false` if another phone has used it.
pub(crate) fn offer(world: &World, new: Call) -> bool {
    let mut state = world.state();
    let call = match state.calls.find(&new.id) {
        Some(known) if known.caller != new.caller => return false,
        Some(known) => known.clone(),
        None => {
            state.calls.begin(new.clone());
            new
        }
    };
    for pn in call.called.keys() {
        record(world, &call.caller, &plus(pn), ("offer", None), &call);
        for device in devices(&state, pn) {
            let is_away = !is_active(&state, &device);
            let action = if is_away && call.group.is_some() {
                notice(&state, &call)
            } else {
                offered(&state, &call)
            };
            send(world, &mut state, &call, &device, action);
        }
    }
    true
}

/// Ends a call, as the caller's phone does. Returns `false` if it is over everywhere.
pub(crate) fn end(world: &World, id: &str, reason: Option<&'static str>) -> bool {
    let mut state = world.state();
    let Some(call) = state.calls.find(id).cloned() else {
        return false;
    };
    let mut was_on = false;
    for (pn, answer) in &call.called {
        if *answer == Answer::Over {
            continue;
        }
        was_on = true;
        let reason = reason.filter(|_| *answer == Answer::None);
        state.calls.answer(id, pn, Answer::Over);
        let devices: Vec<_> = devices(&state, pn)
            .into_iter()
            .map(|one| one.device)
            .collect();
        let devices = told(*answer, pn, devices.into_iter());
        terminate(world, &mut state, &call, pn, devices, reason);
    }
    was_on
}

/// Handles a stanza about a call from a device: records it and passes it to the device that it names. Returns the
/// reply.
pub(crate) fn call(
    world: &World,
    from: &Address,
    node: &Node,
    read: Option<FrameTime>,
) -> Option<Node> {
    let to = stanza::jid(node, "to")?;
    let action = node.children()?.first()?;
    let mut state = world.state();
    let (id, reason) = (
        stanza::text(action, "call-id")?,
        stanza::text(action, "reason"),
    );
    let name = state.ledger_name(&to);
    let line = EntryDetails {
        id: &id,
        subtype: &action.tag,
        text: reason,
        read,
        ..EntryDetails::default()
    };
    world.record(EntryKind::Call, from, &name, line);
    if let Some(target) = state.address(&to) {
        let out = from_device(world, &mut state, from, to.server, action.clone());
        deliver(&mut state, &target, out);
    }
    let ack = el("ack")
        .attr("class", "call")
        .attr("type", &*action.tag)
        .attr("from", to)
        .attr("id", stanza::text(node, "id").unwrap_or_default());
    Some(ack.build())
}

/// Has a device of an account that is called accept or reject a call.
pub(crate) fn answer(world: &World, by: &Address, call: &Call, tag: &'static str) {
    let caller = {
        let state = world.state();
        let account = state.accounts.get(&call.caller.pn);
        account.map(|account| account.jid(call.server, call.caller.device))
    };
    let Some(caller) = caller else { return };
    let action = el(tag)
        .attr("call-id", call.id.as_str())
        .attr("call-creator", &caller)
        .build();
    let node = el("call")
        .attr("to", caller)
        .attr("id", "")
        .children([action]);
    self::call(world, by, &node.build(), None);
}

/// Handles a stanza about a call that reached a phone. If the phone calls, it tells the other devices of an account
/// that one of them has answered.
pub(crate) fn heard(world: &World, phone: &Address, node: &Node) {
    let (Some(from), Some(action)) = (
        stanza::jid(node, "from"),
        node.children().and_then(|children| children.first()),
    ) else {
        return;
    };
    let id = stanza::text(action, "call-id").unwrap_or_default();
    let mut state = world.state();
    let Some(sender) = state.address(&from) else {
        return;
    };
    let line = EntryDetails {
        id: &id,
        subtype: &action.tag,
        text: stanza::text(action, "reason"),
        ..EntryDetails::default()
    };
    world.record(EntryKind::Heard, &sender, &plus(&phone.pn), line);
    let (answer, reason) = match action.tag.as_ref() {
        "accept" => (Answer::Accepted(sender.device), "accepted_elsewhere"),
        "reject" => (Answer::Over, "rejected_elsewhere"),
        _ => return,
    };
    let call = state.calls.find(&id).cloned();
    let Some(call) = call.filter(|call| call.caller == *phone) else {
        return;
    };
    if call.called.get(&sender.pn) == Some(&Answer::None) {
        state.calls.answer(&id, &sender.pn, answer);
        let mut others = devices(&state, &sender.pn);
        others.retain(|device| *device != sender);
        terminate(world, &mut state, &call, &sender.pn, others, Some(reason));
    }
}

fn terminate(
    world: &World,
    state: &mut State,
    call: &Call,
    pn: &Pn,
    devices: Vec<Address>,
    reason: Option<&'static str>,
) {
    record(world, &call.caller, &plus(pn), ("terminate", reason), call);
    for device in devices {
        let mut action = action(state, call, "terminate");
        if let Some(reason) = reason {
            action = action.attr("reason", reason);
        }
        send(world, state, call, &device, action.build());
    }
}

fn record(
    world: &World,
    from: &Address,
    to: &str,
    (subtype, reason): (&str, Option<&str>),
    call: &Call,
) {
    let line = EntryDetails {
        id: &call.id,
        subtype,
        text: reason.map(str::to_owned),
        group: call.group_jid().map(|group| group.to_string()),
        ..EntryDetails::default()
    };
    world.record(EntryKind::Call, from, to, line);
}

fn devices(state: &State, pn: &Pn) -> Vec<Address> {
    let account = state.accounts.get(pn);
    let devices = account
        .into_iter()
        .flat_map(|account| account.devices.keys());
    let address = |device: &u16| Address {
        pn: Arc::clone(pn),
        device: *device,
    };
    devices.map(address).collect()
}

fn is_active(state: &State, address: &Address) -> bool {
    let account = state.accounts.get(&address.pn);
    let device = account.and_then(|account| account.devices.get(&address.device));
    device.is_some_and(|device| device.active)
}

fn creator(state: &State, call: &Call) -> Option<Jid> {
    let account = state.accounts.get(&call.caller.pn)?;
    Some(account.jid(call.server, call.caller.device))
}

fn action(state: &State, call: &Call, tag: &'static str) -> NodeBuilder {
    let action = el(tag).attr("call-id", call.id.as_str());
    match creator(state, call) {
        Some(creator) => action.attr("call-creator", creator),
        None => action,
    }
}

/// Returns `<offer>`, without what only a device that speaks needs.
fn offered(state: &State, call: &Call) -> Node {
    let mut offer = action(state, call, "offer").attr("device_class", "2022");
    let account = state.accounts.get(&call.caller.pn);
    if let Some(account) = account
        && call.server == Server::Lid
        && account.script.shows_number
    {
        offer = offer.attr("caller_pn", account.jid(Server::Pn, 0));
    }
    if let Some(group) = call.group_jid() {
        offer = offer.attr("group-jid", group);
    }
    let audio = ["8000", "16000"].map(|rate| el("audio").attr("enc", "opus").attr("rate", rate));
    let mut children: Vec<Node> = audio.into_iter().map(NodeBuilder::build).collect();
    if call.video {
        let video = el("video").attr("enc", "vp8").attr("dec", "vp8");
        children.push(video.attr("orientation", "0").build());
    }
    children.push(el("net").attr("medium", "3").build());
    children.push(el("encopt").attr("keygen", "2").build());
    offer.children(children).build()
}

/// Returns `<offer_notice>`, which tells a device that was away of a group call.
fn notice(state: &State, call: &Call) -> Node {
    let media = if call.video { "video" } else { "audio" };
    action(state, call, "offer_notice")
        .attr("media", media)
        .attr("type", "group")
        .build()
}

/// Sends a stanza of the caller's phone.
fn send(world: &World, state: &mut State, call: &Call, to: &Address, action: Node) {
    let is_notice = action.tag == "offer_notice";
    let is_offer = is_notice || action.tag == "offer";
    let mut out = from_device(world, state, &call.caller, call.server, action);
    if let (true, Some(group)) = (is_notice, call.group_jid()) {
        out.attrs.insert("from", group);
    }
    if is_offer {
        let at = world.clock.seconds().saturating_sub(call.age);
        out.attrs.insert("t", at);
    }
    deliver(state, to, out);
}

/// Returns the stanza in which a device says this, as it reaches another.
fn from_device(
    world: &World,
    state: &mut State,
    from: &Address,
    server: Server,
    action: Node,
) -> Node {
    let id = state.fresh_id();
    let mut out = el("call")
        .attr("id", id)
        .attr("t", world.clock.seconds())
        .attr("e", "0")
        .attr("platform", "android")
        .attr("version", "2.25.37.76");
    if let Some(account) = state.accounts.get(&from.pn) {
        out = out
            .attr("from", account.jid(server, from.device))
            .attr("notify", account.script.name.as_str());
    }
    out.children([action]).build()
}

fn deliver(state: &mut State, to: &Address, node: Node) {
    let account = state.accounts.get_mut(&to.pn);
    if let Some(device) = account.and_then(|account| account.devices.get_mut(&to.device)) {
        device.deliver(Arc::new(node), true);
    }
}

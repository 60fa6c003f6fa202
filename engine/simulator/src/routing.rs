//! From a device to other devices: messages and their acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use wacore_binary::{Jid, Node, NodeContent, Server};

use crate::account::{Account, Address, Device};
use crate::faults::{Do, Fault, On};
use crate::group;
use crate::ledger::Kind;
use crate::phone;
use crate::stanza::{self, el};
use crate::world::{Line, Read, State, World, plus};

/// What the sender's connection does next.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Send this.
    Reply(Node),
    /// Send this, later.
    Later(Duration, Node),
    /// Nothing.
    Silence,
    /// End the connection without a word.
    Cut,
    /// Send this and end the connection.
    Goodbye(Node),
}

/// Children of a message that are for the server alone.
const FOR_THE_SERVER: [&str; 4] = ["participants", "enc", "device-identity", "tctoken"];

/// A message from a linked device: note it, obey the faults, fan it out and acknowledge it.
pub(crate) fn message(world: &Arc<World>, from: &Address, node: &Node, read: Read) -> Verdict {
    let (Some(to), Some(id)) = (stanza::jid(node, "to"), stanza::text(node, "id")) else {
        return Verdict::Silence;
    };
    if stanza::text(node, "category").as_deref() == Some("peer") {
        // A device and its own phone talk; that is neither noted nor disturbed.
        let _ = fan_out(world, from, node);
        return Verdict::Reply(ack(world, &to, &id, None));
    }
    note_sent(world, from, &to, node, read);
    let phone = plus(&from.pn);
    let before = world.faults.strike(&phone, On::Message);
    match before.as_ref().map(|fault| fault.act) {
        Some(Do::Cut) => return Verdict::Cut,
        Some(Do::Drop) => return Verdict::Silence,
        Some(Do::Nack) => return Verdict::Reply(ack(world, &to, &id, Some(code(before.as_ref())))),
        Some(Do::Delay) => {
            return taken_later(world, from, node, wait(before.as_ref()));
        }
        Some(Do::Duplicate | Do::Refuse | Do::Corrupt) | None => {}
    }
    acknowledge(world, from, node, before.is_some())
}

/// Fan out and acknowledge, with the faults that strike an acknowledgement.
fn acknowledge(world: &Arc<World>, from: &Address, node: &Node, twice: bool) -> Verdict {
    let (Some(to), Some(id)) = (stanza::jid(node, "to"), stanza::text(node, "id")) else {
        return Verdict::Silence;
    };
    let fault = world.faults.strike(&plus(&from.pn), On::Ack);
    if fault.as_ref().is_some_and(|fault| fault.act == Do::Nack) {
        return Verdict::Reply(ack(world, &to, &id, Some(code(fault.as_ref()))));
    }
    let error = fan_out(world, from, node).err();
    if twice {
        let _ = fan_out(world, from, node);
    }
    let reply = ack(world, &to, &id, error);
    match fault.as_ref().map(|fault| fault.act) {
        Some(Do::Cut) => Verdict::Cut,
        Some(Do::Drop) => Verdict::Silence,
        Some(Do::Delay) => Verdict::Later(wait(fault.as_ref()), reply),
        _ => Verdict::Reply(reply),
    }
}

/// Take a message only after a while; the acknowledgement goes to whichever connection the
/// device has then.
fn taken_later(world: &Arc<World>, from: &Address, node: &Node, wait: Duration) -> Verdict {
    let (world, from, node) = (Arc::clone(world), from.clone(), node.clone());
    world.tasks.clone().spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = world.stop.cancelled() => return,
        }
        match acknowledge(&world, &from, &node, false) {
            Verdict::Reply(reply) => to_device(&world, &from, |device| {
                device.deliver(Arc::new(reply), false);
            }),
            Verdict::Later(wait, reply) => {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = world.stop.cancelled() => return,
                }
                to_device(&world, &from, |device| {
                    device.deliver(Arc::new(reply), false);
                });
            }
            Verdict::Cut => to_device(&world, &from, |device| {
                device.hang_up(None);
            }),
            Verdict::Goodbye(_) | Verdict::Silence => {}
        }
    });
    Verdict::Silence
}

/// On whatever connection the device has now.
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

fn note_sent(world: &Arc<World>, from: &Address, to: &Jid, node: &Node, read: Read) {
    world.stats.count("messages");
    let recipient = name(&world.state(), to);
    let id = stanza::text(node, "id").unwrap_or_default();
    let subtype = stanza::text(node, "type").unwrap_or_default();
    let line = Line {
        id: &id,
        subtype: &subtype,
        group: (to.server == Server::Group).then(|| recipient.clone()),
        read: Some(read),
        token: has_token(&world.state(), from, to, node),
        retry: is_retry(node),
        ..Line::default()
    };
    world.note(Kind::Sent, from, &recipient, line);
}

/// Whether the message carries the privacy token that its recipient gave the sender's account.
fn has_token(state: &State, from: &Address, to: &Jid, node: &Node) -> bool {
    let given = state.pn(to).and_then(|to| {
        let sender = state.accounts.get(&from.pn)?;
        sender.contacts.get(&to)
    });
    let shown = node.get_optional_child("tctoken");
    given.zip(shown).is_some_and(|(given, shown)| {
        matches!(&shown.content, Some(NodeContent::Bytes(bytes)) if *bytes == given.bytes)
    })
}

/// Whether the message answers a device that asked for it again: its one seal then tells how often it did
/// (wacore 0.7.0, `prepare_pairwise_retry_stanza`).
fn is_retry(node: &Node) -> bool {
    let enc = node.get_optional_child("enc");
    enc.is_some_and(|enc| enc.attrs.get("count").is_some())
}

/// How the ledger names an address.
pub(crate) fn name(state: &State, jid: &Jid) -> String {
    if jid.server == Server::Group {
        return jid.to_string();
    }
    state
        .pn(jid)
        .map_or_else(|| jid.user_base().to_owned(), |pn| plus(&pn))
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

/// Give every addressed device its own copy. `Err` is the code of the refusal: the recipient does
/// not exist, or the sender is not in that group.
pub(crate) fn fan_out(world: &Arc<World>, from: &Address, node: &Node) -> Result<(), u16> {
    fan_out_at(world, from, node, world.clock.seconds())
}

/// As [`fan_out`], for a message that the server took at `now`, in seconds since the Unix epoch.
pub(crate) fn fan_out_at(
    world: &Arc<World>,
    from: &Address,
    node: &Node,
    now: u64,
) -> Result<(), u16> {
    let to = stanza::jid(node, "to").ok_or(400_u16)?;
    if to.server == Server::Group {
        return group::routing::fan_out(world, from, &to, node, now);
    }
    phone::ensure(world, &to);
    let mut state = world.state();
    let target = state.pn(&to).ok_or(404_u16)?;
    if target != from.pn {
        state.acquaint(&from.pn, &target, now);
    }
    for (jid, ciphertexts) in copies(node, &to) {
        let Some(address) = state.address(&jid) else {
            continue;
        };
        if let Some(copy) = copy(&state, from, &jid, node, ciphertexts, now)
            && let Some(account) = state.accounts.get_mut(&address.pn)
            && let Some(device) = account.devices.get_mut(&address.device)
        {
            device.deliver(Arc::new(copy), true);
        }
    }
    Ok(())
}

/// The addressed devices and what is sealed for each.
fn copies<'a>(node: &'a Node, to: &Jid) -> Vec<(Jid, Vec<&'a Node>)> {
    let direct: Vec<&Node> = node.get_children_by_tag("enc").collect();
    let mut all = Vec::new();
    if !direct.is_empty() {
        all.push((to.clone(), direct));
    }
    let participants = node.get_optional_child("participants");
    for one in participants
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("to"))
    {
        if let Some(jid) = stanza::jid(one, "jid") {
            all.push((jid, one.get_children_by_tag("enc").collect()));
        }
    }
    all
}

/// One device's copy of a message, as it is kept and sent.
fn copy(
    state: &State,
    from: &Address,
    to: &Jid,
    node: &Node,
    ciphertexts: Vec<&Node>,
    now: u64,
) -> Option<Node> {
    let account = state.accounts.get(&from.pn)?;
    let device = account.devices.get(&from.device)?;
    let kind = stanza::text(node, "type").unwrap_or_else(|| "text".to_owned());
    let mut out = el("message")
        .attr("from", account.jid(to.server, from.device))
        .attr("id", stanza::text(node, "id")?)
        .attr("t", now)
        .attr("type", kind);
    for key in ["category", "edit", "peer_recipient_pn"] {
        if let Some(value) = stanza::text(node, key) {
            out = out.attr(key, value);
        }
    }
    let peer = stanza::text(node, "category").as_deref() == Some("peer");
    if state.pn(to).as_ref() != Some(&from.pn) {
        let (other, jid) = match to.server {
            Server::Lid => ("sender_pn", account.jid(Server::Pn, 0)),
            _ => ("sender_lid", account.jid(Server::Lid, 0)),
        };
        if account.script.shows_number || other != "sender_pn" {
            out = out.attr(other, jid);
        }
        out = out.attr("notify", notify(account, from));
    } else if !peer {
        out = out.attr("recipient", stanza::jid(node, "to")?.to_non_ad());
    }
    let proof = device.identity_proof.as_slice();
    Some(out.children(parts(node, ciphertexts, proof)).build())
}

/// The children of a copy: its ciphertexts, the sender's proof of identity where a session begins,
/// and whatever else is for the recipient.
pub(crate) fn parts(node: &Node, ciphertexts: Vec<&Node>, proof: &[u8]) -> Vec<Node> {
    let first = ciphertexts
        .iter()
        .any(|enc| stanza::text(enc, "type").as_deref() == Some("pkmsg"));
    let mut children: Vec<Node> = ciphertexts.into_iter().cloned().collect();
    if first && !proof.is_empty() {
        children.push(el("device-identity").bytes(proof).build());
    }
    if let Some(NodeContent::Nodes(nodes)) = &node.content {
        let rest = nodes
            .iter()
            .filter(|child| !FOR_THE_SERVER.contains(&child.tag.as_ref()));
        children.extend(rest.cloned());
    }
    children
}

pub(crate) fn notify(account: &Account, from: &Address) -> String {
    account
        .devices
        .get(&from.device)
        .map(|device| device.push_name.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| account.script.name.clone())
}

//! Passes each stanza to the code that answers it.

use std::sync::Arc;

use wacore_binary::Node;

use crate::messages;
use crate::next_step::NextStep;
use crate::state::address::Address;
use crate::state::ledger::FrameTime;
use crate::state::world::World;
use crate::{calls, iq, pair_code, pairing, receipts, stanza};

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// A connection that is not linked yet, by its number.
    Pairing(u64),
    /// A linked device.
    Device(Address),
}

/// Handles one stanza from a client.
pub(crate) fn dispatch(
    world: &Arc<World>,
    client: &Client,
    node: &Node,
    read: FrameTime,
) -> NextStep {
    match client {
        Client::Pairing(connection) => unlinked(world, *connection, node),
        Client::Device(address) => linked(world, address, node, read),
    }
}

fn unlinked(world: &World, connection: u64, node: &Node) -> NextStep {
    if node.tag != "iq" {
        return NextStep::Silence;
    }
    let id = stanza::text(node, "id").unwrap_or_default();
    if matches!(
        stanza::text(node, "type").as_deref(),
        Some("result" | "error")
    ) {
        return match pairing::answered(world, connection, node) {
            Some(last) => NextStep::Goodbye(last),
            None => NextStep::Silence,
        };
    }
    match node.get_optional_child("link_code_companion_reg") {
        Some(child) => pair_code::companion(world, connection, &id, child),
        None => NextStep::Reply(stanza::result(&id, Vec::new())),
    }
}

fn linked(world: &Arc<World>, address: &Address, node: &Node, read: FrameTime) -> NextStep {
    let reply = match node.tag.as_ref() {
        "iq" => return iq::answer(world, address, node),
        "message" => return messages::message(world, address, node, read),
        "receipt" => receipts::receipt(world, address, node, read),
        "presence" => receipts::presence(world, address, node, read),
        "call" => calls::call(world, address, node, Some(read)),
        "ack" => {
            receipts::acknowledged(world, address, node);
            None
        }
        "chatstate" => {
            receipts::chatstate(world, address, node, read);
            None
        }
        // Ignored: telemetry, the pacing of the offline queue (`ib`) and unknown stanzas.
        _ => None,
    };
    reply.map_or(NextStep::Silence, NextStep::Reply)
}

//! Requests whose answers are short.

use std::sync::Arc;

use wacore_binary::{Jid, Node};

use super::mex;
use super::request::IqRequest;
use crate::media::FOLDERS;
use crate::stanza::{self, el};
use crate::state::address::Address;
use crate::state::world::World;
use crate::tokens;

/// WhatsApp Web's properties `privacy_token_sending_on_all_1_on_1_messages` and
/// `wa_nct_token_send_enabled` (wacore 0.7.0, `abprops`).
const PRIVACY_TOKENS: [u32; 2] = [10_518, 24_941];
/// How many seconds a client may cache the answer about media hosts.
const MEDIA_SECONDS: u32 = 3600;

/// Returns the properties that make devices send a contact's privacy token with each message, or
/// the token for first contacts.
fn privacy_tokens_on() -> [Node; 2] {
    PRIVACY_TOKENS.map(|code| {
        el("prop")
            .attr("config_code", code)
            .attr("config_value", "1")
            .build()
    })
}

/// Answers a request. An unknown request, such as a ping, gets an empty result.
pub(super) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> Node {
    let id = request.id.as_str();
    let children = match (request.xmlns.as_str(), request.kind.as_str(), request.tag()) {
        ("abt" | "w", "get", "props") => vec![
            el("props")
                .attr("protocol", "1")
                .attr("ab_key", "sim")
                .attr("hash", "sim")
                .attr("refresh", 86_400_u32)
                .attr("refresh_id", 0_u8)
                .children(privacy_tokens_on())
                .build(),
        ],
        ("blocklist", "get", _) => vec![el("list").build()],
        ("privacy", "get", _) => vec![privacy()],
        ("privacy", "set", "tokens") => {
            issue_tokens(world, from, request);
            vec![el("tokens").build()]
        }
        ("w:m", _, "media_conn") => vec![media_hosts(world, from)],
        ("w:mex", _, "query") => return mex::answer(world, from, request),
        ("w:profile:picture", "get", _) => match picture(world, request) {
            Some(picture) => vec![picture],
            None => return stanza::refusal(id, 404, "item-not-found"),
        },
        _ => Vec::new(),
    };
    stanza::result(id, children)
}

/// Returns the profile picture that a request asks for.
fn picture(world: &World, request: &IqRequest<'_>) -> Option<Node> {
    let target = stanza::jid(request.node, "target")?;
    let state = world.state();
    let account = state.accounts.get(&state.pn(&target)?)?;
    let url = account.script.picture.as_deref()?;
    let picture = el("picture").attr("id", "1").attr("type", "image");
    Some(picture.attr("url", url).build())
}

fn privacy() -> Node {
    let names = ["last", "online", "profile", "status", "groupadd", "calladd"];
    let everyone = names.map(|name| category(name, "all"));
    let rest = [category("readreceipts", "all"), category("messages", "all")];
    let children = everyone.into_iter().chain(rest);
    el("privacy").children(children).build()
}

fn category(name: &'static str, value: &'static str) -> Node {
    el("category")
        .attr("name", name)
        .attr("value", value)
        .build()
}

fn media_hosts(world: &World, from: &Address) -> Node {
    let pass = world.state().give_pass(from);
    let kinds = FOLDERS.map(|kind| el(kind).build());
    let node = el("host")
        .attr("hostname", world.host.as_str())
        .attr("type", "primary")
        .children([
            el("upload").children(kinds.clone()).build(),
            el("download").children(kinds).build(),
        ]);
    el("media_conn")
        .attr("auth", pass)
        .attr("ttl", MEDIA_SECONDS)
        .attr("auth_ttl", MEDIA_SECONDS)
        .attr("max_buckets", 12_u8)
        .children([node.build()])
        .build()
}

/// Issues a privacy token for each contact and notifies all devices of the contact.
fn issue_tokens(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) {
    let tokens = request.child.into_iter();
    let tokens = tokens.flat_map(|child| child.get_children_by_tag("token"));
    let contacts: Vec<Jid> = tokens
        .filter_map(|token| stanza::jid(token, "jid"))
        .collect();
    let now = world.clock.seconds();
    let mut state = world.state();
    for contact in contacts {
        let id = state.fresh_id();
        tokens::issue(&mut state, from, &contact, id, now);
    }
}

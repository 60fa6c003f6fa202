//! Privacy tokens: what an account that demands them accepts, and how devices get them.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wacore_binary::{Jid, Node, Server};

use crate::stanza::{self, el, notification};
use crate::state::address::{Address, Pn};
use crate::state::world::State;

/// Returns whether an account demands a token and the stanza has none that it accepts.
pub(crate) fn refuses(state: &State, from: &Pn, to: &Pn, node: &Node) -> bool {
    let demands = state
        .accounts
        .get(to)
        .is_some_and(|account| account.demands_token);
    demands && from != to && !has_given(state, from, to, node) && !has_salted(state, from, to, node)
}

/// Returns whether the stanza carries the token that its recipient gave the sender's account.
pub(crate) fn has_given(state: &State, from: &Pn, to: &Pn, node: &Node) -> bool {
    let given = state
        .accounts
        .get(from)
        .and_then(|account| account.contacts.get(to));
    let shown = stanza::child_bytes(node, "tctoken");
    given.is_some_and(|given| shown.as_deref() == Some(&*given.bytes))
}

/// Returns whether the stanza carries the token for first contacts: the recipient's LID under the
/// salt of the sender's account.
fn has_salted(state: &State, from: &Pn, to: &Pn, node: &Node) -> bool {
    let (Some(account), Some(lid)) = (state.accounts.get(from), state.lid_of(to)) else {
        return false;
    };
    let shown = stanza::child_bytes(node, "cstoken").unwrap_or_default();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&account.token_salt).expect("HMAC takes any key length");
    mac.update(lid.to_string().as_bytes());
    mac.verify_slice(&shown).is_ok()
}

/// Gives a contact a token and notifies all its devices.
pub(crate) fn issue(
    state: &mut State,
    from: &Address,
    contact: &Jid,
    id: String,
    now: u64,
) -> Option<()> {
    let pn = state.pn(contact)?;
    state.exchange_tokens(&from.pn, &pn, now);
    let sender = state.accounts.get(&from.pn)?.jid(Server::Lid, 0);
    let account = state.accounts.get_mut(&pn)?;
    let token = account.contacts.get(&from.pn)?.bytes.clone();
    let token = el("token")
        .attr("type", "trusted_contact")
        .attr("t", now)
        .attr("jid", account.jid(contact.server, 0))
        .bytes(token);
    let tokens = el("tokens").children([token.build()]).build();
    let node = notification("privacy_token", Some(sender.clone()), id, now)
        .attr("sender_lid", sender)
        .children([tokens]);
    account.send_to_devices(&Arc::new(node.build()), None, true);
    Some(())
}

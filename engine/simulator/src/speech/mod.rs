//! Sends what a scripted phone is told to say.

mod attach;
mod compose;
mod files;
mod group;
mod kinds;
mod own;
pub(crate) mod seal;
mod undecryptable;
mod view_once;
pub(crate) mod vote;

use rand::RngExt;
use wacore_binary::{Jid, Node, Server};

use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::routing;
use crate::state::address::Pn;
use crate::state::chat::Chat;
use crate::state::content::Content;
use crate::state::speech::{SaidMessage, Speech};

/// How many own messages are kept for a resend.
const RESENDABLE: usize = 200;

impl Phone {
    /// Sends a message and reports the result to the caller.
    pub(crate) async fn say(&mut self, mut speech: Speech) {
        let done = speech.done.take();
        let outcome = self.try_say(speech).await;
        if let Some(done) = done {
            let _ = done.send(outcome);
        }
    }

    async fn try_say(&mut self, speech: Speech) -> Result<SaidMessage, String> {
        let id = speech.id.clone().unwrap_or_else(|| self.fresh_id());
        let to = self
            .address_of(&speech.to)
            .ok_or("no such phone, or this phone is not in the group")?;
        if let Content::Undecryptable(content) = &speech.content {
            return Ok(self.send_undecryptable(&speech, id, &to, content));
        }
        if let Content::ViewOnceNotice(_) = &speech.content {
            return Ok(self.send_view_once_notice(&speech, id, &to));
        }
        let composed = self.compose(&speech, &to).await?;
        let out = Outgoing {
            id: id.clone(),
            message: composed.message,
            edit: composed.edit,
            polltype: composed.polltype,
            raw: composed.raw,
        };
        self.show_own(&speech.to, &out, composed.voted, composed.media.as_ref());
        for _ in 0..speech.copies.max(1) {
            let node = self.sealed(&speech.to, &to, &out);
            let node = node.ok_or("the message could not be encrypted")?;
            let _ = routing::fan_out_at(&self.world, &self.own, &node, self.ago(speech.age));
        }
        self.remember_said(out);
        Ok(SaidMessage {
            id,
            media: composed.media,
        })
    }

    /// The server's time so many seconds ago.
    fn ago(&self, age: u64) -> u64 {
        self.world.clock.seconds().saturating_sub(age)
    }

    fn sealed(&mut self, chat: &Chat, to: &Jid, out: &Outgoing) -> Option<Node> {
        match chat {
            Chat::With(pn) => Some(self.seal_for_both(pn, to, out)),
            Chat::Group(group) => self.seal_for_group(group, to, out),
        }
    }

    fn remember_said(&mut self, out: Outgoing) {
        if self.said.len() == RESENDABLE {
            self.said.pop_front();
        }
        self.said.push_back(out);
    }

    /// Returns the address of a chat. Returns `None` for a group that this phone is not in.
    fn address_of(&self, chat: &Chat) -> Option<Jid> {
        let state = self.world.state();
        match chat {
            Chat::With(pn) => Some(state.accounts.get(pn)?.jid(Server::Lid, 0)),
            Chat::Group(id) => {
                let group = state.groups.get(id)?;
                group.members.get(&self.own.pn).map(|_| group.jid())
            }
        }
    }

    /// Returns how people are named in a chat.
    fn naming(&self, chat: &Chat) -> Server {
        let state = self.world.state();
        let group = chat.group().and_then(|id| state.groups.get(id));
        group.map_or(Server::Lid, |group| group.mode.server())
    }

    /// Returns whether this account may delete other people's messages.
    fn is_admin(&self, chat: &Chat, pn: &Pn) -> bool {
        let state = self.world.state();
        let group = chat.group().and_then(|id| state.groups.get(id));
        group.is_some_and(|group| group.is_admin(pn))
    }

    /// Returns a new message id in the format of an iPhone.
    pub(crate) fn fresh_id(&mut self) -> String {
        let (high, low): (u16, u64) = (self.rng.random(), self.rng.random());
        format!("3A{high:02X}{low:016X}")
    }
}

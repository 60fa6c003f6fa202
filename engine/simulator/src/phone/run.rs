//! The loop of a phone: it handles stanzas and orders one at a time.

use tokio::sync::mpsc;
use wacore_binary::Node;

use super::{Phone, media_retry, welcome};
use crate::calls;
use crate::stanza;
use crate::state::device::Mail;
use crate::state::order::Order;

impl Phone {
    pub(super) async fn run(
        mut self,
        mut letters: mpsc::Receiver<Mail>,
        mut todo: mpsc::Receiver<Order>,
    ) {
        let stop = self.world.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(mail) = letters.recv() => {
                    match mail {
                        Mail::Stanza(node) => self.receive(&node).await,
                        Mail::Bye(_) => self.departures += 1,
                    }
                }
                Some(order) = todo.recv() => self.run_order(order).await,
            }
            self.send_held();
        }
    }

    async fn run_order(&mut self, order: Order) {
        match order {
            Order::Say(speech) => self.say(*speech).await,
            Order::Receipt {
                kind,
                from,
                group,
                ids,
            } => self.receipts_for(kind, &from, group.as_ref(), &ids),
            Order::Back => {}
            Order::Welcome(device) => welcome::welcome(self, device),
            Order::ReadChat { chat, shown } => {
                let _ = shown.send(self.screen.chat(&chat));
            }
        }
    }

    /// Returns whether a message that is delivered again needs no answer any more.
    fn has_answered(&mut self, node: &Node) -> bool {
        node.tag == "message"
            && node.attrs.contains_key("offline")
            && stanza::text(node, "id").is_some_and(|id| self.late.remove(&id))
    }

    async fn receive(&mut self, node: &Node) {
        // What the mailbox held when the phone went away is delivered again when it is back.
        if !self.is_online() || self.has_answered(node) {
            return;
        }
        let kind = stanza::text(node, "type");
        match (node.tag.as_ref(), kind.as_deref()) {
            ("message", _) => self.message(node).await,
            ("receipt", Some("retry")) => {
                self.resend(node);
                self.acknowledge(node);
            }
            ("receipt", Some("server-error")) => {
                media_retry::answer(self, node).await;
                self.acknowledge(node);
            }
            ("receipt" | "notification", _) => self.acknowledge(node),
            ("call", _) => {
                calls::heard(&self.world, &self.own, node);
                self.acknowledge(node);
            }
            // Typing and presence need no answer.
            _ => {}
        }
    }
}

//! What a device has not acknowledged yet. Everything in it goes out again after the next login.

use std::collections::VecDeque;
use std::sync::Arc;

use wacore_binary::Node;

use crate::stanza;

/// Stanzas kept for one device; beyond it the oldest is forgotten, with a warning.
pub const QUEUE_STANZAS: usize = 10_000;

struct Pending {
    node: Arc<Node>,
    sent: bool,
}

/// One device's unacknowledged messages, receipts and notifications, oldest first.
#[derive(Default)]
pub(crate) struct Queue {
    pending: VecDeque<Pending>,
}

/// How many of each kind wait, for `<offline_preview>`.
#[derive(Default)]
pub(crate) struct Preview {
    pub(crate) messages: usize,
    pub(crate) receipts: usize,
    pub(crate) notifications: usize,
}

impl Queue {
    /// Keep a stanza; `sent` if it is going out right now.
    pub(crate) fn keep(&mut self, node: Arc<Node>, sent: bool) {
        if self.pending.len() == QUEUE_STANZAS {
            tracing::warn!("a device's queue is full, its oldest stanza is forgotten");
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { node, sent });
    }

    /// The device has what it was sent under this tag and id: forget it. Of two stanzas with one
    /// id (a duplicate on purpose) the older goes.
    pub(crate) fn acknowledge(&mut self, tag: &str, id: &str) {
        let at = self.pending.iter().position(|pending| {
            pending.sent
                && pending.node.tag == tag
                && pending
                    .node
                    .attrs
                    .get("id")
                    .is_some_and(|value| *value == *id)
        });
        if let Some(at) = at {
            self.pending.remove(at);
        }
    }

    /// Everything, marked as an offline delivery; from here on it can be settled.
    pub(crate) fn redeliver(&mut self) -> (Vec<Arc<Node>>, Preview) {
        let mut preview = Preview::default();
        let mut nodes = Vec::with_capacity(self.pending.len());
        for pending in &mut self.pending {
            pending.sent = true;
            match pending.node.tag.as_ref() {
                "message" => preview.messages += 1,
                "receipt" => preview.receipts += 1,
                _ => preview.notifications += 1,
            }
            let mut node = (*pending.node).clone();
            // Clients only look whether the attribute is there.
            node.attrs.insert("offline", nodes.len() + 1);
            nodes.push(Arc::new(node));
        }
        (nodes, preview)
    }

    /// How many stanzas wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl Preview {
    /// `<ib><offline_preview …/></ib>`
    pub(crate) fn node(&self) -> Node {
        let preview = stanza::el("offline_preview")
            .attr("count", self.total())
            .attr("message", self.messages)
            .attr("receipt", self.receipts)
            .attr("notification", self.notifications)
            .attr("appdata", 0_u8)
            .attr("call", 0_u8)
            .build();
        stanza::el("ib").children([preview]).build()
    }

    /// How many stanzas in all.
    pub(crate) fn total(&self) -> usize {
        self.messages + self.receipts + self.notifications
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Arc<Node> {
        Arc::new(stanza::el("message").attr("id", id).build())
    }

    fn ids(queue: &mut Queue) -> Vec<String> {
        let nodes = queue.redeliver().0;
        nodes
            .iter()
            .filter_map(|node| stanza::text(node, "id"))
            .collect()
    }

    #[test]
    fn only_what_went_out_can_be_acknowledged() {
        let mut queue = Queue::default();
        queue.keep(message("A"), false);
        queue.acknowledge("message", "A");
        assert_eq!(ids(&mut queue), ["A"]);
        queue.acknowledge("message", "A");
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn unacknowledged_stanzas_keep_their_order() {
        let mut queue = Queue::default();
        for id in ["A", "B", "C", "D", "B"] {
            queue.keep(message(id), true);
        }
        queue.acknowledge("message", "A");
        queue.acknowledge("message", "B");
        queue.acknowledge("receipt", "C");
        assert_eq!(ids(&mut queue), ["C", "D", "B"]);
    }

    #[test]
    fn a_redelivered_stanza_says_so() {
        let mut queue = Queue::default();
        queue.keep(message("A"), true);
        let (nodes, preview) = queue.redeliver();
        assert!(nodes[0].attrs.contains_key("offline"));
        assert_eq!(preview.total(), 1);
    }
}

//! Stanzas that a device has not acknowledged. They are sent again after the next login.

use std::collections::VecDeque;
use std::sync::Arc;

use wacore_binary::Node;

use crate::stanza;

/// The most stanzas queued for one device. Beyond it the oldest is dropped, with a warning.
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

/// How many stanzas of each kind are queued, for `<offline_preview>`.
#[derive(Default)]
pub(crate) struct Preview {
    pub(crate) messages: usize,
    pub(crate) receipts: usize,
    pub(crate) notifications: usize,
    pub(crate) calls: usize,
}

impl Queue {
    /// Queues a stanza. `sent` says whether it is being sent now.
    pub(crate) fn keep(&mut self, node: Arc<Node>, sent: bool) {
        if self.pending.len() == QUEUE_STANZAS {
            tracing::warn!("a device's queue is full; its oldest stanza is dropped");
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { node, sent });
    }

    /// Removes the stanza that the device acknowledged, by tag and id. If two stanzas have the same
    /// id (a duplicate on purpose), the older one is removed.
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

    /// Returns the whole queue, marked as an offline delivery. From now on it can be acknowledged.
    pub(crate) fn redeliver(&mut self) -> (Vec<Arc<Node>>, Preview) {
        let mut preview = Preview::default();
        let mut nodes = Vec::with_capacity(self.pending.len());
        for pending in &mut self.pending {
            pending.sent = true;
            match pending.node.tag.as_ref() {
                "message" => preview.messages += 1,
                "receipt" => preview.receipts += 1,
                "call" => preview.calls += 1,
                _ => preview.notifications += 1,
            }
            let mut node = (*pending.node).clone();
            // Clients only check whether the attribute exists.
            node.attrs.insert("offline", nodes.len() + 1);
            nodes.push(Arc::new(node));
        }
        (nodes, preview)
    }

    /// Returns the number of queued stanzas.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl Preview {
    /// Returns `<ib><offline_preview …/></ib>`.
    pub(crate) fn node(&self) -> Node {
        let preview = stanza::el("offline_preview")
            .attr("count", self.total())
            .attr("message", self.messages)
            .attr("receipt", self.receipts)
            .attr("notification", self.notifications)
            .attr("appdata", 0_u8)
            .attr("call", self.calls)
            .build();
        stanza::information(preview)
    }

    /// Returns the total number of stanzas.
    pub(crate) fn total(&self) -> usize {
        self.messages + self.receipts + self.notifications + self.calls
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
